//! Decides which job has the device: admission at the door, a queue, and one thread that owns the engine.
//!
//! [`queue`] and [`admission`] are plain state; [`worker`] is the thread. What is called here returns at once, from any
//! thread. Locks are taken in the order scheduler, then stream, and none is held while an engine runs.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sakuga_model_core::{GenerationSpec, MemoryProbe, Stage, StepReport};
use tokio::sync::watch;

use crate::encoder::Encoder;
use crate::error::ServerError;
use crate::event::{CancelReason, EventBody};
use crate::gpu::Sampler;
use crate::job::{Job, JobHandle, JobRequest, LiveJobs};
use crate::job_id::JobId;
use crate::journal::Journal;
use crate::limits::Limits;
use crate::sync::lock;
use crate::telemetry::{self, Observer, SchedulerSnapshot, Telemetry};

pub mod admission;
pub mod queue;
mod watchdog;
pub mod worker;

use admission::Estimator;
use queue::Queue;
use worker::{EngineThread, Parts};

/// How long dropping the scheduler waits for the worker. A step takes seconds at the most; an engine that hangs longer
/// is left to the end of the process.
const JOIN_PATIENCE: Duration = Duration::from_secs(5);

/// Jobs that are told their place at once; those far behind hear of it when they have come nearer.
const ANNOUNCED_MAX: usize = 64;

/// Whether jobs can be drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineStatus {
    /// They can.
    Serving,
    /// The engine was lost; the text says why it could not be opened again.
    Lost(String),
}

/// The handle. Dropping it gives up what is left and joins the worker.
pub struct Scheduler {
    shared: Arc<Shared>,
    live: Arc<LiveJobs>,
    thread: Arc<Mutex<Option<EngineThread>>>,
}

impl Scheduler {
    /// Sets an open engine to work.
    pub fn start(
        thread: EngineThread,
        encoder: Encoder,
        sampler: Arc<Sampler>,
        telemetry: Telemetry,
        limits: &Limits,
    ) -> Self {
        let shared = Arc::new(Shared::new(limits));
        let live: Arc<LiveJobs> = Arc::default();
        let observer = observer(&shared);
        let parts = Arc::new(Parts { shared: shared.clone(), encoder, sampler, telemetry, observer });
        let watched = Arc::downgrade(&parts);
        thread.begin(parts);
        let thread = Arc::new(Mutex::new(Some(thread)));
        if let Some(silence_max) = limits.silence_max {
            watchdog::start(silence_max, watched, live.clone(), thread.clone());
        }
        Self { shared, live, thread }
    }

    /// The jobs without a terminal event, for [`Job::new`].
    pub fn live(&self) -> &Arc<LiveJobs> {
        &self.live
    }

    /// Holds a place for a job, or refuses it and says when to come again.
    ///
    /// # Errors
    ///
    /// [`ServerError::QueueFull`], [`ServerError::ClientJobs`], [`ServerError::DeadlineTooShort`],
    /// [`ServerError::ShuttingDown`] or [`ServerError::EngineUnavailable`].
    pub fn admit(&self, request: &JobRequest, timeout: Option<Duration>) -> Result<Reservation, ServerError> {
        self.shared.admit(request, timeout, self.live.of_client(&request.client))
    }

    /// Holds a place for a job of an earlier run, which was admitted then.
    pub fn readmit(&self) -> Reservation {
        lock(&self.shared.state).admitted += 1;
        Reservation { position: 0, eta: None, client: None, shared: self.shared.clone() }
    }

    /// Lets a job wait for the device. It is told its position if that is no longer `told`: while a job was written down,
    /// another may have come before it.
    pub fn enqueue(&self, job: Job, announced_position: usize) {
        self.shared.enqueue(job, announced_position);
    }

    /// How many jobs are before one that waits, and when it will start; 0 for the running one, and when it will end.
    pub fn place(&self, id: &JobId) -> Option<(usize, Option<Duration>)> {
        let state = lock(&self.shared.state);
        if let Some(running) = state.running.as_ref().filter(|running| running.id == *id) {
            return Some((0, state.estimator.time_left(&running.spec, running.steps_left)));
        }
        let place = state.queue.place(id)?;
        Some((place + usize::from(state.running.is_some()), state.eta(place)))
    }

