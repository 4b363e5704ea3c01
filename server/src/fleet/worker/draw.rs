//! Draws one item of work: its job becomes one of this process, whose events are appended to the fleet's log.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use prost::Message as _;
use sakuga_fleet::{Attempt, Begun, CancelRequests, DeadLetter, FleetError, Revised, Taken};
use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::{self as generation, CancelReason as Reason, GenerateEvent, JobOptions, Requeued};

use super::Worker;
use crate::error::ServerError;
use crate::event::CancelReason;
use crate::fleet::error::to_server;
use crate::fleet::piece::Piece;
use crate::fleet::record;
use crate::job_id::JobId;
use crate::jobs::{Call, Caller, Record};
use crate::journal::{Entry, Next, Reader};
use crate::wire::{status, to_proto};

/// When an item that this worker cannot draw now is delivered again.
const BUSY: Duration = Duration::from_secs(2);
/// How long a job that is no longer this worker's has to end here, before the device is free for the next one.
const LEAVE: Duration = Duration::from_secs(120);

/// How the drawing of a job went.
enum Drawn {
    /// Its terminal event is stored.
    Ended,
    /// It goes back to the fleet, because this worker stops.
    Returned,
    /// It was not begun, because this worker cannot at the moment.
    Left,
}

impl Worker {
    /// Draws the job of an item, unless another worker has it or it has ended.
    ///
    /// # Errors
    ///
    /// [`FleetError`]: then the item is delivered again, when this worker has been silent about it for long enough.
    pub(super) async fn take(&self, taken: Taken) -> Result<(), FleetError> {
        let job = taken.item.job.clone();
        if self.stopping.is_cancelled() {
            return taken.release(Duration::ZERO).await;
        }
        if !self.drawing.begin(&job) {
            return taken.release(BUSY).await;
        }
        let drawn = self.take_new(taken).await;
        self.drawing.end(&job);
        drawn
    }

    async fn take_new(&self, taken: Taken) -> Result<(), FleetError> {
        let job = taken.item.job.clone();
        let mut cancels = self.fleet.cancels.hear(&job).await?;
        let begun =
            Attempt::begin(&self.fleet.log, &job, (taken.item.attempt, taken.delivery), self.attempts_max).await?;
        match begun {
            Begun::Attempt(mut attempt) => match self.draw(&mut attempt, &mut cancels).await {
                Ok(Drawn::Ended) => taken.done().await,
                Ok(Drawn::Returned) => taken.release(Duration::ZERO).await,
                Ok(Drawn::Left) => taken.release(BUSY).await,
                Err(FleetError::Superseded { .. }) => {
                    tracing::info!(job_id = job, "the job has ended or another worker has it");
                    Ok(())
                }
                Err(error) => Err(error),
            },
            Begun::Superfluous => taken.done().await,
            Begun::Ended => {
                // The worker that ended it may have died before its record followed.
                record::read(&self.fleet, &job).await?;
                taken.done().await
            }
            Begun::Exhausted { mut attempt, attempts } => {
                let error = ServerError::Interrupted { attempts };
                let letter = DeadLetter::about(&taken.item, attempts, &self.name, &error.to_string());
                self.fleet.dead.put(&letter).await?;
                let failed = attempt.publish(Event::Failed(status::to_rpc(&error))).await?;
                record::follow(&self.fleet, &failed).await?;
                taken.done().await
            }
        }
    }

