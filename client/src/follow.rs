//! Follows a job through broken connections: after a cut the watch goes on behind the last event, and nothing comes twice.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use sakuga_proto::generation::v1::{
    CancelJobRequest, CreateJobRequest, GenerateEvent, GenerateRequest, JobOptions, WatchJobRequest,
    generate_event::Event, watch_job_response::Message,
};
use tokio::sync::mpsc;
use tonic::{Code, Status};

use crate::connect::Client;
use crate::error::ClientError;

/// Events that wait for the caller; the server keeps the rest.
const BUFFERED: usize = 8;
/// Time between two attempts, doubled from the first to the last.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long the server may take to give a job up at the end.
const CANCEL_PATIENCE: Duration = Duration::from_secs(2);

/// How a job is followed.
#[derive(Clone, Copy, Debug)]
pub struct Resume {
    /// How long the connection may be away before the job is given up as lost.
    pub patience: Duration,
}

impl Default for Resume {
    fn default() -> Self {
        Self { patience: Duration::from_secs(60) }
    }
}

/// A job's events as they come, over as many connections as it takes. Dropping it cancels the job.
#[derive(Debug)]
pub(crate) struct Follower {
    events: mpsc::Receiver<Result<GenerateEvent, ClientError>>,
}

impl Follower {
    /// Creates the job; `None` if the server knows no jobs.
    pub(crate) async fn create(
        client: &Client,
        mut request: GenerateRequest,
        timeout: Option<Duration>,
        resume: Resume,
    ) -> Result<Option<Self>, ClientError> {
        if request.request_id.is_empty() {
            // A name of our own, so that a repeated call finds the job that the first one made.
            request.request_id = random_name();
        }
        let options = JobOptions {
            // Should this program die, the job goes soon after it.
            cancel_on_disconnect: true,
            disconnect_grace: prost_types::Duration::try_from(resume.patience).ok(),
            timeout: timeout.and_then(|timeout| prost_types::Duration::try_from(timeout).ok()),
            ..JobOptions::default()
        };
        let message = CreateJobRequest { request: Some(request), options: Some(options) };
        let mut pauses = Pauses::new(resume.patience);
        let job_id = loop {
            match client.jobs().create_job(message.clone()).await {
                Ok(response) => break response.into_inner().job.unwrap_or_default().job_id,
                Err(status) if status.code() == Code::Unimplemented => return Ok(None),
                Err(status) => pauses.after(client.explain_within(&status, timeout), &status).await?,
            }
        };
        Ok(Some(Self::watch(client, job_id, None, resume)))
    }

    /// Follows a job that is there, behind an event.
    pub(crate) fn watch(client: &Client, job_id: String, after: Option<u64>, resume: Resume) -> Self {
        Self::start(client, job_id, after, resume, true)
    }

    /// The same, and leaves the job alone when it is dropped.
    pub(crate) fn look_on(client: &Client, job_id: String, after: Option<u64>, resume: Resume) -> Self {
        Self::start(client, job_id, after, resume, false)
    }

