//! The layer of every request to the studio: the check of its origin, then the files of the page, then the calls.

use std::future::{Future, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;
use tonic::body::Body;
use tower::{Layer, Service};

use super::api::PREFIX;
use super::assets::{self, Asset, Found};
use super::config::StudioConfig;
use super::request_check::{Refused, RequestCheck};
use crate::wire::http::json_response;

/// Scripts and styles come from this server as files, and nothing else runs; pictures come from calls. No request leaves for
/// another host, and no other page may show this one in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Headers of every answer.
const HEADERS: [(HeaderName, HeaderValue); 7] = [
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=()"),
    ),
];

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";
/// Prefix of the media type of every gRPC-Web call.
const GRPC_WEB: &[u8] = b"application/grpc-web";

/// Serves the page before the calls.
#[derive(Clone, Debug)]
pub(crate) struct StudioLayer {
    check: RequestCheck,
}

impl StudioLayer {
    /// For a server under the names of the configuration.
    pub(crate) fn new(config: &StudioConfig, is_encrypted: bool) -> Self {
        Self { check: RequestCheck::new(is_encrypted, &config.hosts) }
    }
}

impl<S> Layer<S> for StudioLayer {
    type Service = StudioService<S>;

    fn layer(&self, inner: S) -> StudioService<S> {
        StudioService { inner, check: self.check.clone() }
    }
}

/// A service with the page before it.
#[derive(Clone, Debug)]
pub(crate) struct StudioService<S> {
    inner: S,
    check: RequestCheck,
}

impl<S> Service<Request<Body>> for StudioService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match answer(&self.check, &request) {
            Some(answer) => Box::pin(ready(Ok(answer))),
            None => {
                let call = self.inner.call(request);
                Box::pin(async move { call.await.map(secured) })
            }
        }
    }
}

/// The answer to a request that is not a call; `None` for a call, and for a request of OpenAI's API.
fn answer<B>(check: &RequestCheck, request: &Request<B>) -> Option<Response<Body>> {
    let is_api = request.uri().path().starts_with(PREFIX);
    if let Err(refused) = check.check(request) {
        tracing::debug!(%refused, "request to the studio refused");
        return Some(match is_api {
            true => secured(refused_by_api(refused)),
            false => text(refused.status(), &format!("{refused}\n")),
        });
    }
    if is_api {
        return None;
    }
    let is_call = request.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(GRPC_WEB));
    let mut answer = match *request.method() {
        Method::GET | Method::HEAD => page(request.uri().path(), request.headers()),
        Method::POST if is_call => return None,
        Method::POST => text(StatusCode::UNSUPPORTED_MEDIA_TYPE, "only gRPC-Web calls are accepted here\n"),
        _ => {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET, HEAD and POST are accepted here\n");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
            answer
        }
    };
    if request.method() == Method::HEAD {
        *answer.body_mut() = Body::empty();
    }
    Some(answer)
}

/// The refusal in the form of OpenAI's API.
fn refused_by_api(refused: Refused) -> Response<Body> {
    let error =
        json!({ "message": refused.to_string(), "type": "permission_error", "param": null, "code": "ORIGIN_REFUSED" });
    let mut answer = json_response(&json!({ "error": error }));
    *answer.status_mut() = refused.status();
    answer
}

/// A file of the page.
fn page(path: &str, headers: &HeaderMap) -> Response<Body> {
    match assets::find(path) {
        Some(Found::File(asset)) => file(asset, accepts_gzip(headers)),
        Some(Found::Instructions(instructions)) => text(StatusCode::OK, instructions),
        None => text(StatusCode::NOT_FOUND, "there is nothing at this path\n"),
    }
}

fn file(asset: &'static Asset, accepts_gzip: bool) -> Response<Body> {
    let content = if accepts_gzip { Some(asset.packed()) } else { asset.plain() };
    let Some(content) = content else { return text(StatusCode::INTERNAL_SERVER_ERROR, "the file is damaged\n") };
    let mut answer = response(StatusCode::OK, asset.media_type(), content);
    let headers = answer.headers_mut();
    if accepts_gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if asset.is_immutable() {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    }
    answer
}

fn text(status: StatusCode, text: &str) -> Response<Body> {
    response(status, PLAIN_TEXT, Bytes::copy_from_slice(text.as_bytes()))
}

fn response(status: StatusCode, media_type: &'static str, content: Bytes) -> Response<Body> {
    let length = content.len();
    let mut answer = Response::new(Body::new(Full::new(content)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer.headers_mut().insert(CONTENT_LENGTH, length.into());
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    secured(answer)
}

fn secured(mut answer: Response<Body>) -> Response<Body> {
    answer.headers_mut().extend(HEADERS);
    answer
}

/// Whether the client names gzip without refusing it by `q=0`.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|coding| coding.eq_ignore_ascii_case("gzip"));
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse::<f32>);
        is_gzip && weight.is_ok_and(|weight| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_accept_it() {
        let accepts = |value: &'static str| {
            accepts_gzip(&HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]))
        };
        assert!(accepts("gzip, deflate, br") && accepts("br;q=1.0, GZIP;q=0.5") && !accepts("br"));
        assert!(!accepts("gzip;q=0") && !accepts("gzip;q=x") && !accepts_gzip(&HeaderMap::new()));
    }
}
