//! `sakuga.generation.v1.GenerationService` of a gateway.

use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt as _};
use prost::Message as _;
use sakuga_proto::Encoded;
use sakuga_proto::generation::v1::generation_service_server::GenerationService;
use sakuga_proto::generation::v1::{EstimateRequest, EstimateResponse, GenerateRequest, GenerateResponse, JobOptions};
use tonic::{Request, Response, Status};

use super::{Gateway, events};
use crate::error::ServerError;
use crate::fleet::question::{FORWARDED, Question};
use crate::jobs::Call;
use crate::service::caller::{caller, check_options};
use crate::service::refuse;
use crate::wire::{deadline, to_proto};

/// Creates a job and streams its events.
pub(super) struct Generation {
    gateway: Arc<Gateway>,
}

impl Generation {
    pub(super) fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }
}

#[tonic::async_trait]
impl GenerationService for Generation {
    type GenerateStream = BoxStream<'static, Result<Encoded<GenerateResponse>, Status>>;

    async fn generate(&self, request: Request<GenerateRequest>) -> Result<Response<Self::GenerateStream>, Status> {
        let permit = self.gateway.stream_permit()?;
        let caller = caller(&request)?;
        let timeout = deadline::timeout(request.metadata()).and_then(to_proto::duration);
        let options = JobOptions { cancel_on_disconnect: true, timeout, ..JobOptions::default() };
        let trace_parent = request.extensions().get().copied();
        let call = Call { caller, request: request.into_inner(), options, trace_parent, is_watched: true };
        let created = self.gateway.create(call).await?;
        let events = events::read(self.gateway.clone(), created.job, 0);
        let messages = stream::unfold((events, permit), async |(mut events, permit)| {
            let message = match events.recv().await? {
                Ok(event) => Ok(Encoded::<GenerateResponse>::event(event.encode_to_vec().into())),
                Err(error) => Err(refuse(&error)),
            };
            Some((message, (events, permit)))
        });
        let mut answer = Response::new(messages.boxed());
        // What is large in it is a compressed picture.
        answer.disable_compression();
        Ok(answer)
    }

    async fn estimate(&self, request: Request<EstimateRequest>) -> Result<Response<EstimateResponse>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        check_options(&message.options.unwrap_or_default()).map_err(|error| refuse(&error))?;
        let model = message.request.as_ref().map(|request| request.model.clone()).unwrap_or_default();
        let question = Question {
            path: FORWARDED[0].into(),
            message: message.encode_to_vec().into(),
            client: caller.client.to_string(),
            ..Question::default()
        };
        let answer = self.gateway.ask(&model, &question).await?;
        let answer = EstimateResponse::decode(answer);
        let damaged =
            |error: prost::DecodeError| refuse(&ServerError::Internal(format!("the answer of a worker: {error}")));
        answer.map(Response::new).map_err(damaged)
    }
}
