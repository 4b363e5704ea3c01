//! [`Feed`]: the decoded events of a job, without the pieces of its pictures.

use std::future::poll_fn;

use prost::Message as _;
use sakuga_proto::generation::v1::{CancelReason, Completed, GenerateEvent, generate_event::Event};
use tonic::{Code, Status};

use crate::error::ServerError;
use crate::journal::{Next, Reader};
use crate::service::refuse;

/// The events of a job. Dropping it stops watching the job, which may cancel it.
pub(super) struct Feed(Reader);

impl Feed {
    pub(super) fn new(reader: Reader) -> Self {
        Self(reader)
    }

    /// The next event; `None` after the last. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`ServerError::ShuttingDown`], or [`ServerError::Internal`] for an event that cannot be decoded.
    pub(super) async fn next(&mut self) -> Result<Option<GenerateEvent>, ServerError> {
        loop {
            match poll_fn(|context| self.0.poll_next(context)).await {
                // Pictures are read from the store when the job has completed.
                Next::Event(entry) if entry.piece.is_some() => {}
                Next::Event(entry) => {
                    let event = GenerateEvent::decode(entry.frame.event());
                    return event.map(Some).map_err(|error| ServerError::Internal(error.to_string()));
                }
                Next::End => return Ok(None),
                Next::Sealed => return Err(ServerError::ShuttingDown),
            }
        }
    }

    /// Waits for the end of the job, and returns its time in seconds since 1970.
    ///
    /// # Errors
    ///
    /// The job failed or was cancelled, or the server is stopping.
    pub(super) async fn completed(&mut self) -> Result<(Completed, i64), Status> {
        while let Some(event) = self.next().await.map_err(|error| refuse(&error))? {
            let time = seconds(&event);
            if let Some(end) = event.event.and_then(end) {
                return end.map(|completed| (completed, time));
            }
        }
        Err(refuse(&ServerError::Internal("a job has no last event".into())))
    }
}

/// When it happened, in seconds since 1970.
pub(super) fn seconds(event: &GenerateEvent) -> i64 {
    event.time.map_or(0, |time| time.seconds)
}

/// The end of a job, if the event is that.
pub(super) fn end(event: Event) -> Option<Result<Completed, Status>> {
    let cancelled = |why| Some(Err(refuse(&ServerError::Cancelled(why))));
    match event {
        Event::Completed(completed) => Some(Ok(completed)),
        Event::Failed(status) => {
            let details = status.encode_to_vec().into();
            Some(Err(Status::with_details(Code::from_i32(status.code), status.message, details)))
        }
        Event::Cancelled(why) => match why.reason() {
            CancelReason::Shutdown => Some(Err(refuse(&ServerError::ShuttingDown))),
            CancelReason::Deadline => cancelled("its time is over"),
            CancelReason::ClientGone => cancelled("nobody read its events"),
            CancelReason::Requested | CancelReason::Unspecified => cancelled("by a call of CancelJob"),
        },
        _ => None,
    }
}
