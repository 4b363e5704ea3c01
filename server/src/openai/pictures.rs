//! [`Picture`]: a finished picture as it is sent, in pieces, and answers that have pictures in their text.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::Stream;
use futures::stream::{self, BoxStream, StreamExt as _};
use http::HeaderMap;
use http_body::Frame;
use http_body_util::StreamBody;
use tonic::body::Body;
use tonic::{Code, Status};

use super::Api;
use super::output::{Format, Output};
use crate::error::ServerError;
use crate::job_id::JobId;
use crate::service::refuse;

/// Bytes of a piece: a multiple of 3, so that the concatenated base64 of the pieces is that of the whole.
const PIECE_BYTES: u64 = 192 * 1024;

/// A finished picture.
#[derive(Clone)]
pub(super) struct Picture {
    pub(super) api: Arc<Api>,
    pub(super) id: JobId,
    pub(super) image_index: u32,
    /// Bytes of its PNG.
    pub(super) size: u64,
    /// SHA-256 of its PNG.
    pub(super) sha256: String,
    pub(super) output: Output,
}

impl Picture {
    /// The bytes of the file.
    pub(super) fn pieces(self) -> BoxStream<'static, Result<Bytes, ServerError>> {
        if self.output.format == Format::Png {
            return self.stored().boxed();
        }
        let whole = stream::once(async move { self.whole().await });
        let cut = |file: Bytes| {
            let count = file.len().div_ceil(PIECE_BYTES as usize);
            let piece = move |index: usize| {
                let begin = index * PIECE_BYTES as usize;
                Ok(file.slice(begin..file.len().min(begin + PIECE_BYTES as usize)))
            };
            stream::iter((0..count).map(piece)).boxed()
        };
        whole.flat_map(move |file| file.map_or_else(|error| stream::iter([Err(error)]).boxed(), cut)).boxed()
    }

    /// The pieces of the PNG. They are not compared with its SHA-256.
    fn stored(self) -> impl Stream<Item = Result<Bytes, ServerError>> + Send + 'static {
        stream::unfold((self, 0), |(picture, offset)| async move {
            if offset >= picture.size {
                return None;
            }
            let end = picture.size.min(offset + PIECE_BYTES);
            let piece = picture.api.context.jobs.piece(&picture.id, picture.image_index, offset..end).await;
            let next = if piece.is_ok() { end } else { picture.size };
            Some((piece, (picture, next)))
        })
    }

    /// The file in its format. Its PNG is compared with its SHA-256. Few are converted at a time.
    pub(super) async fn whole(self) -> Result<Bytes, ServerError> {
        let output = self.output;
        // The semaphore is never closed.
        let _permit = self.api.conversions.clone().acquire_owned().await;
        let jobs = &self.api.context.jobs;
        let png = jobs.whole_picture(&self.id, self.image_index, (self.size, &self.sha256)).await?;
        let converted = tokio::task::spawn_blocking(move || output.convert(png)).await;
        converted.unwrap_or_else(|error| Err(ServerError::Internal(error.to_string())))
    }
}

/// A part of an answer.
pub(super) enum Part {
    Text(String),
    /// The base64 of a picture.
    Picture(Picture),
}

/// A body of these parts, each made after the previous one was sent. It ends with a gRPC status, by which calls are
/// counted.
pub(super) fn body(parts: impl Stream<Item = Result<Part, Status>> + Send + 'static) -> Body {
    let data = parts.flat_map(|part| match part {
        Ok(Part::Text(text)) => stream::iter([Ok(Bytes::from(text))]).boxed(),
        Ok(Part::Picture(picture)) => {
            let base64 = |piece: Bytes| Bytes::from(STANDARD.encode(piece));
            picture.pieces().map(move |piece| piece.map(base64).map_err(|error| refuse(&error))).boxed()
        }
        Err(status) => stream::iter([Err(status)]).boxed(),
    });
    ending_well(data)
}

/// A body of this data that ends with the status of a call that succeeded.
pub(super) fn ending_well(data: impl Stream<Item = Result<Bytes, Status>> + Send + 'static) -> Body {
    let end = stream::once(async {
        let mut trailers = HeaderMap::new();
        Status::new(Code::Ok, "").add_header(&mut trailers)?;
        Ok(Frame::trailers(trailers))
    });
    Body::new(StreamBody::new(data.map(|data| data.map(Frame::data)).chain(end)))
}

/// The beginning of a JSON object whose first field is the base64 of a picture, and what follows the base64.
pub(super) fn around_base64(rest: &serde_json::Value) -> [String; 2] {
    let rest = rest.to_string();
    let fields = rest.strip_prefix('{').unwrap_or(&rest);
    let comma = if fields == "}" { "" } else { "," };
    ["{\"b64_json\":\"".to_owned(), format!("\"{comma}{fields}")]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_base64_is_a_field_of_the_object() {
        for rest in [json!({}), json!({ "a": 1, "b": "}" })] {
            let [before, after] = around_base64(&rest);
            let whole: Value = serde_json::from_str(&format!("{before}AQID{after}")).expect("JSON");
            assert_eq!(whole["b64_json"], "AQID");
            assert_eq!(whole.as_object().expect("an object").len(), rest.as_object().expect("an object").len() + 1);
        }
        assert!(PIECE_BYTES.is_multiple_of(3));
    }
}
