//! OpenAI's images API over HTTP, on the port of the studio: `POST /v1/images/generations` and `/v1/images/edits`, their
//! events, `GET /v1/models`, and pictures by signed URLs.
//!
//! A request passes the layers of gRPC: tokens, scopes, quotas and the bounds of its body in `transport/layer.rs`. Then
//! `body.rs` and `form.rs` read its parameters, `parameters.rs` checks them by name, and `drawing.rs` turns them into the
//! `GenerateRequest` that [`Jobs::create`](crate::jobs::Jobs::create) takes, as of a gRPC call. `images.rs` answers with the
//! pictures, `events.rs` with a stream of events that resumes at a cursor (`cursor.rs`), and `signed_url.rs` with pictures by
//! URL. Refusals are gRPC statuses; [`studio::api`](crate::studio::api) gives them OpenAI's form.

mod body;
mod cursor;
mod document;
mod drawing;
mod events;
mod extension;
mod feed;
mod finished;
mod form;
mod images;
mod mask;
mod models;
mod output;
mod parameters;
mod partials;
mod pictures;
mod signed_url;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::BodyExt as _;
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tower::Service;

use crate::error::{ServerError, Violation};
use crate::jobs::Caller;
use crate::limits::Limits;
use crate::service::caller::{CLIENT_ID, caller};
use crate::service::{Context, refuse};
use crate::studio::api::Route;
use drawing::Endpoint;
use signed_url::Signer;

/// Pictures that are converted to another format at the same time.
const CONVERSIONS: usize = 2;
/// Names the job of an answer. OpenAI's clients show it as the id of the request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The paths whose requests have a body, and the bytes that it may have.
pub(crate) fn bodies() -> [(String, usize); 2] {
    ["/v1/images/generations", "/v1/images/edits"].map(|path| (path.to_owned(), Limits::HTTP_BODY_BYTES_MAX))
}

/// The API as a service.
#[derive(Clone)]
pub(crate) struct OpenAi(Arc<Api>);

struct Api {
    context: Arc<Context>,
    signer: Signer,
    conversions: Arc<Semaphore>,
    scheme: &'static str,
}

impl OpenAi {
    /// The API over what the gRPC services share.
    ///
    /// # Errors
    ///
    /// The system gives no random numbers for the key that signs URLs.
    pub(crate) fn new(context: Arc<Context>, is_encrypted: bool) -> io::Result<Self> {
        let scheme = if is_encrypted { "https" } else { "http" };
        let conversions = Arc::new(Semaphore::new(CONVERSIONS));
        Ok(Self(Arc::new(Api { context, signer: Signer::new()?, conversions, scheme })))
    }
}

impl Service<Request<Body>> for OpenAi {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let api = self.0.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let answer = api.answer(parts, body).await;
            Ok(answer.unwrap_or_else(|status| status.into_http()))
        })
    }
}

impl Api {
    async fn answer(self: Arc<Self>, parts: Parts, body: Body) -> Result<Response<Body>, Status> {
        let route = Route::of(parts.uri.path());
        match (&parts.method, route) {
            (&Method::POST, Some(Route::Generations)) => {
                self.draw(Endpoint::Generations, &parts, whole(body).await?).await
            }
            (&Method::POST, Some(Route::Edits)) => self.draw(Endpoint::Edits, &parts, whole(body).await?).await,
            (&Method::GET, Some(Route::Events(id))) => self.resume(&parts, id).await,
            (&Method::GET, Some(Route::Models)) => Ok(self.models()),
            (&Method::GET, Some(Route::Model(name))) => self.model(name),
            (&Method::GET | &Method::HEAD, Some(Route::Picture(id, file))) => self.picture(&parts, id, file).await,
            (&Method::GET, Some(Route::Document)) => Ok(document::answer()),
            (method, _) => {
                let path: String = parts.uri.path().chars().take(80).collect();
                let text = format!("there is no {method} {path}; /v1/openapi.json describes what there is");
                Err(Status::unimplemented(text))
            }
        }
    }

    /// The caller of a request, as of a gRPC call. `user` names the client of a server that asks for no credentials.
    fn caller(&self, parts: &Parts, user: Option<&str>) -> Result<Caller, Status> {
        let mut metadata = MetadataMap::from_headers(parts.headers.clone());
        if let Some(user) = user {
            let name = user.parse().map_err(|_| {
                refuse(&ServerError::invalid("user", Violation::BAD_TEXT, "write printable ASCII characters"))
            })?;
            metadata.insert(CLIENT_ID, name);
        }
        caller(&tonic::Request::from_parts(metadata, parts.extensions.clone(), ()))
    }
}

/// The body of a request, which the transport has read within its bounds.
async fn whole(body: Body) -> Result<Bytes, Status> {
    Ok(body.collect().await?.to_bytes())
}

/// Names the job in the headers of an answer.
fn with_job(mut answer: Response<Body>, job_id: &str) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(job_id) {
        answer.headers_mut().insert(REQUEST_ID, value);
    }
    answer
}
