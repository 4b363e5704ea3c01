//! OpenAI's images API on the port of the studio: its routes, and the layer that routes requests to it.
//!
//! The service behind it, and the layers before it (tokens, quotas, limits), answer refusals as gRPC does: with a
//! status in the headers, in the trailers, or as the error of the body. Here each becomes an error in OpenAI's form.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service, ServiceExt as _};

use crate::metrics::MethodName;
use crate::wire::http::{error_body, error_response};

/// Prefix of the path of every request to the API.
pub(crate) const PREFIX: &str = "/v1/";
/// The media type of a stream of events.
pub(crate) const EVENT_STREAM: &str = "text/event-stream";

/// An endpoint of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// Pictures from a prompt.
    Generations,
    /// Pictures from a picture and a prompt.
    Edits,
    /// The events of a job.
    Events(&'a str),
    Models,
    Model(&'a str),
    /// A picture by its signed URL: job and file name.
    Picture(&'a str, &'a str),
    /// The description of the API.
    Document,
}

impl<'a> Route<'a> {
    /// The names of the routes, without the slash in front.
    pub(crate) const TEMPLATES: [&'static str; 7] = [
        "v1/images/generations",
        "v1/images/edits",
        "v1/images/generations/{id}/events",
        "v1/models",
        "v1/models/{model}",
        "v1/pictures/{id}/{file}",
        "v1/openapi.json",
    ];

    /// The endpoint at a path; `None` if there is none.
    pub(crate) fn of(path: &'a str) -> Option<Self> {
        let segments: Vec<&str> = path.strip_prefix(PREFIX)?.splitn(5, '/').collect();
        let route = match segments[..] {
            ["images", "generations"] => Self::Generations,
            ["images", "edits"] => Self::Edits,
            ["images", "generations", id, "events"] => Self::Events(id),
            ["models"] => Self::Models,
            ["models", name] => Self::Model(name),
            ["pictures", id, file] => Self::Picture(id, file),
            ["openapi.json"] => Self::Document,
            _ => return None,
        };
        Some(route)
    }

    /// Its name in metrics.
    fn template(self) -> &'static str {
        let index = match self {
            Self::Generations => 0,
            Self::Edits => 1,
            Self::Events(_) => 2,
            Self::Models => 3,
            Self::Model(_) => 4,
            Self::Picture(..) => 5,
            Self::Document => 6,
        };
        Self::TEMPLATES[index]
    }
}

/// Routes the requests of the API to the service `api`, or refuses them if the API is switched off.
#[derive(Clone, Debug)]
pub(crate) struct ApiLayer<H> {
    api: Option<H>,
}

impl<H> ApiLayer<H> {
    /// `None`: the API is switched off.
    pub(crate) fn new(api: Option<H>) -> Self {
        Self { api }
    }
}

impl<S, H: Clone> Layer<S> for ApiLayer<H> {
    type Service = ApiService<S, H>;

    fn layer(&self, inner: S) -> ApiService<S, H> {
        ApiService { inner, api: self.api.clone() }
    }
}

/// A service with the API before it.
#[derive(Clone, Debug)]
pub(crate) struct ApiService<S, H> {
    inner: S,
    api: Option<H>,
}

impl<S, H> Service<Request<Body>> for ApiService<S, H>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    H: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    H::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if !request.uri().path().starts_with(PREFIX) {
            return Box::pin(self.inner.call(request));
        }
        let Some(api) = self.api.clone() else {
            let off = Status::unimplemented("OpenAI's images API is switched off here, by --openai-api=false");
            return Box::pin(ready(Ok(error_response(&off))));
        };
        let name = Route::of(request.uri().path()).map(|route| MethodName(route.template()));
        if let Some(name) = name {
            request.extensions_mut().insert(name);
        }
        Box::pin(async move {
            match api.oneshot(request).await {
                Ok(answer) => Ok(in_form_of_http(answer)),
                Err(never) => match never {},
            }
        })
    }
}

