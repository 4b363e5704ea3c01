//! [`draw`]: one job from its request to its pictures. A server that is busy is asked again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use sakuga_client::proto::generation::v1::{CancelJobRequest, GenerateRequest, Placement, Priority};
use sakuga_client::{Client, ClientError, EventKind, Picture, Resume, cancel_reason};
use tokio::task::JoinSet;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;

/// Time before a server that is busy is asked again, unless it names one; doubled from the first to the last.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long CancelJob may take after an interruption, for all jobs together.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// The jobs that are on the server.
#[derive(Clone, Default)]
pub(crate) struct Running(Arc<Mutex<BTreeSet<String>>>);

impl Running {
    fn change(&self, change: impl FnOnce(&mut BTreeSet<String>)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Cancels all of them. If this fails, the server cancels them once their readers have been gone for a while.
    pub(crate) async fn cancel(&self, client: &Client) {
        let mut calls = JoinSet::new();
        self.change(|jobs| {
            for job_id in std::mem::take(jobs) {
                let client = client.clone();
                calls.spawn(async move { client.jobs().cancel_job(CancelJobRequest { job_id }).await });
            }
        });
        let _ = tokio::time::timeout(CANCEL_TIMEOUT, async { while calls.join_next().await.is_some() {} }).await;
    }
}

/// Draws the pictures of a request.
pub(crate) async fn draw(
    client: Client,
    request: GenerateRequest,
    (timeout, priority, placement): (Option<Duration>, Priority, Placement),
    running: Running,
) -> Result<Vec<Picture>, Failure> {
    let pauses =
        ExponentialBuilder::new().with_min_delay(PAUSE_MIN).with_max_delay(PAUSE_MAX).without_max_times().with_jitter();
    let start = || async {
        let mut generation = client.generation().request(request.clone()).priority(priority).placement(placement);
        if let Some(timeout) = timeout {
            generation = generation.deadline(timeout);
        }
        generation.start_resuming(Resume::default()).await
    };
    let started = start
        .retry(pauses)
        .sleep(tokio::time::sleep)
        .when(is_busy)
        .adjust(|error, pause| pause.map(|pause| named_pause(error).unwrap_or(pause)));
    let mut generation = started.await?;
    let mut known = None;
    let ended = loop {
        let event = match generation.next_event().await {
            Ok(Some(event)) => event,
            Ok(None) => break Err(Failure::new(Exit::Server, "the server ended the stream without a terminal event")),
            Err(error) => break Err(error.into()),
        };
        if known.is_none() {
            running.change(|jobs| _ = jobs.insert(event.job_id.clone()));
            known = Some(event.job_id.clone());
        }
        match event.kind {
            EventKind::Completed(completed) => break Ok(completed.pictures),
            EventKind::Cancelled(cancelled) => {
                let reason = cancel_reason(cancelled.reason());
                break Err(Failure::new(Exit::Cancelled, format_args!("cancelled: {reason}")));
            }
            _ => {}
        }
    };
    if let Some(job_id) = known {
        running.change(|jobs| _ = jobs.remove(&job_id));
    }
    ended
}

/// Whether the server refused a job because it, or this client, has as many as it may. A message that is too large is
/// refused with the same code, and stays too large.
fn is_busy(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused(refusal) if refusal.code == tonic::Code::ResourceExhausted
        && refusal.reason.as_deref() != Some("MESSAGE_TOO_LARGE"))
}

/// The time that the server names, at most the longest pause of this side.
fn named_pause(error: &ClientError) -> Option<Duration> {
    match error {
        ClientError::Refused(refusal) => refusal.retry_after.map(|after| after.clamp(PAUSE_MIN / 10, PAUSE_MAX)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use sakuga_client::ServerError;
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    fn refused(code: tonic::Code, reason: &str, retry_after: Option<Duration>) -> ClientError {
        let mut details = ErrorDetails::with_error_info(reason, "sakuga.dev", []);
        details.set_retry_info(retry_after);
        ClientError::Refused(Box::new(ServerError::from(&tonic::Status::with_error_details(code, "no", details))))
    }

    #[test]
    fn a_busy_server_is_asked_again_when_it_says() {
        let busy = refused(tonic::Code::ResourceExhausted, "QUEUE_FULL", Some(Duration::from_secs(3)));
        assert!(is_busy(&busy) && named_pause(&busy) == Some(Duration::from_secs(3)));
        let far = refused(tonic::Code::ResourceExhausted, "CLIENT_RATE", Some(Duration::from_secs(3600)));
        assert_eq!(named_pause(&far), Some(PAUSE_MAX));
        let plain = refused(tonic::Code::ResourceExhausted, "TOO_MANY_STREAMS", None);
        assert!(is_busy(&plain) && named_pause(&plain).is_none());
        assert!(!is_busy(&refused(tonic::Code::ResourceExhausted, "MESSAGE_TOO_LARGE", None)));
        assert!(!is_busy(&refused(tonic::Code::InvalidArgument, "INVALID_REQUEST", None)));
    }
}