    async fn draw(&self, attempt: &mut Attempt, cancels: &mut CancelRequests) -> Result<Drawn, FleetError> {
        let (id, tail) = (JobId::named(&attempt.tail().job), attempt.tail().clone());
        let Some(Revised { record, .. }) = record::read(&self.fleet, id.as_str()).await? else {
            // It was deleted, or its gateway died before the job existed.
            return Ok(Drawn::Ended);
        };
        let record = Record::of_message(record);
        tracing::info!(job_id = %id, attempt = tail.attempt, "begun");
        let reader = match self.jobs.create_as(id.clone(), call(&record)).await {
            Ok(created) => created.reader,
            // They concern this worker and not the job.
            Err(error @ (ServerError::ShuttingDown | ServerError::EngineUnavailable(_) | ServerError::Store(_))) => {
                tracing::warn!(job_id = %id, %error, "the job is left to another worker");
                return Ok(Drawn::Left);
            }
            Err(error) => {
                tracing::error!(job_id = %id, %error, "the job cannot be begun");
                return self.end(attempt, Event::Failed(status::to_rpc(&error))).await;
            }
        };
        let Some(mut reader) = reader else {
            return Err(FleetError::Damaged(format!("job {id} cannot be read while it is drawn")));
        };
        let drawn = match self.publish_all(&id, attempt, &mut reader, cancels).await {
            // It would be as large for the next worker.
            Err(error @ FleetError::TooLarge { .. }) => {
                self.end(attempt, Event::Failed(status::to_rpc(&to_server(error)))).await
            }
            drawn => drawn,
        };
        self.leave(&id, reader, drawn.is_err()).await;
        drawn
    }

    /// Appends the events of a job as they come, until the terminal one.
    async fn publish_all(
        &self,
        id: &JobId,
        attempt: &mut Attempt,
        reader: &mut Reader,
        cancels: &mut CancelRequests,
    ) -> Result<Drawn, FleetError> {
        let mut picture: Option<(u32, String)> = None;
        loop {
            let next = tokio::select! {
                next = poll_fn(|context| reader.poll_next(context)) => next,
                reason = cancels.next() => {
                    self.jobs.cancel_live(id, reason_of(&reason));
                    continue;
                }
            };
            let entry = match next {
                Next::Event(entry) => entry,
                Next::End | Next::Sealed => {
                    let error = ServerError::ShuttingDown;
                    return self.give_back(attempt, &error).await;
                }
            };
            let event = GenerateEvent::decode(entry.frame.event());
            let event = event.map_err(|error| FleetError::Damaged(format!("an event of job {id}: {error}")))?;
            match event.event {
                // Those of the fleet are appended by gateways.
                None | Some(Event::Accepted(_) | Event::Queued(_)) => {}
                Some(event @ (Event::Preview(_) | Event::GpuStats(_))) => self.publish_lossy(attempt, event).await,
                Some(Event::ImageChunk(chunk)) => {
                    let chunk = self.store_piece(id, &entry, chunk, &mut picture).await?;
                    attempt.publish(Event::ImageChunk(chunk)).await?;
                }
                Some(Event::Cancelled(cancelled))
                    if cancelled.reason() == Reason::Shutdown && self.stopping.is_cancelled() =>
                {
                    return self.give_back(attempt, &ServerError::ShuttingDown).await;
                }
                Some(event @ (Event::Completed(_) | Event::Failed(_) | Event::Cancelled(_))) => {
                    return self.end(attempt, event).await;
                }
                Some(event @ Event::Started(_)) => {
                    let started = attempt.publish(event).await?;
                    record::follow(&self.fleet, &started).await?;
                }
                Some(event) => _ = attempt.publish(event).await?,
            }
        }
    }

    /// Sends a preview or a sample. One that is lost is no error.
    async fn publish_lossy(&self, attempt: &mut Attempt, event: Event) {
        let Some(sequence) = attempt.number_lossy() else { return };
        let (time, job_id) = (Some(SystemTime::now().into()), attempt.tail().job.clone());
        let event = GenerateEvent { sequence, time, job_id, event: Some(event) };
        if let Err(error) = self.fleet.live.publish(&event).await {
            tracing::debug!(job_id = event.job_id, %error, "a preview or sample is lost");
        }
    }