    /// Gives a job up: at once if it waits, at its next step if it runs, not at all if it has ended.
    pub fn cancel(&self, handle: &JobHandle, reason: CancelReason) {
        self.shared.cancel(handle, reason);
    }

    /// Refuses new jobs and gives up those that wait; the running one goes on.
    pub fn drain(&self) {
        for job in self.shared.drain() {
            job.cancelled(0, CancelReason::Shutdown);
        }
    }

    /// Gives up every job that is left.
    pub fn cancel_all(&self) {
        for handle in self.live.handles() {
            self.cancel(&handle, CancelReason::Shutdown);
        }
    }

    /// Whether jobs can be drawn, now and later.
    pub fn engine_status(&self) -> watch::Receiver<EngineStatus> {
        self.shared.engine_status.subscribe()
    }

    /// Looks at what the scheduler and its engine do.
    pub fn observer(&self) -> Observer {
        observer(&self.shared)
    }

    /// Median time of a step of late, if any was measured.
    pub fn step_time(&self) -> Option<Duration> {
        lock(&self.shared.state).estimator.step_time()
    }

    /// Ends the worker after its present step and waits for it, but not for ever.
    pub fn close(&self, patience: Duration) {
        self.drain();
        self.cancel_all();
        self.shared.close();
        let Some(thread) = lock(&self.thread).take() else { return };
        if !thread.join_within(patience) {
            tracing::error!("the engine does not come back from its step; leaving it behind");
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.close(JOIN_PATIENCE);
    }
}

/// A place for a job that is about to be written down. Dropping it gives the place back; the job that is entered then
/// counts by itself.
pub struct Reservation {
    /// Jobs before it, the running one included.
    pub position: usize,
    /// When it will probably start.
    pub eta: Option<Duration>,
    client: Option<Arc<str>>,
    shared: Arc<Shared>,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        state.admitted -= 1;
        let Some(client) = &self.client else { return };
        if let Some(count) = state.admitted_of.get_mut(client) {
            *count -= 1;
            if *count == 0 {
                state.admitted_of.remove(client);
            }
        }
    }
}

/// What the handle and the worker share.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Told when `state` has something new for the worker.
    wake: Condvar,
    engine_status: watch::Sender<EngineStatus>,
    /// Of the engine that is open.
    memory: Mutex<Option<MemoryProbe>>,
}

fn observer(shared: &Arc<Shared>) -> Observer {
    let (snapshot, pools) = (shared.clone(), shared.clone());
    let pools = move || {
        let probe = lock(&pools.memory).clone();
        probe.map(|probe| probe()).unwrap_or_default()
    };
    Observer::new(move || snapshot.snapshot(), pools)
}

struct State {
    queue: Queue<Job>,
    /// Places that are held for jobs that are being written down, and whose.
    admitted: usize,
    admitted_of: HashMap<Arc<str>, usize>,
    client_jobs_max: usize,
    running: Option<Running>,
    estimator: Estimator,
    is_draining: bool,
    is_closing: bool,
    /// Grows when a worker is left behind; the worker of another epoch has no say.
    epoch: u64,
}

/// The job that has the device.
struct Running {
    id: JobId,
    spec: GenerationSpec,
    steps_left: u32,
    /// The part that it is in, and its steps as the engine counts them.
    stage: Option<Stage>,
    step: u32,
    steps: u32,
    /// When its engine was last heard of.
    heard: Instant,
    journal: Arc<Journal>,
}

impl Shared {
    fn new(limits: &Limits) -> Self {
        let state = State {
            queue: Queue::new(limits.queued_max),
            admitted: 0,
            admitted_of: HashMap::new(),
            client_jobs_max: limits.client_jobs_max,
            running: None,
            estimator: Estimator::default(),
            is_draining: false,
            is_closing: false,
            epoch: 0,
        };
        Self {
            state: Mutex::new(state),
            wake: Condvar::new(),
            engine_status: watch::Sender::new(EngineStatus::Serving),
            memory: Mutex::new(None),
        }
    }

