//! Updates from the server: its streams and its list of jobs, with a new connection after each lost one.

use std::time::Duration;

use sakuga_client::proto::generation::v1::{CancelJobRequest, JobFilter, JobState, ListJobsRequest};
use sakuga_client::proto::system::v1::{GetServerInfoRequest, WatchActivityRequest, WatchGpuStatsRequest};
use sakuga_client::{Client, EventKind, Generation};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tonic::{Code, Status};

use super::halfblocks::Picture;
use super::model::{Update, of_all};
use crate::cli::failure::Failure;
use crate::cli::server::ServerArguments;

/// Interval of the calls of ListJobs.
const JOBS_PERIOD: Duration = Duration::from_secs(1);
/// How long a call with one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time between two attempts to connect, doubled from the first to the last.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A connection that lasted this long resets the delay.
const GOOD_CONNECTION: Duration = Duration::from_secs(10);
/// The most jobs that are listed.
const JOBS_MAX: u32 = 100;

/// Why a session with the server ended.
enum End {
    /// The connection was lost; a new one may work.
    Lost(String),
    /// The server lacks a call or refuses this client.
    Refused(Failure),
    /// The receiver of the updates is gone.
    NoReceiver,
}

impl End {
    fn of(client: &Client, status: &Status) -> Self {
        let error = client.explain(status);
        match status.code() {
            Code::Unimplemented | Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument => {
                Self::Refused(error.into())
            }
            _ => Self::Lost(error.to_string()),
        }
    }

    fn of_stream() -> Self {
        Self::Lost("the server ended the stream".to_owned())
    }
}

/// The channels between the feed and the display.
pub(crate) struct Channels {
    /// Updates for the display.
    pub updates: mpsc::Sender<Update>,
    /// Jobs to cancel.
    pub cancels: mpsc::Receiver<String>,
}

impl Channels {
    async fn send(&self, update: Update) -> Result<(), End> {
        self.updates.send(update).await.map_err(|_| End::NoReceiver)
    }
}

/// Sends updates until the receiver is gone. The first connection must succeed; later ones are retried.
pub(crate) async fn run(server: &ServerArguments, period: Duration, mut channels: Channels) -> Result<(), Failure> {
    let mut client = server.connect().await?;
    let mut pause = PAUSE_MIN;
    loop {
        let begun = Instant::now();
        let cut = Session::new(&client, period).run(&mut channels).await;
        let reason = match cut {
            End::Lost(reason) => reason,
            End::Refused(failure) => return Err(failure),
            End::NoReceiver => return Ok(()),
        };
        if begun.elapsed() >= GOOD_CONNECTION {
            pause = PAUSE_MIN;
        }
        if channels.send(Update::Lost(reason)).await.is_err() {
            return Ok(());
        }
        client = loop {
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            match server.connect().await {
                Ok(client) => break client,
                Err(failure) => {
                    let reason = failure.message().to_owned();
                    if channels.send(Update::Lost(reason)).await.is_err() {
                        return Ok(());
                    }
                }
            }
        };
    }
}

/// The next event of the followed job; `None` after the last. Pending forever without a followed job.
async fn next_event(followed: &mut Option<Followed>) -> Option<EventKind> {
    match followed.as_mut().and_then(|followed| followed.events.as_mut()) {
        Some(events) => events.next_event().await.ok().flatten().map(|event| event.kind),
        None => std::future::pending().await,
    }
}

/// One connection.
struct Session<'a> {
    client: &'a Client,
    period_ms: u32,
    /// The running job.
    followed: Option<Followed>,
}

/// A job and its events, until they end.
struct Followed {
    job_id: String,
    events: Option<Generation>,
}

impl<'a> Session<'a> {
    fn new(client: &'a Client, period: Duration) -> Self {
        Self { client, period_ms: u32::try_from(period.as_millis()).unwrap_or(u32::MAX), followed: None }
    }

    async fn run(mut self, channels: &mut Channels) -> End {
        match self.listen(channels).await {
            Ok(never) => match never {},
            Err(cut) => cut,
        }
    }