    /// Stores the picture of a piece, once for all of its pieces, and returns the piece as its event has it in the log.
    async fn store_piece(
        &self,
        id: &JobId,
        entry: &Entry,
        chunk: generation::ImageChunk,
        stored: &mut Option<(u32, String)>,
    ) -> Result<generation::ImageChunk, FleetError> {
        let Some(piece) = &entry.piece else {
            return Err(FleetError::Damaged(format!("a piece of a picture of job {id} has no bytes")));
        };
        let sha256 = match stored {
            Some((image_index, sha256)) if *image_index == chunk.image_index => sha256.clone(),
            _ => {
                let file = self.jobs.piece(id, chunk.image_index, 0..chunk.total_size).await;
                let file = file.map_err(|error| FleetError::Objects(error.to_string()))?;
                let sha256 = self.objects.of_job(id.as_str()).put(file).await?;
                *stored = Some((chunk.image_index, sha256.clone()));
                sha256
            }
        };
        Ok(Piece { sha256, len: piece.len }.stored(chunk))
    }

    /// Appends the terminal event and brings the record up to it.
    async fn end(&self, attempt: &mut Attempt, event: Event) -> Result<Drawn, FleetError> {
        let ended = attempt.publish(event).await?;
        record::follow(&self.fleet, &ended).await?;
        tracing::info!(job_id = ended.job_id, "ended");
        Ok(Drawn::Ended)
    }

    /// Returns a job that this worker does not draw to its end.
    async fn give_back(&self, attempt: &mut Attempt, why: &ServerError) -> Result<Drawn, FleetError> {
        tracing::info!(job_id = attempt.tail().job, %why, "the job goes back to the fleet");
        let requeued = attempt.publish(Event::Requeued(Requeued { attempt: attempt.number() + 1 })).await?;
        record::follow(&self.fleet, &requeued).await?;
        Ok(Drawn::Returned)
    }

    /// Ends and forgets the job of this process, so that another attempt of the same job can be drawn here.
    async fn leave(&self, id: &JobId, mut reader: Reader, must_end: bool) {
        if must_end {
            self.jobs.cancel_live(id, CancelReason::Shutdown);
        }
        let to_the_end = async { while let Next::Event(_) = poll_fn(|context| reader.poll_next(context)).await {} };
        if tokio::time::timeout(LEAVE, to_the_end).await.is_err() {
            tracing::error!(job_id = %id, "a job that was cancelled does not end");
            self.drawing.keep(id.as_str());
            return;
        }
        drop(reader);
        if let Err(error) = self.jobs.leave_to_fleet(id).await {
            tracing::warn!(job_id = %id, %error, "a job that was drawn is deleted later");
        }
    }
}

/// The call that creates the job in this process.
fn call(record: &Record) -> Call {
    let job = record.job();
    let left = job.deadline.and_then(|deadline| SystemTime::try_from(deadline).ok()).map(|deadline| {
        // One that has passed by the clock of this host ends the job before its first step.
        deadline.duration_since(SystemTime::now()).unwrap_or(Duration::from_millis(1))
    });
    let options = job.options.unwrap_or_default();
    let options = JobOptions {
        cancel_on_disconnect: false,
        disconnect_grace: None,
        timeout: left.and_then(to_proto::duration),
        ..options
    };
    let (client, owner): (Arc<str>, Arc<str>) = (job.client_id.as_str().into(), record.owner().into());
    let caller = Caller { client, owner, former_owner: None, sees_all: false };
    let request = job.request.clone().unwrap_or_default();
    Call { caller, request, options, trace_parent: None, is_watched: true }
}

/// The reason that a gateway names.
fn reason_of(name: &str) -> CancelReason {
    match Reason::from_str_name(name) {
        Some(Reason::ClientGone) => CancelReason::ClientGone,
        Some(Reason::Deadline) => CancelReason::Deadline,
        Some(Reason::Shutdown) => CancelReason::Shutdown,
        Some(Reason::Requested | Reason::Unspecified) | None => CancelReason::Requested,
    }
}
