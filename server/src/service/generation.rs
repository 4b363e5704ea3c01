//! `sakuga.generation.v1.GenerationService`: a job and the stream of its events in one call.

use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::SystemTime;

use futures::stream::{self, Empty};
use sakuga_proto::Encoded;
use sakuga_proto::generation::v1::generation_service_server::GenerationService;
use sakuga_proto::generation::v1::{EstimateRequest, EstimateResponse, GenerateRequest, GenerateResponse, JobOptions};
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Request, Response, Status};

use super::caller::{caller, check_options};
use super::event_stream::{EventBody, EventStream, StreamMessage, StreamMessages};
use super::{Context, off_reactor, refuse};
use crate::jobs::Call;
use crate::wire::{deadline, frame, to_proto};

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

/// The stream of a Generate call. Dropping it drops the reader, which cancels the job.
struct Events {
    events: EventStream,
    _permit: OwnedSemaphorePermit,
}

impl StreamMessages for Events {
    fn poll_message(&mut self, context: &mut TaskContext<'_>) -> Poll<Option<Result<StreamMessage, Status>>> {
        let event = ready!(self.events.poll_event(context));
        Poll::Ready(event.map(|event| match event {
            Ok((event, is_preview)) => Ok(StreamMessage { frame: frame::of_generate(&event), is_preview }),
            Err(error) => Err(refuse(&error)),
        }))
    }
}

#[tonic::async_trait]
impl GenerationService for Generation {
    type GenerateStream = Empty<Result<Encoded<GenerateResponse>, Status>>;

    async fn generate(&self, request: Request<GenerateRequest>) -> Result<Response<Self::GenerateStream>, Status> {
        let permit = self.context.stream_permit()?;
        let caller = caller(&request)?;
        let timeout = deadline::timeout(request.metadata()).and_then(to_proto::duration);
        let options = JobOptions { cancel_on_disconnect: true, timeout, ..JobOptions::default() };
        let trace_parent = request.extensions().get().copied();
        let call = Call { caller, request: request.into_inner(), options, trace_parent, is_watched: true };
        let jobs = self.context.jobs.clone();
        let created = jobs.create(call).await.map_err(|error| refuse(&error))?;
        let events = Events { events: EventStream::new(jobs, &created.job, created.reader), _permit: permit };
        let mut response = Response::new(stream::empty());
        response.extensions_mut().insert(EventBody::answer(events, self.context.outgoing.stream()));
        Ok(response)
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
