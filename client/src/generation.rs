//! The event stream of one job: checks the order of events, assembles pictures, and always ends with a terminal event
//! or an error.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use sakuga_proto::generation::v1::generate_event::Event as WireEvent;
use sakuga_proto::generation::v1::{GenerateEvent, GenerateRequest, GenerateResponse};
use tokio::time::Sleep;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Streaming};

use crate::assemble::Assembler;
use crate::connection::Connection;
use crate::error::{ClientError, ServerError};
use crate::event::{Completed, Event, EventKind};
use crate::follow::{Follower, OnDrop, Policy, Resume};

/// How long after the deadline this side still waits, so that the server's terminal event can arrive.
const DEADLINE_GRACE: Duration = Duration::from_secs(2);

/// Sees every event as received, before it is checked.
pub(crate) type Tap = Box<dyn FnMut(&GenerateEvent) + Send>;

/// The running job of one request. Dropping it cancels the job at the next step.
///
/// The stream ends after a terminal event ([`EventKind::is_terminal`]) or after an error, never without either.
pub struct Generation {
    stream: Source,
    address: String,
    assembler: Option<Assembler>,
    max_pictures_bytes: u64,
    wants_pictures: bool,
    next_sequence: u64,
    missed: u64,
    deadline: Option<(Duration, Pin<Box<Sleep>>)>,
    tap: Option<Tap>,
    is_over: bool,
}

/// Where events come from.
enum Source {
    /// Generate: the events end with the connection.
    Call(Box<Streaming<GenerateResponse>>),
    /// A job, over as many connections as it takes.
    Job(Follower),
}

impl Generation {
    /// Sends the request with Generate.
    pub(crate) async fn start(
        connection: &Connection,
        request: GenerateRequest,
        deadline: Option<Duration>,
        tap: Option<Tap>,
    ) -> Result<Self, ClientError> {
        let mut call = Request::new(request);
        // The clock starts before the call, as the server's does.
        let sleep = deadline.map(|after| {
            call.set_timeout(after);
            (after, Box::pin(tokio::time::sleep(after.saturating_add(DEADLINE_GRACE))))
        });
        let response = connection.generations().generate(call).await;
        let stream = response.map_err(|status| connection.explain(&status, deadline))?;
        Ok(Self { deadline: sleep, tap, ..Self::new(connection, Source::Call(Box::new(stream.into_inner())), 0) })
    }

    /// Sends the request with CreateJob and watches the job; with Generate if the server has no JobService.
    pub(crate) async fn start_resuming(
        connection: &Connection,
        request: GenerateRequest,
        policy: Policy,
        tap: Option<Tap>,
        resume: Resume,
    ) -> Result<Self, ClientError> {
        match Follower::create(connection, request.clone(), policy, resume).await? {
            Some(follower) => Ok(Self { tap, ..Self::new(connection, Source::Job(follower), 0) }),
            None => Self::start(connection, request, policy.timeout, tap).await,
        }
    }

    /// Watches an existing job, which continues when the stream is dropped.
    pub(crate) fn watch(connection: &Connection, job_id: String, after: Option<u64>, resume: Resume) -> Self {
        let follower = Follower::start(connection, job_id, after, resume, OnDrop::LeaveRunning);
        Self::new(connection, Source::Job(follower), after.map_or(0, |after| after.saturating_add(1)))
    }

    fn new(connection: &Connection, stream: Source, next_sequence: u64) -> Self {
        let max_pictures_bytes = connection.options().max_pictures_bytes;
        Self {
            stream,
            address: connection.address().to_owned(),
            assembler: Some(Assembler::new(max_pictures_bytes)),
            max_pictures_bytes,
            wants_pictures: true,
            next_sequence,
            missed: 0,
            deadline: None,
            tap: None,
            is_over: false,
        }
    }

    /// Calls `tap` with every event as received, before it is checked.
    pub fn with_tap(mut self, tap: impl FnMut(&GenerateEvent) + Send + 'static) -> Self {
        self.tap = Some(Box::new(tap));
        self
    }

    /// Discards the pieces of pictures, for a caller that only follows the progress. `Completed` then has no pictures.
    pub fn without_pictures(mut self) -> Self {
        self.wants_pictures = false;
        self
    }

    /// The next event; `None` after the terminal one.
    ///
    /// # Errors
    ///
    /// [`ClientError::Failed`] for the terminal event `failed`; else what [`ClientError`] lists for a connection, a
    /// deadline, a picture or a protocol that does not hold. Nothing comes after an error.
    pub async fn next_event(&mut self) -> Result<Option<Event>, ClientError> {
        self.next().await.transpose()
    }

    /// How many events the server dropped so far, because this side read too slowly.
    pub fn missed_events(&self) -> u64 {
        self.missed
    }

