//! Follows one job across lost connections: each new watch begins after the last event, so no event comes twice.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder, Retryable as _};
use sakuga_proto::generation::v1::{
    CancelJobRequest, CreateJobRequest, GenerateEvent, GenerateRequest, JobOptions, Placement, Priority,
    WatchJobRequest, watch_job_response::Message,
};
use tokio::sync::mpsc;
use tonic::{Code, Status};

use crate::connection::Connection;
use crate::error::ClientError;

/// Events buffered for the caller. Further ones wait on the server.
const BUFFERED: usize = 8;
/// Delay before a retry, doubled from the first to the last.
const DELAY_MIN: Duration = Duration::from_millis(100);
const DELAY_MAX: Duration = Duration::from_secs(5);
/// How long CancelJob may take when the caller drops the stream.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a job is followed without a connection.
#[derive(Clone, Copy, Debug)]
pub struct Resume {
    /// Total time of the retries without an event in between, after which the job counts as lost.
    pub patience: Duration,
}

impl Default for Resume {
    fn default() -> Self {
        Self { patience: Duration::from_secs(60) }
    }
}

impl Resume {
    /// The delays of the retries. They carry jitter, so that many clients do not reconnect at one moment.
    pub(crate) fn delays(self) -> ExponentialBuilder {
        ExponentialBuilder::new()
            .with_min_delay(DELAY_MIN)
            .with_max_delay(DELAY_MAX)
            .without_max_times()
            .with_total_delay(Some(self.patience))
            .with_jitter()
    }
}

/// How long a job may take, its share of the devices, and on how many of them it is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) timeout: Option<Duration>,
    pub(crate) priority: Priority,
    pub(crate) placement: Placement,
}

/// Whether a job is cancelled when the stream of its events is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnDrop {
    Cancel,
    LeaveRunning,
}

/// The events of one job, over as many connections as necessary.
#[derive(Debug)]
pub(crate) struct Follower {
    events: mpsc::Receiver<Result<GenerateEvent, ClientError>>,
}

impl Follower {
    /// Creates the job; `None` if the server has no JobService.
    pub(crate) async fn create(
        connection: &Connection,
        mut request: GenerateRequest,
        Policy { timeout, priority, placement }: Policy,
        resume: Resume,
    ) -> Result<Option<Self>, ClientError> {
        if request.request_id.is_empty() {
            // CreateJob is idempotent by this identifier, so that a repeated call finds the job of the first.
            request.request_id = random_id();
        }
        let options = JobOptions {
            // If this process dies, the server cancels the job after the grace.
            cancel_on_disconnect: true,
            disconnect_grace: prost_types::Duration::try_from(resume.patience).ok(),
            timeout: timeout.and_then(|timeout| prost_types::Duration::try_from(timeout).ok()),
            priority: priority.into(),
            placement: placement.into(),
        };
        let message = CreateJobRequest { request: Some(request), options: Some(options) };
        let create = async || {
            connection.jobs().create_job(message.clone()).await.map_err(|status| {
                let error = connection.explain(&status, timeout);
                (status, error)
            })
        };
        let created = create
            .retry(resume.delays())
            .sleep(tokio::time::sleep)
            .when(|(status, error)| is_temporary(status, error))
            .await;
        match created {
            Ok(response) => {
                let job_id = response.into_inner().job.unwrap_or_default().job_id;
                Ok(Some(Self::start(connection, job_id, None, resume, OnDrop::Cancel)))
            }
            Err((status, _)) if status.code() == Code::Unimplemented => Ok(None),
            Err((_, error)) => Err(error),
        }
    }

    /// Follows an existing job from its first event, or after the event `after`.
    pub(crate) fn start(
        connection: &Connection,
        job_id: String,
        after: Option<u64>,
        resume: Resume,
        on_drop: OnDrop,
    ) -> Self {
        let (sender, events) = mpsc::channel(BUFFERED);
        let connection = connection.clone();
        tokio::spawn(async move {
            let watch = Watch { connection: &connection, job_id: &job_id, after, is_over: false };
            tokio::select! {
                () = watch.follow(&sender, resume) => {}
                () = sender.closed() => {
                    if on_drop == OnDrop::Cancel {
                        cancel(&connection, &job_id).await;
                    }
                }
            }
        });
        Self { events }
    }

