//! `sakuga.generation.v1.GenerationService`: a job and the stream of its events in one call.

use std::sync::Arc;

use futures::StreamExt as _;
use sakuga_proto::Encoded;
use sakuga_proto::generation::v1::generation_service_server::GenerationService;
use sakuga_proto::generation::v1::{GenerateRequest, GenerateResponse, JobOptions};
use tonic::{Request, Response, Status};

use super::caller::caller;
use super::event_stream::EventStream;
use super::{Context, Messages, refuse};
use crate::jobs::Call;
use crate::wire::{deadline, to_proto};

/// Creates a job and streams its events.
pub(crate) struct Generation {
    context: Arc<Context>,
}

impl Generation {
    /// The service.
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

#[tonic::async_trait]
impl GenerationService for Generation {
    type GenerateStream = Messages<Encoded<GenerateResponse>>;

    async fn generate(&self, request: Request<GenerateRequest>) -> Result<Response<Self::GenerateStream>, Status> {
        let permit = self.context.stream_permit()?;
        let caller = caller(&request)?;
        let timeout = deadline::timeout(request.metadata()).and_then(to_proto::duration);
        let options = JobOptions { cancel_on_disconnect: true, timeout, ..JobOptions::default() };
        let trace_parent = request.extensions().get().copied();
        let call = Call { caller, request: request.into_inner(), options, trace_parent, is_watched: true };
        let jobs = self.context.jobs.clone();
        let created = jobs.create(call).await.map_err(|error| refuse(&error))?;
        // Dropping the stream drops the reader, which cancels the job.
        let events = EventStream::new(jobs, &created.job, created.reader).map(move |event| {
            let _open = &permit;
            event.map(Encoded::<GenerateResponse>::event).map_err(|error| refuse(&error))
        });
        Ok(Response::new(events.boxed()))
    }
}