    fn admit(
        self: &Arc<Self>,
        request: &JobRequest,
        timeout: Option<Duration>,
        jobs_of_client: usize,
    ) -> Result<Reservation, ServerError> {
        let mut state = lock(&self.state);
        if let Some(refusal) = self.refusal(&state) {
            return Err(refusal);
        }
        let client = request.client.clone();
        let jobs = jobs_of_client + state.admitted_of.get(&client).copied().unwrap_or(0);
        if state.client_jobs_max > 0 && jobs >= state.client_jobs_max {
            let retry_after = state.estimator.retry_after(state.eta(0));
            return Err(ServerError::ClientJobs { client: client.to_string(), jobs, retry_after });
        }
        let place = state.queue.place_of_next(&client, request.priority);
        let eta = state.eta(place);
        let whole = eta.zip(state.estimator.time_left(&request.spec, request.spec.sampling.steps));
        if let (Some(given), Some((wait, work))) = (timeout, whole)
            && wait + work > given
        {
            return Err(ServerError::DeadlineTooShort { needed: wait + work, given });
        }
        state.admitted += 1;
        *state.admitted_of.entry(client.clone()).or_default() += 1;
        let position = place + usize::from(state.running.is_some());
        Ok(Reservation { position, eta, client: Some(client), shared: self.clone() })
    }

    fn enqueue(&self, job: Job, announced_position: usize) {
        let mut state = lock(&self.state);
        if state.is_draining || state.is_closing {
            drop(state);
            return job.cancelled(0, CancelReason::Shutdown);
        }
        let (id, client, priority) = (job.handle.id.clone(), job.request.client.clone(), job.request.priority);
        let place = state.queue.push(id, &client, priority, job);
        // Itself, if it must know, and those whom it passed.
        let has_moved = place + usize::from(state.running.is_some()) != announced_position;
        state.announce_positions(if has_moved { place } else { place + 1 });
        drop(state);
        self.wake.notify_one();
    }

    fn refusal(&self, state: &State) -> Option<ServerError> {
        if state.is_draining || state.is_closing {
            return Some(ServerError::ShuttingDown);
        }
        if let EngineStatus::Lost(reason) = &*self.engine_status.borrow() {
            return Some(ServerError::EngineUnavailable(reason.clone()));
        }
        if state.queue.len() + state.admitted >= state.queue.capacity() {
            let retry_after = state.estimator.retry_after(state.eta(0));
            return Some(ServerError::QueueFull { waiting: state.queue.len() + state.admitted, retry_after });
        }
        None
    }

    fn cancel(&self, handle: &JobHandle, reason: CancelReason) {
        handle.cancel(reason);
        let mut state = lock(&self.state);
        let Some((place, job)) = state.queue.remove(&handle.id) else { return };
        state.announce_positions(place);
        drop(state);
        job.cancelled(0, handle.cancel_reason().unwrap_or(reason));
    }

    fn drain(&self) -> Vec<Job> {
        let mut state = lock(&self.state);
        state.is_draining = true;
        state.queue.drain()
    }

    fn close(&self) {
        lock(&self.state).is_closing = true;
        self.wake.notify_one();
    }

