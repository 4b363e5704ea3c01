//! [`LargeAnswer`]: an answer that is encoded at once, however slowly its client reads.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt as _, Full};
use tokio::sync::OwnedSemaphorePermit;
use tonic::body::Body;

/// Marks a response, as its extension, as one that is encoded before it is sent. Until then it holds a permit.
#[derive(Clone, Debug)]
pub struct LargeAnswer {
    _permit: Arc<Option<OwnedSemaphorePermit>>,
}

impl LargeAnswer {
    /// Holds the permit until the answer is encoded or dropped.
    pub fn new(permit: Option<OwnedSemaphorePermit>) -> Self {
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
            let whole = Full::new(bytes).with_trailers(async move { trailers.map(Ok) });
            Response::from_parts(parts, Body::new(whole))
        }
        Err(status) => status.into_http(),
    }
}
