//! [`Answers`]: answers the calls of gateways by the services of this process.

use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use prost::Message as _;
use sakuga_proto::generation::v1::CreateJobRequest;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tonic_types::pb;
use tower::ServiceExt as _;

use crate::app::AppError;
use crate::app::routes::routes;
use crate::error::ServerError;
use crate::fleet::question::{Answer, DESCRIBE, FORWARDED, NewJob, Question};
use crate::job_id::JobId;
use crate::jobs::{Call, Caller, Described, Jobs};
use crate::service::caller::CLIENT_ID;
use crate::service::{Context, off_reactor, refuse};
use crate::store::StoreError;
use crate::wire::frame;

/// The flag and the length before a message.
const PREFIX_BYTES: usize = 5;

/// Answers the calls of gateways by the services of this process.
pub(super) struct Answers {
    routes: Routes,
    jobs: Arc<Jobs>,
    bytes_max: usize,
}

impl Answers {
    /// Answers of at most `bytes_max` bytes.
    ///
    /// # Errors
    ///
    /// [`AppError`] if the services cannot be made.
    pub(super) fn new(context: &Arc<Context>, bytes_max: usize) -> Result<Arc<Self>, AppError> {
        // Nobody asks for the health of these.
        let (routes, _) = routes(context)?;
        Ok(Arc::new(Self { routes, jobs: context.jobs.clone(), bytes_max }))
    }

    /// The encoded answer to an encoded question.
    pub(super) async fn answer(&self, question: Bytes) -> Bytes {
        let answered = match Question::decode(question) {
            Ok(question) if question.path == DESCRIBE => self.describe(question).await,
            Ok(question) => self.call(question).await,
            Err(error) => Err(Status::internal(format!("the question of a gateway: {error}"))),
        };
        let answer = match answered {
            Ok(message) => Answer { refusal: None, message },
            Err(status) => Answer { refusal: Some(to_rpc(&status)), message: Bytes::new() },
        };
        let bytes = answer.encoded_len();
        if bytes <= self.bytes_max {
            return answer.encode_to_vec().into();
        }
        let text = format!(
            "the answer has {bytes} bytes, and NATS takes {} at most; raise `max_payload` of the servers of NATS, up to 8 MiB",
            self.bytes_max
        );
        let status = refuse(&ServerError::Store(StoreError::Exhausted(text)));
        Answer { refusal: Some(to_rpc(&status)), message: Bytes::new() }.encode_to_vec().into()
    }

    /// Checks a request and describes its job.
    async fn describe(&self, question: Question) -> Result<Bytes, Status> {
        let Question { message, client, owner, job_id, .. } = question;
        let damaged = |error: prost::DecodeError| Status::internal(format!("the question of a gateway: {error}"));
        let CreateJobRequest { request, options } = CreateJobRequest::decode(message).map_err(damaged)?;
        let caller = Caller { client: client.into(), owner: owner.into(), former_owner: None, sees_all: false };
        let (request, options) = (request.unwrap_or_default(), options.unwrap_or_default());
        let call = Call { caller, request, options, trace_parent: None, is_watched: false };
        let (jobs, id) = (self.jobs.clone(), JobId::named(&job_id));
        let Described { record, accepted, has_files } = off_reactor(move |alive| {
            alive.check()?;
            jobs.describe(id, call)
        })
        .await?;
        Ok(NewJob { record: Some(record), accepted: Some(accepted), has_files }.encode_to_vec().into())
    }

    /// Makes a call of one message to the services of this process.
    async fn call(&self, question: Question) -> Result<Bytes, Status> {
        let Question { path, message, client, .. } = question;
        if !FORWARDED.contains(&path.as_str()) {
            return Err(Status::unimplemented(format!("a worker of this version does not answer {path}; update it")));
        }
        let mut request =
            Request::post(path).header(http::header::CONTENT_TYPE, "application/grpc").header("te", "trailers");
        if !client.is_empty() {
            request = request.header(CLIENT_ID, client);
        }
        let request = request.body(Body::new(Full::new(frame::of_message(&message))));
        let request = request.map_err(|error| Status::internal(error.to_string()))?;
        // It never fails.
        let response = match self.routes.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let (parts, body) = response.into_parts();
        let collected = body.collect().await?;
        let status = |headers: &HeaderMap| Status::from_header_map(headers);
        let status = collected.trailers().and_then(status).or_else(|| status(&parts.headers));
        match status {
            Some(status) if status.code() != Code::Ok => return Err(status),
            _ => {}
        }
        let mut bytes = collected.to_bytes();
        if bytes.len() < PREFIX_BYTES {
            return Err(Status::internal("the service gave no answer"));
        }
        // No encoding was accepted, so that it is not compressed.
        bytes.advance(PREFIX_BYTES);
        Ok(bytes)
    }
}

/// The status with its details.
fn to_rpc(status: &Status) -> pb::Status {
    let of_details = pb::Status::decode(status.details()).ok().filter(|_| !status.details().is_empty());
    of_details.unwrap_or_else(|| pb::Status {
        code: status.code() as i32,
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}