    /// Waits for the next job; `None` when the worker has to end.
    fn next(&self, epoch: u64) -> Option<Job> {
        let mut state = lock(&self.state);
        loop {
            if state.is_closing || state.epoch != epoch {
                return None;
            }
            if let Some(job) = state.queue.pop() {
                let spec = job.request.spec.clone();
                state.running = Some(Running {
                    id: job.handle.id.clone(),
                    steps_left: spec.sampling.steps,
                    stage: None,
                    step: 0,
                    steps: spec.sampling.steps,
                    spec,
                    heard: Instant::now(),
                    journal: job.events.clone(),
                });
                state.announce_positions(0);
                return Some(job);
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn stage_begun(&self, stage: Stage) {
        if let Some(running) = &mut lock(&self.state).running {
            running.stage = Some(stage);
        }
    }

    fn step_done(&self, spec: &GenerationSpec, report: &StepReport) {
        // A batch that is computed in turns has its steps for each.
        let turns = (report.total / spec.sampling.steps.max(1)).max(1);
        let mut state = lock(&self.state);
        state.estimator.step_done(spec, report.duration, turns);
        if let Some(running) = &mut state.running {
            running.steps_left = report.total.saturating_sub(report.index).div_ceil(turns);
            (running.step, running.steps) = (report.index, report.total);
        }
    }

    /// What waits and what runs.
    fn snapshot(&self) -> SchedulerSnapshot {
        let state = lock(&self.state);
        let running = state.running.as_ref().map(|running| telemetry::Running {
            job_id: running.id.clone(),
            stage: running.stage,
            step: running.step,
            steps: running.steps,
        });
        SchedulerSnapshot { queued: state.queue.len(), running }
    }

    /// Notes how to ask the engine that is open for its memory; `None` while there is none.
    fn memory_known(&self, probe: Option<MemoryProbe>) {
        *lock(&self.memory) = probe;
    }

    /// What the running job will take beside its steps.
    fn time_beside_steps(&self, spec: &GenerationSpec) -> Duration {
        lock(&self.state).estimator.time_left(spec, 0).unwrap_or_default()
    }

    /// Frees the device, unless the worker was left behind; returns that it was not. `beside_steps` is given for jobs that
    /// came to their end.
    fn job_done(&self, epoch: u64, spec: &GenerationSpec, beside_steps: Option<Duration>) -> bool {
        let mut state = lock(&self.state);
        if state.epoch != epoch {
            return false;
        }
        state.running = None;
        if let Some(beside_steps) = beside_steps {
            state.estimator.job_done(spec, beside_steps);
        }
        true
    }

    /// Notes that the engine was heard of; returns whether its worker is still the one that counts.
    fn beat(&self, epoch: u64) -> bool {
        let mut state = lock(&self.state);
        if let Some(running) = &mut state.running {
            running.heard = Instant::now();
        }
        state.epoch == epoch
    }

    fn is_current(&self, epoch: u64) -> bool {
        lock(&self.state).epoch == epoch
    }

    /// Refuses new jobs until [`Shared::engine_found`]; those that wait go on waiting.
    fn engine_away(&self, reason: &str) {
        self.engine_status.send_replace(EngineStatus::Lost(reason.to_owned()));
    }

    /// Fails what waits and refuses new jobs: the engine does not come back.
    fn engine_lost(&self, reason: &str) {
        self.engine_status.send_replace(EngineStatus::Lost(reason.to_owned()));
        let jobs = lock(&self.state).queue.drain();
        for job in jobs {
            job.events.publish(EventBody::Failed(ServerError::EngineUnavailable(reason.to_owned())));
        }
    }

    fn engine_found(&self) {
        self.engine_status.send_replace(EngineStatus::Serving);
    }

    /// Sleeps; returns whether the worker has to end.
    fn pause(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut state = lock(&self.state);
        while !state.is_closing {
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                return false;
            };
            state = self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl State {
    /// When the job at this place of the queue will start.
    fn eta(&self, place: usize) -> Option<Duration> {
        let running = match &self.running {
            Some(running) => self.estimator.time_left(&running.spec, running.steps_left)?,
            None => Duration::ZERO,
        };
        self.queue.iter().take(place).try_fold(running, |sum, job| {
            let spec = &job.request.spec;
            Some(sum + self.estimator.time_left(spec, spec.sampling.steps)?)
        })
    }

    /// Tells every job from this place on where it stands now.
    fn announce_positions(&self, from_place: usize) {
        let ahead = usize::from(self.running.is_some());
        for (place, job) in self.queue.iter().enumerate().skip(from_place).take(ANNOUNCED_MAX) {
            let position = place + ahead;
            job.events.publish(EventBody::Queued { position, eta: self.eta(place) });
        }
    }
}