/// The answer without what belongs to gRPC; a refusal as an error in OpenAI's form.
fn in_form_of_http(answer: Response<Body>) -> Response<Body> {
    let (mut parts, body) = answer.into_parts();
    if let Some(status) = Status::from_header_map(&parts.headers).filter(|status| status.code() != Code::Ok) {
        return error_response(&status);
    }
    let names: Vec<_> = parts.headers.keys().filter(|name| name.as_str().starts_with("grpc-")).cloned().collect();
    for name in names {
        parts.headers.remove(name);
    }
    let is_events = parts.headers.get(CONTENT_TYPE).is_some_and(|value| value == EVENT_STREAM);
    Response::from_parts(parts, Body::new(PlainBody { inner: Some(body), is_events }))
}

/// A body whose trailers are not sent. An error status at its end becomes an event in a stream of events. Elsewhere it
/// aborts the connection, so that a partial answer is not taken for a complete one.
struct PlainBody {
    /// `None` after the end.
    inner: Option<Body>,
    is_events: bool,
}

impl PlainBody {
    fn end(&mut self, status: Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.inner = None;
        if status.code() == Code::Ok {
            return Poll::Ready(None);
        }
        if !self.is_events {
            return Poll::Ready(Some(Err(status)));
        }
        let event = format!("event: error\ndata: {}\n\n", error_body(&status));
        Poll::Ready(Some(Ok(Frame::data(event.into()))))
    }
}

impl http_body::Body for PlainBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        match Pin::new(inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => match frame.into_trailers() {
                Ok(trailers) => this.end(status_of(&trailers)),
                Err(frame) => Poll::Ready(Some(Ok(frame))),
            },
            Poll::Ready(Some(Err(status))) => this.end(status),
            Poll::Ready(None) => {
                this.inner = None;
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}

fn status_of(trailers: &HeaderMap) -> Status {
    Status::from_header_map(trailers).unwrap_or_else(|| Status::new(Code::Ok, ""))
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    #[test]
    fn paths_lead_to_their_routes_and_nowhere_else() {
        assert_eq!(Route::of("/v1/images/generations/a/events"), Some(Route::Events("a")));
        assert_eq!(Route::of("/v1/pictures/a/0.png"), Some(Route::Picture("a", "0.png")));
        assert_eq!(Route::of("/v1/models/a"), Some(Route::Model("a")));
        for path in [
            "/v1",
            "/v1/",
            "/v1/images",
            "/v1/images/generations/",
            "/v1//images/generations",
            "/v1/images/generations/a/events/b",
            "/v1/pictures/../../etc/passwd",
            "/v1/pictures/a/b/c",
            "/V1/models",
            "v1/models",
        ] {
            assert_eq!(Route::of(path), None, "{path}");
        }
    }

    #[test]
    fn every_route_has_its_template() {
        for (index, template) in Route::TEMPLATES.iter().enumerate() {
            let path = format!("/{}", template.replace(['{', '}'], ""));
            assert_eq!(Route::of(&path).expect(template).template(), Route::TEMPLATES[index]);
        }
    }

    async fn ended(content_type: &'static str, last: Result<Frame<Bytes>, Status>) -> Result<String, Status> {
        let frames = [Ok(Frame::data(Bytes::from_static(b"begun "))), last];
        let mut answer = Response::new(Body::new(StreamBody::new(tokio_stream::iter(frames))));
        answer.headers_mut().insert(CONTENT_TYPE, content_type.parse().expect("a header"));
        let read = in_form_of_http(answer).into_body().collect().await?;
        assert!(read.trailers().is_none());
        Ok(String::from_utf8(read.to_bytes().to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn an_error_in_the_middle_is_an_event_or_breaks_the_answer_off() {
        let gone = || Status::unavailable("gone");
        let mut trailers = HeaderMap::new();
        gone().add_header(&mut trailers).expect("headers");
        for last in [Err(gone()), Ok(Frame::trailers(trailers))] {
            let events = ended(EVENT_STREAM, last).await.expect("a body");
            assert!(
                events.starts_with("begun event: error\ndata: {\"error\":{") && events.contains("gone"),
                "{events}"
            );
        }
        assert_eq!(ended("application/json", Err(gone())).await.expect_err("cut").code(), Code::Unavailable);
        let whole = HeaderMap::from_iter([("grpc-status".parse().expect("a name"), "0".parse().expect("a value"))]);
        assert_eq!(ended("application/json", Ok(Frame::trailers(whole))).await.expect("a body"), "begun ");
    }
}