    pub(crate) fn poll_next(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<GenerateEvent, ClientError>>> {
        self.events.poll_recv(context)
    }
}

/// Cancels a job. A job that has ended stays as it is.
async fn cancel(connection: &Connection, job_id: &str) {
    let call = CancelJobRequest { job_id: job_id.to_owned() };
    let mut jobs = connection.jobs();
    // If this fails, the server cancels the job itself after `disconnect_grace`.
    let _ = tokio::time::timeout(CANCEL_TIMEOUT, jobs.cancel_job(call)).await;
}

/// One followed job.
struct Watch<'a> {
    connection: &'a Connection,
    job_id: &'a str,
    /// The last event that was sent to the caller.
    after: Option<u64>,
    is_over: bool,
}

impl Watch<'_> {
    /// Watches until the terminal event, an error that a retry cannot help, or the end of patience.
    async fn follow(mut self, sender: &mpsc::Sender<Result<GenerateEvent, ClientError>>, resume: Resume) {
        let mut delays: ExponentialBackoff = resume.delays().build();
        while !self.is_over {
            let before = self.after;
            let Err(status) = self.follow_once(sender).await else { return };
            if self.after != before {
                delays = resume.delays().build();
            }
            let error = self.connection.explain(&status, None);
            let delay = if is_temporary(&status, &error) { delays.next() } else { None };
            let Some(delay) = delay else {
                // The send fails if the caller dropped the stream; nobody needs the error then.
                let _ = sender.send(Err(error)).await;
                return;
            };
            tokio::time::sleep(delay).await;
        }
    }

    /// Watches over one connection, until the terminal event or the error that ended the connection.
    async fn follow_once(&mut self, sender: &mpsc::Sender<Result<GenerateEvent, ClientError>>) -> Result<(), Status> {
        let call = WatchJobRequest {
            job_id: self.job_id.to_owned(),
            after_sequence: self.after,
            ..WatchJobRequest::default()
        };
        let mut stream = self.connection.jobs().watch_job(call).await?.into_inner();
        while let Some(response) = stream.message().await? {
            match response.message {
                Some(Message::Event(event)) => {
                    self.is_over = event.event.as_ref().is_some_and(|event| event.is_terminal());
                    self.after = Some(event.sequence);
                    if sender.send(Ok(event)).await.is_err() || self.is_over {
                        return Ok(());
                    }
                }
                // All events below this number were sent, so the next watch can start there.
                Some(Message::Progress(progress)) if progress.next_sequence > 0 => {
                    self.after = self.after.max(Some(progress.next_sequence - 1));
                }
                _ => {}
            }
        }
        Err(Status::unavailable("the server ended the stream without a terminal event"))
    }
}

/// Whether the same call can succeed later: the connection failed, or the server restarts. A server whose engine is
/// unavailable is reported at once, since nothing says that it recovers.
pub(crate) fn is_temporary(status: &Status, error: &ClientError) -> bool {
    match error {
        ClientError::ConnectionLost { .. } | ClientError::NothingListens { .. } | ClientError::Unreachable { .. } => {
            true
        }
        ClientError::Refused(error) => {
            status.code() == Code::Unavailable && error.reason.as_deref() != Some("ENGINE_UNAVAILABLE")
        }
        _ => status.code() == Code::Unavailable,
    }
}

/// An identifier that no other call has.
fn random_id() -> String {
    let half = || RandomState::new().hash_one(std::time::SystemTime::now());
    format!("{:016x}{:016x}", half(), half())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::{ErrorDetails, StatusExt as _};

    #[test]
    fn retries_end_with_patience() {
        let resume = Resume { patience: Duration::from_secs(20) };
        let delays: Vec<Duration> = resume.delays().build().take(1000).collect();
        assert!((5..40).contains(&delays.len()), "{delays:?}");
        assert!(delays.iter().sum::<Duration>() <= resume.patience, "{delays:?}");
        assert!(delays[0] >= DELAY_MIN && delays.iter().all(|delay| *delay <= 2 * DELAY_MAX), "{delays:?}");
        assert_eq!(Resume { patience: Duration::ZERO }.delays().build().next(), None);
    }

    #[test]
    fn refusals_are_not_retried() {
        let explain = |status: &Status| ClientError::from_status(status, "http://a", None);
        let lost = ClientError::ConnectionLost { address: "http://a".into(), reason: "cut".into() };
        assert!(is_temporary(&Status::unavailable("cut"), &lost));
        let down = Status::unavailable("shutting down");
        assert!(is_temporary(&down, &explain(&down)));
        let details = ErrorDetails::with_error_info("ENGINE_UNAVAILABLE", "sakuga.dev", []);
        let broken = Status::with_error_details(Code::Unavailable, "no engine", details);
        assert!(!is_temporary(&broken, &explain(&broken)));
        let refused = Status::invalid_argument("no");
        assert!(!is_temporary(&refused, &explain(&refused)));
    }

    #[test]
    fn identifiers_differ() {
        assert_ne!(random_id(), random_id());
    }
}
