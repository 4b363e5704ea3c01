//! [`Watch`]: the stream of a WatchJob call.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sakuga_proto::Encoded;
use sakuga_proto::generation::v1::{WatchJobResponse, WatchProgress};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tonic::Status;

use super::{Context, refuse};
use crate::error::ServerError;
use crate::job_id::JobId;
use crate::jobs::CheckedPictures;
use crate::journal::{Next, Reader};
use crate::wire::to_proto;

/// The stream of a WatchJob call. Dropping it drops its reader.
pub(super) struct Watch {
    context: Arc<Context>,
    id: JobId,
    reader: Reader,
    pictures: CheckedPictures,
    interval: Duration,
    /// When `progress` is due if no event comes. It is moved on only when it expires: events come often, and each move
    /// costs more than the rest of an event.
    due: std::pin::Pin<Box<tokio::time::Sleep>>,
    /// When the last message was sent.
    sent: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Watch {
    pub(super) fn new(
        context: Arc<Context>,
        id: JobId,
        reader: Reader,
        pictures: CheckedPictures,
        interval: Duration,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let due = Box::pin(tokio::time::sleep(interval));
        Self { context, id, reader, pictures, interval, due, sent: Instant::now(), _permit: permit }
    }

    /// The next message, and the stream after it; `None` at the end.
    pub(super) async fn next(mut self) -> Option<(Result<Encoded<WatchJobResponse>, Status>, Option<Self>)> {
        let next = loop {
            tokio::select! {
                biased;
                next = self.reader.next() => break Some(next),
                () = self.due.as_mut() => {
                    let now = Instant::now();
                    let due = self.sent + self.interval;
                    self.due.as_mut().reset(if due > now { due } else { now + self.interval });
                    if due <= now {
                        break None;
                    }
                }
            }
        };
        self.sent = Instant::now();
        let message = match next {
            None => Ok(Encoded::progress(&self.progress())),
            Some(Next::Event(entry)) => {
                let event = self.context.jobs.event(&self.id, entry, &mut self.pictures).await;
                event.map(Encoded::<WatchJobResponse>::event)
            }
            Some(Next::End) => return None,
            Some(Next::Sealed) => Err(ServerError::ShuttingDown),
        };
        match message {
            Ok(message) => Some((Ok(message), Some(self))),
            Err(error) => Some((Err(refuse(&error)), None)),
        }
    }

    fn progress(&self) -> WatchProgress {
        WatchProgress {
            next_sequence: self.reader.next_sequence(),
            time: Some(to_proto::timestamp(SystemTime::now())),
            gpu_stats: self.context.latest_sample.borrow().as_ref().map(to_proto::gpu_stats),
        }
    }
}
