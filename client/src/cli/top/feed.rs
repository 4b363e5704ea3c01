//! News from the server: its streams and its list of jobs, again after every cut.

use std::time::Duration;

use sakuga_client::proto::generation::v1::{CancelJobRequest, JobFilter, JobState, ListJobsRequest};
use sakuga_client::proto::system::v1::{GetServerInfoRequest, WatchActivityRequest, WatchGpuStatsRequest};
use sakuga_client::{Client, EventKind, Generation};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tonic::{Code, Status};

use super::halfblocks::Picture;
use super::model::Update;
use crate::cli::failure::Failure;
use crate::cli::server::ServerArguments;

/// Time between two looks at the list of jobs.
const JOBS_PERIOD: Duration = Duration::from_secs(1);
/// How long the answer to a question may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// Time between two attempts to connect, doubled from the first to the last.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A connection that lasted so long was a good one.
const GOOD_CONNECTION: Duration = Duration::from_secs(10);
/// Jobs that are listed.
const JOBS_MAX: u32 = 100;

/// Why a session with the server ended.
enum Cut {
    /// It can be tried again.
    Lost(String),
    /// It cannot: the server lacks a call, or does not let this caller in.
    Hopeless(Failure),
    /// Nobody listens any more.
    Unheard,
}

impl Cut {
    fn of(client: &Client, status: &Status) -> Self {
        let error = client.explain(status);
        match status.code() {
            Code::Unimplemented | Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument => {
                Self::Hopeless(error.into())
            }
            _ => Self::Lost(error.to_string()),
        }
    }

    fn end() -> Self {
        Self::Lost("the server ended the stream".to_owned())
    }
}

/// Where news goes and orders come from.
pub struct Lines {
    /// News.
    pub updates: mpsc::Sender<Update>,
    /// Jobs that are to be given up.
    pub cancels: mpsc::Receiver<String>,
}

impl Lines {
    async fn tell(&self, update: Update) -> Result<(), Cut> {
        self.updates.send(update).await.map_err(|_| Cut::Unheard)
    }
}

/// Brings news until nobody listens. A first connection that cannot be made is a failure, a later one is waited for.
pub async fn run(server: &ServerArguments, period: Duration, mut lines: Lines) -> Result<(), Failure> {
    let mut client = server.connect().await?;
    let mut pause = PAUSE_MIN;
    loop {
        let begun = Instant::now();
        let cut = Session::new(&client, period).run(&mut lines).await;
        let reason = match cut {
            Cut::Lost(reason) => reason,
            Cut::Hopeless(failure) => return Err(failure),
            Cut::Unheard => return Ok(()),
        };
        if begun.elapsed() >= GOOD_CONNECTION {
            pause = PAUSE_MIN;
        }
        if lines.tell(Update::Lost(reason)).await.is_err() {
            return Ok(());
        }
        client = loop {
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            match server.connect().await {
                Ok(client) => break client,
                Err(failure) => {
                    let reason = failure.message().to_owned();
                    if lines.tell(Update::Lost(reason)).await.is_err() {
                        return Ok(());
                    }
                }
            }
        };
    }
}

/// The next event of the job that is followed; `None` when there are no more, and never without one.
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
    /// The job that has the device.
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

    async fn run(mut self, lines: &mut Lines) -> Cut {
        match self.listen(lines).await {
            Ok(never) => match never {},
            Err(cut) => cut,
        }
    }

    async fn listen(&mut self, lines: &mut Lines) -> Result<std::convert::Infallible, Cut> {
        let client = self.client;
        let explain = |status: Status| Cut::of(client, &status);
        let info = client.system().get_server_info(GetServerInfoRequest {}).await.map_err(explain)?;
        let stats = WatchGpuStatsRequest { interval_ms: self.period_ms, all_devices: true };
        let mut devices = client.system().watch_gpu_stats(stats).await.map_err(explain)?.into_inner();
        let call = WatchActivityRequest { interval_ms: self.period_ms };
        let mut activity = client.system().watch_activity(call).await.map_err(explain)?.into_inner();
        lines.tell(Update::Connected(Box::new(info.into_inner()))).await?;
        let mut look = interval(JOBS_PERIOD);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = devices.message() => {
                    let message = message.map_err(explain)?.ok_or_else(Cut::end)?;
                    if let Some(stats) = message.stats {
                        lines.tell(Update::Device(Box::new(stats))).await?;
                    }
                }
                message = activity.message() => {
                    let message = message.map_err(explain)?.ok_or_else(Cut::end)?;
                    if let Some(activity) = message.activity {
                        self.follow(&activity.job_id);
                        lines.tell(Update::Activity(activity)).await?;
                    }
                }
                event = next_event(&mut self.followed) => self.take(event, lines).await?,
                _ = look.tick() => lines.tell(self.jobs().await?).await?,
                job_id = lines.cancels.recv() => match job_id {
                    Some(job_id) => lines.tell(self.cancel(job_id).await).await?,
                    None => return Err(Cut::Unheard),
                },
            }
        }
    }

    /// Follows the job that has the device, and no other.
    fn follow(&mut self, job_id: &str) {
        if self.followed.as_ref().map_or("", |followed| &followed.job_id) == job_id {
            return;
        }
        self.followed = (!job_id.is_empty()).then(|| Followed {
            job_id: job_id.to_owned(),
            events: Some(self.client.watch(job_id, None).without_pictures()),
        });
    }

    async fn take(&mut self, event: Option<EventKind>, lines: &Lines) -> Result<(), Cut> {
        let Some(followed) = &mut self.followed else { return Ok(()) };
        let job_id = followed.job_id.clone();
        match event {
            Some(EventKind::Step(step)) => lines.tell(Update::Step(job_id, step)).await,
            Some(EventKind::Preview(preview)) if preview.image_index == 0 => {
                match tokio::task::spawn_blocking(move || Picture::decode(&preview.bytes)).await {
                    Ok(Some(picture)) => lines.tell(Update::Preview(job_id, picture)).await,
                    // A preview that cannot be shown is no reason to stop.
                    Ok(None) | Err(_) => Ok(()),
                }
            }
            Some(_) => Ok(()),
            None => {
                // It has ended, or was deleted; the activity tells which comes next.
                followed.events = None;
                Ok(())
            }
        }
    }

    async fn jobs(&self) -> Result<Update, Cut> {
        let filter =
            JobFilter { states: vec![JobState::Running.into(), JobState::Queued.into()], ..JobFilter::default() };
        let call = ListJobsRequest { filter: Some(filter), page_size: JOBS_MAX, ..ListJobsRequest::default() };
        match timeout(ANSWER_PATIENCE, self.client.jobs().list_jobs(call)).await {
            Ok(Ok(answer)) => Ok(Update::Jobs(answer.into_inner().jobs)),
            Ok(Err(status)) => Err(Cut::of(self.client, &status)),
            Err(_) => Err(Cut::Lost("the server does not answer".to_owned())),
        }
    }

    async fn cancel(&self, job_id: String) -> Update {
        let call = CancelJobRequest { job_id: job_id.clone() };
        Update::Notice(match timeout(ANSWER_PATIENCE, self.client.jobs().cancel_job(call)).await {
            Ok(Ok(_)) => format!("job {job_id} is given up, at its next step if it runs"),
            Ok(Err(status)) => format!("job {job_id} goes on: {}", self.client.explain(&status)),
            Err(_) => format!("job {job_id}: the server does not answer"),
        })
    }
}
