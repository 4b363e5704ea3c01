//! [`Forward`]: a service whose calls a worker answers.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use prost::Message as _;
use sakuga_proto::model::v1 as model;
use sakuga_proto::prompt::v1::ValidatePromptRequest;
use sakuga_proto::system::v1 as system;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use super::Gateway;
use crate::error::ServerError;
use crate::fleet::question::{FORWARDED, Question};
use crate::service::refuse;
use crate::wire::{frame, to_proto};

/// The flag and the length before a message.
const PREFIX_BYTES: usize = 5;

/// A service whose calls a worker answers. Calls that are not in [`FORWARDED`] are refused by name.
pub(super) struct Forward<S> {
    gateway: Arc<Gateway>,
    service: PhantomData<fn() -> S>,
}

impl<S> Forward<S> {
    pub(super) fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway, service: PhantomData }
    }
}

impl<S> Clone for Forward<S> {
    fn clone(&self) -> Self {
        Self::new(self.gateway.clone())
    }
}

impl<S: NamedService> NamedService for Forward<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Forward<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let gateway = self.gateway.clone();
        async move { Ok(answer(&gateway, request).await.map_or_else(|status| status.into_http(), unary)) }.boxed()
    }
}

async fn answer(gateway: &Gateway, request: Request<Body>) -> Result<Bytes, Status> {
    let path = request.uri().path().to_owned();
    if !FORWARDED.contains(&path.as_str()) {
        let (what, instead) = match path.contains("AssetService") {
            true => ("assets are not", "send the job and its files to a single server"),
            false => ("this call is not", "a single server answers it, and the log of each worker has its state"),
        };
        return Err(refuse(&ServerError::NotInFleet { what, instead }));
    }
    let mut body = request.into_body().collect().await?.to_bytes();
    if body.len() < PREFIX_BYTES {
        return Err(Status::internal("the call has no message"));
    }
    // The transport has decompressed it.
    body.advance(PREFIX_BYTES);
    let named = match path.ends_with("/ValidatePrompt") {
        true => ValidatePromptRequest::decode(body.clone()).map(|request| request.model).unwrap_or_default(),
        false => String::new(),
    };
    let question = Question { path, message: body, ..Question::default() };
    match question.path.as_str() {
        "/sakuga.model.v1.ModelService/ListModels" => {
            return gateway.list_models::<model::ListModelsResponse>(&question).await;
        }
        "/sakuga.system.v1.SystemService/ListModels" => {
            return gateway.list_models::<system::ListModelsResponse>(&question).await;
        }
        _ => {}
    }
    let answer = gateway.ask(&named, &question).await?;
    if !question.path.ends_with("/GetServerInfo") {
        return Ok(answer);
    }
    // What concerns the queue is that of the fleet.
    let mut info =
        system::GetServerInfoResponse::decode(answer).map_err(|error| Status::internal(error.to_string()))?;
    info.jobs = to_proto::saturate(gateway.index.live_count("").0);
    if let Some(limits) = &mut info.limits {
        limits.max_queued = to_proto::saturate(gateway.limits.queued_max);
    }
    Ok(info.encode_to_vec().into())
}

/// The answer with one message.
fn unary(message: Bytes) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(frame::of_message(&message)).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
