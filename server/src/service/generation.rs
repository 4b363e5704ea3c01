//! `sakuga.generation.v1.GenerationService`: a job and the stream of its events in one call.

use std::sync::Arc;
use std::time::SystemTime;

use futures::StreamExt as _;
use sakuga_proto::Encoded;
use sakuga_proto::generation::v1::generation_service_server::GenerationService;
use sakuga_proto::generation::v1::{EstimateRequest, EstimateResponse, GenerateRequest, GenerateResponse, JobOptions};
use tonic::{Request, Response, Status};

use super::caller::{caller, check_options};
use super::event_stream::EventStream;
use super::{Context, Messages, off_reactor, refuse};
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

    async fn estimate(&self, request: Request<EstimateRequest>) -> Result<Response<EstimateResponse>, Status> {
        let caller = caller(&request)?;
        let EstimateRequest { request, options } = request.into_inner();
        let options = options.unwrap_or_default();
        check_options(&options).map_err(|error| refuse(&error))?;
        // The semaphore is never closed.
        let permit = self.context.estimates.clone().acquire_owned().await.ok();
        let jobs = self.context.jobs.clone();
        let report = off_reactor(move |alive| {
            let _permit = permit;
            alive.check()?;
            jobs.estimate(&caller, request.unwrap_or_default(), &options)
        });
        let estimate = to_proto::estimate(report.await?, SystemTime::now());
        Ok(Response::new(EstimateResponse { estimate: Some(estimate) }))
    }
}