    async fn listen(&mut self, channels: &mut Channels) -> Result<std::convert::Infallible, End> {
        let client = self.client;
        let explain = |status: Status| End::of(client, &status);
        let info = client.system().get_server_info(GetServerInfoRequest {}).await.map_err(explain)?;
        let stats = WatchGpuStatsRequest { interval_ms: self.period_ms, all_devices: true };
        let mut devices = client.system().watch_gpu_stats(stats).await.map_err(explain)?.into_inner();
        let call = WatchActivityRequest { interval_ms: self.period_ms };
        let mut activity = client.system().watch_activity(call).await.map_err(explain)?.into_inner();
        channels.send(Update::Connected(Box::new(info.into_inner()))).await?;
        let mut look = interval(JOBS_PERIOD);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = devices.message() => {
                    let message = message.map_err(explain)?.ok_or_else(End::of_stream)?;
                    if let Some(stats) = message.stats {
                        channels.send(Update::Device(Box::new(stats))).await?;
                    }
                }
                message = activity.message() => {
                    let message = message.map_err(explain)?.ok_or_else(End::of_stream)?;
                    if let Some(activity) = message.activity.map(of_all) {
                        self.follow(&activity.job_id);
                        channels.send(Update::Activity(activity)).await?;
                    }
                }
                event = next_event(&mut self.followed) => self.take(event, channels).await?,
                _ = look.tick() => channels.send(self.jobs().await?).await?,
                job_id = channels.cancels.recv() => match job_id {
                    Some(job_id) => channels.send(self.cancel(job_id).await).await?,
                    None => return Err(End::NoReceiver),
                },
            }
        }
    }

    /// Follows the running job and no other.
    fn follow(&mut self, job_id: &str) {
        if self.followed.as_ref().map_or("", |followed| &followed.job_id) == job_id {
            return;
        }
        self.followed = (!job_id.is_empty()).then(|| Followed {
            job_id: job_id.to_owned(),
            events: Some(self.client.watch(job_id, None).without_pictures()),
        });
    }

    async fn take(&mut self, event: Option<EventKind>, channels: &Channels) -> Result<(), End> {
        let Some(followed) = &mut self.followed else { return Ok(()) };
        let job_id = followed.job_id.clone();
        match event {
            Some(EventKind::Step(step)) => channels.send(Update::Step(job_id, step)).await,
            Some(EventKind::Preview(preview)) if preview.image_index == 0 => {
                match tokio::task::spawn_blocking(move || Picture::decode(&preview.data)).await {
                    Ok(Some(picture)) => channels.send(Update::Preview(job_id, picture)).await,
                    // A preview that cannot be decoded is skipped.
                    Ok(None) | Err(_) => Ok(()),
                }
            }
            Some(_) => Ok(()),
            None => {
                // The job has ended or was deleted; the activity names the next one.
                followed.events = None;
                Ok(())
            }
        }
    }

    async fn jobs(&self) -> Result<Update, End> {
        let filter =
            JobFilter { states: vec![JobState::Running.into(), JobState::Queued.into()], ..JobFilter::default() };
        let call = ListJobsRequest { filter: Some(filter), page_size: JOBS_MAX, ..ListJobsRequest::default() };
        match timeout(ANSWER_TIMEOUT, self.client.jobs().list_jobs(call)).await {
            Ok(Ok(answer)) => Ok(Update::Jobs(answer.into_inner().jobs)),
            Ok(Err(status)) => Err(End::of(self.client, &status)),
            Err(_) => Err(End::Lost("the server does not answer".to_owned())),
        }
    }

    async fn cancel(&self, job_id: String) -> Update {
        let call = CancelJobRequest { job_id: job_id.clone() };
        Update::Notice(match timeout(ANSWER_TIMEOUT, self.client.jobs().cancel_job(call)).await {
            Ok(Ok(_)) => format!("job {job_id} is cancelled, at its next step if it runs"),
            Ok(Err(status)) => format!("job {job_id} was not cancelled: {}", self.client.explain(&status)),
            Err(_) => format!("job {job_id}: the server does not answer"),
        })
    }
}