    /// The next event as received; `None` at the end of the stream.
    fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<GenerateEvent, ClientError>>> {
        let deadline = self.deadline.as_ref().map(|(after, _)| *after);
        let stream = match &mut self.stream {
            Source::Job(follower) => return follower.poll_next(context),
            Source::Call(stream) => stream,
        };
        let item = std::task::ready!(Pin::new(&mut **stream).poll_next(context));
        Poll::Ready(item.map(|response| match response {
            Ok(response) => response.event.ok_or_else(|| ClientError::Protocol("a message holds no event".to_owned())),
            Err(status) => Err(match ClientError::from_status(&status, &self.address, deadline) {
                // After the first event the request was accepted, so an error is a failure of the job.
                ClientError::Refused(error) if self.next_sequence > 0 => ClientError::Failed(error),
                other => other,
            }),
        }))
    }

    fn accept(&mut self, event: GenerateEvent) -> Result<Event, ClientError> {
        if let Some(tap) = &mut self.tap {
            tap(&event);
        }
        let Some(missed_before) = event.sequence.checked_sub(self.next_sequence) else {
            return Err(ClientError::Protocol(format!(
                "event {} came after event {}",
                event.sequence,
                self.next_sequence.saturating_sub(1)
            )));
        };
        // The server leaves a gap in the numbers before `requeued`; no event is missing there.
        let is_requeued = matches!(event.event, Some(WireEvent::Requeued(_)));
        let missed_before = if is_requeued { 0 } else { missed_before };
        self.next_sequence = event.sequence.saturating_add(1);
        self.missed = self.missed.saturating_add(missed_before);
        let kind = self.kind(event.event)?;
        let time = event.time.and_then(sakuga_proto::time::system_time);
        Ok(Event { sequence: event.sequence, time, job_id: event.job_id, missed_before, kind })
    }

    fn kind(&mut self, event: Option<WireEvent>) -> Result<EventKind, ClientError> {
        match event {
            None => Ok(EventKind::Unknown),
            Some(WireEvent::ImageChunk(chunk)) if !self.wants_pictures => Ok(EventKind::Receiving {
                image_index: chunk.image_index,
                received_bytes: chunk.offset.saturating_add(chunk.data.len() as u64),
                total_bytes: chunk.total_size,
            }),
            Some(WireEvent::ImageChunk(chunk)) => {
                let assembler = self.assembler.as_mut().ok_or_else(after_the_end)?;
                let received = assembler.add(chunk)?;
                Ok(EventKind::Receiving {
                    image_index: received.image_index,
                    received_bytes: received.received_bytes,
                    total_bytes: received.total_bytes,
                })
            }
            Some(WireEvent::Requeued(requeued)) => {
                // The job starts again, so pieces of pictures that arrived before are void.
                self.assembler = Some(Assembler::new(self.max_pictures_bytes));
                Ok(EventKind::Requeued(requeued))
            }
            Some(WireEvent::Completed(completed)) => {
                let assembler = self.assembler.take().ok_or_else(after_the_end)?;
                let pictures = if self.wants_pictures { assembler.finish(completed.images)? } else { Vec::new() };
                let timings = completed.timings.unwrap_or_default();
                Ok(EventKind::Completed(Box::new(Completed { pictures, timings })))
            }
            Some(WireEvent::Failed(status)) => Err(ClientError::Failed(Box::new(ServerError::from(&status)))),
            Some(WireEvent::Cancelled(cancelled)) => Ok(EventKind::Cancelled(cancelled)),
            Some(other) => Ok(EventKind::of(other).unwrap_or(EventKind::Unknown)),
        }
    }

    fn without_end(&self) -> ClientError {
        ClientError::Protocol(format!(
            "the stream ended after {} events without a terminal event",
            self.next_sequence - self.missed
        ))
    }
}

fn after_the_end() -> ClientError {
    ClientError::Protocol("an event came after the terminal one".to_owned())
}

impl Stream for Generation {
    type Item = Result<Event, ClientError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(None);
        }
        let item = match this.poll_source(context) {
            Poll::Ready(Some(Ok(event))) => this.accept(event),
            Poll::Ready(Some(Err(error))) => Err(error),
            Poll::Ready(None) => Err(this.without_end()),
            Poll::Pending => {
                let Some((after, sleep)) = &mut this.deadline else { return Poll::Pending };
                if sleep.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                Err(ClientError::DeadlineExceeded { after: Some(*after) })
            }
        };
        this.is_over = item.as_ref().map_or(true, |event| event.kind.is_terminal());
        Poll::Ready(Some(item))
    }
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Generation")
            .field("address", &self.address)
            .field("next_sequence", &self.next_sequence)
            .field("missed", &self.missed)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}