    fn start(client: &Client, job_id: String, after: Option<u64>, resume: Resume, owns: bool) -> Self {
        let (sender, events) = mpsc::channel(BUFFERED);
        let client = client.clone();
        tokio::spawn(async move {
            let watch = Watch { client: &client, job_id: &job_id, after, is_over: false };
            tokio::select! {
                () = watch.follow(&sender, resume) => {}
                () = sender.closed(), if owns => cancel(&client, &job_id).await,
                () = sender.closed(), if !owns => {}
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

/// Gives a job up. One that has ended stays as it is.
pub(crate) async fn cancel(client: &Client, job_id: &str) {
    let call = CancelJobRequest { job_id: job_id.to_owned() };
    let mut jobs = client.jobs();
    // Without an answer the server gives the job up by itself, after its grace.
    let _ = tokio::time::timeout(CANCEL_PATIENCE, jobs.cancel_job(call)).await;
}

/// One job that is followed.
struct Watch<'a> {
    client: &'a Client,
    job_id: &'a str,
    /// The last event that was handed on.
    after: Option<u64>,
    is_over: bool,
}

impl Watch<'_> {
    async fn follow(mut self, sender: &mpsc::Sender<Result<GenerateEvent, ClientError>>, resume: Resume) {
        let mut pauses = Pauses::new(resume.patience);
        while !self.is_over {
            let before = self.after;
            let Err(status) = self.follow_once(sender).await else { return };
            if self.after != before {
                pauses = Pauses::new(resume.patience);
            }
            if let Err(error) = pauses.after(self.client.explain(&status), &status).await {
                // A caller that has gone has no use for the error.
                let _ = sender.send(Err(error)).await;
                return;
            }
        }
    }

    /// Follows over one connection, to the end or to what broke it.
    async fn follow_once(&mut self, sender: &mpsc::Sender<Result<GenerateEvent, ClientError>>) -> Result<(), Status> {
        let call = WatchJobRequest {
            job_id: self.job_id.to_owned(),
            after_sequence: self.after,
            ..WatchJobRequest::default()
        };
        let mut stream = self.client.jobs().watch_job(call).await?.into_inner();
        while let Some(response) = stream.message().await? {
            match response.message {
                Some(Message::Event(event)) => {
                    self.is_over =
                        matches!(event.event, Some(Event::Completed(_) | Event::Failed(_) | Event::Cancelled(_)));
                    self.after = Some(event.sequence);
                    if sender.send(Ok(event)).await.is_err() || self.is_over {
                        return Ok(());
                    }
                }
                // The number below which all was sent spares the server a second look.
                Some(Message::Progress(progress)) if progress.next_sequence > 0 => {
                    self.after = self.after.max(Some(progress.next_sequence - 1));
                }
                _ => {}
            }
        }
        Err(Status::unavailable("the server ended the stream without saying how the job ended"))
    }
}

/// The pauses between attempts, as long as trying again can help.
struct Pauses {
    next: Duration,
    left: Duration,
}

impl Pauses {
    fn new(patience: Duration) -> Self {
        Self { next: PAUSE_MIN, left: patience }
    }

    /// Waits before the next attempt, or returns the error if there is none.
    async fn after(&mut self, error: ClientError, status: &Status) -> Result<(), ClientError> {
        let is_passing = matches!(
            error,
            ClientError::ConnectionLost { .. } | ClientError::NothingListens { .. } | ClientError::Unreachable { .. }
        ) || (status.code() == Code::Unavailable && !is_final(&error));
        if !is_passing || self.left.is_zero() {
            return Err(error);
        }
        let pause = self.next.min(self.left);
        self.left -= pause;
        self.next = (self.next * 2).min(PAUSE_MAX);
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// Whether the server is there and says that it cannot: waiting for it is the caller's decision.
fn is_final(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused(error) if error.reason.as_deref() == Some("ENGINE_UNAVAILABLE"))
}

/// A name that no other call has.
fn random_name() -> String {
    let half = || RandomState::new().hash_one(std::time::SystemTime::now());
    format!("{:016x}{:016x}", half(), half())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn patience_ends_and_refusals_are_not_repeated() {
        let lost = || ClientError::ConnectionLost { address: "http://a".into(), reason: "cut".into() };
        let status = Status::unavailable("cut");
        let mut pauses = Pauses::new(Duration::from_secs(20));
        let begun = tokio::time::Instant::now();
        let mut attempts = 0;
        while pauses.after(lost(), &status).await.is_ok() {
            attempts += 1;
        }
        assert_eq!((begun.elapsed().as_secs(), attempts), (20, 9));
        let refused = Status::invalid_argument("no");
        let error = ClientError::from_status(&refused, "http://a", None);
        assert!(Pauses::new(Duration::from_secs(20)).after(error, &refused).await.is_err());
    }

    #[test]
    fn names_differ() {
        assert_ne!(random_name(), random_name());
    }
}
