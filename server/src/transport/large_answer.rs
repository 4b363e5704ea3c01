//! [`LargeAnswer`]: encodes an answer immediately instead of when the client reads it.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use tonic::body::Body;

/// Marks a response, as its extension, as one that is encoded before it is sent. Until then it holds a permit.
#[derive(Clone, Debug)]
pub(crate) struct LargeAnswer {
    _permit: Arc<Option<OwnedSemaphorePermit>>,
}

impl LargeAnswer {
    /// Holds the permit until the answer is encoded or dropped.
    pub(crate) fn new(permit: Option<OwnedSemaphorePermit>) -> Self {
        Self { _permit: Arc::new(permit) }
    }
}

/// The response with its body encoded, if it is marked. tonic encodes a message when the client has room for it; until then the
/// decoded message would stay in memory.
pub(super) async fn encode(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let Some(_held) = parts.extensions.remove::<LargeAnswer>() else { return Response::from_parts(parts, body) };
    match body.collect().await {
        Ok(collected) => {
            let trailers = collected.trailers().cloned();
            let bytes: Bytes = collected.to_bytes();
            let frames = [Some(Frame::data(bytes)), trailers.map(Frame::trailers)];
            // The length of the data must not be known: HTTP/1.1 would end the answer there, before gRPC-Web's trailers.
            let whole = StreamBody::new(tokio_stream::iter(frames.into_iter().flatten().map(Ok::<_, Status>)));
            Response::from_parts(parts, Body::new(whole))
        }
        Err(status) => status.into_http(),
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn the_trailers_are_kept_and_the_length_is_unknown() {
        let trailers =
            http::HeaderMap::from_iter([("grpc-status".parse().expect("a name"), "0".parse().expect("a value"))]);
        let sent = trailers.clone();
        let body = Full::new(Bytes::from_static(b"message")).with_trailers(async move { Some(Ok(sent)) });
        let mut response = Response::new(Body::new(body));
        response.extensions_mut().insert(LargeAnswer::new(None));
        let body = encode(response).await.into_body();
        assert_eq!(body.size_hint().exact(), None, "a gRPC-Web answer has more than its messages");
        let read = body.collect().await.expect("a body");
        assert_eq!(read.trailers(), Some(&trailers));
        assert_eq!(read.to_bytes(), "message");
    }
}
