//! `sakuga.generation.v1.GenerationService`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Instant;

use sakuga_proto::generation::v1::generation_service_server::GenerationService;
use sakuga_proto::generation::v1::{GenerateRequest, GenerateResponse};
use sakuga_schema::Diagnostic;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_stream::Stream;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status};

use super::{Context, off_reactor, refuse};
use crate::error::ServerError;
use crate::event::CancelReason;
use crate::job::{Job, JobId, JobOrder, Ticket};
use crate::stream::{self, EventStream};
use crate::wire::to_proto::JobContext;
use crate::wire::{deadline, from_proto, metadata, to_proto};

/// Draws pictures.
pub struct Generation {
    context: Arc<Context>,
    /// One permit for each stream that may be open.
    streams: Arc<Semaphore>,
}

impl Generation {
    /// The service.
    pub fn new(context: Arc<Context>) -> Self {
        let streams = Arc::new(Semaphore::new(context.limits.streams_max.min(Semaphore::MAX_PERMITS)));
        Self { context, streams }
    }
}

#[tonic::async_trait]
impl GenerationService for Generation {
    type GenerateStream = GenerateStream;

    async fn generate(&self, request: Request<GenerateRequest>) -> Result<Response<GenerateStream>, Status> {
        let deadline = deadline::timeout(request.metadata()).and_then(|timeout| Instant::now().checked_add(timeout));
        let Ok(permit) = self.streams.clone().try_acquire_owned() else {
            return Err(refuse(&ServerError::TooManyStreams { limit: self.context.limits.streams_max }));
        };
        let ticket = Ticket::new(deadline);
        let (context, id, message) = (self.context.clone(), ticket.id.clone(), request.into_inner());
        let prepared = off_reactor(move || prepare(&context, id, message)).await?;
        let stream = self.submit(ticket, prepared, deadline, permit).map_err(|error| refuse(&error))?;
        Ok(Response::new(stream))
    }
}

/// A checked request in the forms in which it is needed.
struct Prepared {
    context: JobContext,
    order: JobOrder,
    diagnostics: Vec<Diagnostic>,
}

fn prepare(context: &Context, job_id: JobId, message: GenerateRequest) -> Result<Prepared, ServerError> {
    let request = from_proto::draft(message).check(context.law(), draw_seed)?;
    let resolved = to_proto::resolved(&request);
    let metadata: Vec<_> = (0..request.spec().images)
        .map(|index| metadata::image_metadata(&request, &resolved, &context.engine, index))
        .collect();
    let texts = metadata.iter().map(|metadata| metadata::text_chunks(metadata, &request));
    let order = JobOrder {
        request_id: request.request_id().to_owned(),
        spec: request.spec().clone(),
        preview: request.preview(),
        stats_interval: request.stats_interval(),
        texts: texts.collect::<Result<_, _>>().map_err(|error| ServerError::Internal(error.to_string()))?,
    };
    let device = context.engine.device.clone();
    let model_notice = context.engine.model.notice.clone();
    let diagnostics = request.diagnostics().to_vec();
    Ok(Prepared { context: JobContext { job_id, resolved, device, model_notice, metadata }, order, diagnostics })
}

/// A seed of 32 bits: short enough to be read out and typed again.
fn draw_seed() -> u64 {
    // Without the system's randomness the clock is random enough for a picture.
    let clock = || std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.subsec_nanos());
    getrandom::u32().unwrap_or_else(|_| clock()).into()
}

impl Generation {
    fn submit(
        &self,
        ticket: Ticket,
        prepared: Prepared,
        deadline: Option<Instant>,
        permit: OwnedSemaphorePermit,
    ) -> Result<GenerateStream, ServerError> {
        let Prepared { context, order, diagnostics } = prepared;
        let scheduler = self.context.scheduler.clone();
        let (spec, request_id) = (&order.spec, &order.request_id);
        tracing::info!(
            job_id = %ticket.id,
            request_id,
            images = spec.images,
            steps = spec.steps,
            width_px = spec.width_px,
            height_px = spec.height_px,
            "submitted"
        );
        tracing::debug!(job_id = %ticket.id, text = spec.text, negative = spec.negative, "prompt");
        let (on_drop, dropped) = (scheduler.clone(), ticket.clone());
        let (sink, events) = stream::pipe(move || on_drop.cancel(&dropped, CancelReason::ClientGone));
        let job = Job::new(ticket.clone(), order, sink, scheduler.live());
        scheduler.submit(job, diagnostics)?;
        let deadline = deadline.map(|deadline| {
            AbortOnDropHandle::new(tokio::spawn(async move {
                tokio::time::sleep_until(deadline.into()).await;
                scheduler.cancel(&ticket, CancelReason::Deadline);
            }))
        });
        Ok(GenerateStream { events, context, _deadline: deadline, _permit: permit })
    }
}

/// A job's events on the wire. Dropping it gives the job up.
pub struct GenerateStream {
    events: EventStream,
    context: JobContext,
    /// Gives the job up in time, also while it waits or nobody reads.
    _deadline: Option<AbortOnDropHandle<()>>,
    _permit: OwnedSemaphorePermit,
}

impl Stream for GenerateStream {
    type Item = Result<GenerateResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<Option<Self::Item>> {
        let event = ready!(Pin::new(&mut self.events).poll_next(context));
        Poll::Ready(event.map(|event| Ok(GenerateResponse { event: Some(to_proto::event(&self.context, event)) })))
    }
}
