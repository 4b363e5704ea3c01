//! The scheduler's state behind its lock, with what callers and the worker do to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use sakuga_model_core::{EngineError, MemoryPool, MemoryProbe, Stage, StepReport};
use tokio::sync::{oneshot, watch};

use super::command::{ModelChange, ModelCommand};
use super::state::{Running, State};
use crate::error::ServerError;
use crate::event::{CancelReason, EventBody};
use crate::job::{Job, JobHandle, JobRequest};
use crate::limits::Limits;
use crate::models::{ModelId, ModelStatus, ModelTable};
use crate::telemetry::{ActivityProbe, RunningJob, SchedulerSnapshot};

/// Whether the engine can draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EngineStatus {
    /// It can.
    Serving,
    /// The engine was lost and could not be opened again; the text says why.
    Lost(String),
}

/// What the engine's thread does next.
pub(super) enum Work {
    /// Draws a job.
    Job(Box<Job>),
    /// Moves a model.
    Command(ModelCommand),
}

/// What the scheduler's handle and the worker share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Signals the worker that `state` has something new for it.
    wake: Condvar,
    engine_status: watch::Sender<EngineStatus>,
    /// The models as they are in `state`.
    model_statuses: watch::Sender<Vec<ModelStatus>>,
    /// Asks the device for its memory; `None` while no model is open.
    memory: Mutex<Option<MemoryProbe>>,
}

impl Shared {
    pub(super) fn new(limits: &Limits, models: ModelTable) -> Self {
        Self {
            model_statuses: watch::Sender::new(models.statuses()),
            state: Mutex::new(State::new(limits, models)),
            wake: Condvar::new(),
            engine_status: watch::Sender::new(EngineStatus::Serving),
            memory: Mutex::new(None),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(super) fn engine_status(&self) -> watch::Receiver<EngineStatus> {
        self.engine_status.subscribe()
    }

    /// Every model, now and whenever one changes.
    pub(super) fn model_statuses(&self) -> watch::Receiver<Vec<ModelStatus>> {
        self.model_statuses.subscribe()
    }

    /// Why the engine cannot draw, if it cannot.
    pub(super) fn engine_error(&self) -> Option<ServerError> {
        match &*self.engine_status.borrow() {
            EngineStatus::Serving => None,
            EngineStatus::Lost(reason) => Some(ServerError::EngineUnavailable(reason.clone())),
        }
    }

    /// Enqueues a job, and publishes its position if that differs from `announced_position`. A job that was cancelled
    /// before, by a call or its deadline, ends at once, and so does one whose model could not be loaded meanwhile.
    pub(super) fn enqueue(&self, job: Job, announced_position: usize) {
        let mut state = self.state.lock();
        // Looked at under the lock: a job that is cancelled later is found in the queue.
        let cancelled = job.handle.cancel_reason();
        let shutdown = (state.is_draining || state.is_closing).then_some(CancelReason::Shutdown);
        if let Some(reason) = cancelled.or(shutdown) {
            drop(state);
            return job.cancelled(0, reason);
        }
        if let Some(error) = state.model_error(job.request.model) {
            drop(state);
            job.events.publish(EventBody::Failed(error));
            return;
        }
        let (id, client, priority) = (job.handle.id.clone(), job.request.client.clone(), job.request.priority);
        let place = state.queue.push(id, &client, priority, job);
        let has_moved = place + state.running_jobs() != announced_position;
        // The job itself if it has moved, and the jobs that it was placed before.
        state.announce_positions(if has_moved { place } else { place + 1 });
        drop(state);
        self.wake.notify_one();
    }

    /// Cancels a job: at once if it waits, at its next step if it runs. Does nothing to a job that has ended.
    pub(super) fn cancel(&self, handle: &JobHandle, reason: CancelReason) {
        handle.cancel(reason);
        let mut state = self.state.lock();
        let Some((place, job)) = state.queue.remove(&handle.id) else { return };
        state.announce_positions(place);
        drop(state);
        job.cancelled(0, handle.cancel_reason().unwrap_or(reason));
    }

    /// Refuses new jobs from now on and returns those that wait.
    pub(super) fn drain(&self) -> Vec<Job> {
        let mut state = self.state.lock();
        state.is_draining = true;
        state.queue.drain()
    }

    /// Ends the worker after the job that it draws. Commands that wait are dropped.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closing = true;
        state.commands.clear();
        drop(state);
        self.wake.notify_one();
    }

    /// Has the worker move a model before its next job; the receiver gets the result, or nothing if the scheduler is closed.
    pub(super) fn command(
        &self,
        model: ModelId,
        change: ModelChange,
    ) -> Result<oneshot::Receiver<Result<(), ServerError>>, ServerError> {
        let mut state = self.state.lock();
        if state.is_draining || state.is_closing {
            return Err(ServerError::ShuttingDown);
        }
        if let Some(error) = self.engine_error() {
            return Err(error);
        }
        let (done, result) = oneshot::channel();
        state.commands.push_back(ModelCommand { model, change, done });
        drop(state);
        self.wake.notify_one();
        Ok(result)
    }

    /// Waits for the next command or job; `None` when the worker has to end. Commands come first.
    pub(super) fn next(&self, epoch: u64) -> Option<Work> {
        let mut state = self.state.lock();
        loop {
            if state.is_closing || state.epoch != epoch {
                return None;
            }
            if let Some(command) = state.commands.pop_front() {
                return Some(Work::Command(command));
            }
            let State { queue, models, .. } = &mut *state;
            if let Some(job) = queue.pop(|job| models.is_loaded(job.request.model)) {
                models.used(job.request.model);
                self.model_statuses.send_replace(models.statuses());
                state.running = Some(Running::new(&job));
                state.announce_positions(0);
                return Some(Work::Job(Box::new(job)));
            }
            self.wake.wait(&mut state);
        }
    }

    pub(super) fn stage_begun(&self, stage: Stage) {
        let State { running, models, .. } = &mut *self.state.lock();
        let Some(running) = running else { return };
        running.stage = Some(stage);
        let load_time = models.load_time(running.model).filter(|_| stage == Stage::LoadModel);
        running.load_end = load_time.and_then(|time| Instant::now().checked_add(time));
    }

    pub(super) fn step_done(&self, request: &JobRequest, report: &StepReport) {
        let JobRequest { model, spec, .. } = request;
        // A batch that is computed in turns has `spec.computed_steps()` steps in each turn.
        let turns = (report.total / spec.computed_steps().max(1)).max(1);
        let mut state = self.state.lock();
        state.estimator_mut(*model).step_done(spec, report.pass, report.duration, turns);
        if let Some(running) = &mut state.running {
            running.steps_left = report.total.saturating_sub(report.index).div_ceil(turns);
            (running.step, running.steps) = (report.index, report.total);
        }
    }

    /// The time that the running job will take outside its steps.
    pub(super) fn overhead(&self, request: &JobRequest) -> Duration {
        self.state.lock().estimator(request.model).time_left(&request.spec, 0).unwrap_or_default()
    }

    /// Frees the device and returns true, unless the worker was replaced. `overhead` is the time outside the steps of a job
    /// that was drawn completely, without the load of its model.
    pub(super) fn job_done(&self, epoch: u64, request: &JobRequest, overhead: Option<Duration>) -> bool {
        let mut state = self.state.lock();
        if state.epoch != epoch {
            return false;
        }
        state.running = None;
        if let Some(overhead) = overhead {
            state.estimator_mut(request.model).job_done(&request.spec, overhead);
        }
        true
    }

    /// Records that the engine reported something; returns whether its worker is current.
    pub(super) fn record_report(&self, epoch: u64) -> bool {
        let mut state = self.state.lock();
        if let Some(running) = &mut state.running {
            running.last_report = Instant::now();
        }
        state.epoch == epoch
    }

    /// Takes the device from a worker whose engine has reported nothing for `silence_max`, and begins a new epoch.
    pub(super) fn take_from_silent_worker(&self, silence_max: Duration) -> Option<(Running, u64)> {
        let mut state = self.state.lock();
        let running = state.running.take_if(|running| running.last_report.elapsed() > silence_max)?;
        state.epoch += 1;
        Some((running, state.epoch))
    }

    pub(super) fn is_current(&self, epoch: u64) -> bool {
        self.state.lock().epoch == epoch
    }

    /// Changes where models are, unless the worker was replaced.
    pub(super) fn change_models<T>(&self, epoch: u64, change: impl FnOnce(&mut ModelTable) -> T) -> Option<T> {
        let mut state = self.state.lock();
        if state.epoch != epoch {
            return None;
        }
        let changed = change(&mut state.models);
        self.model_statuses.send_replace(state.models.statuses());
        Some(changed)
    }

    /// Marks a model as failed, and ends the jobs that wait for it. Does nothing if the worker was replaced.
    pub(super) fn model_failed(&self, epoch: u64, model: ModelId, error: &EngineError) {
        let mut state = self.state.lock();
        if state.epoch != epoch {
            return;
        }
        state.models.failed(model, error.to_string());
        self.model_statuses.send_replace(state.models.statuses());
        let unusable = unusable(&state.models, model, error);
        let jobs = state.queue.remove_all(|job| job.request.model == model);
        state.announce_positions(0);
        drop(state);
        tracing::error!(error = %unusable, jobs = jobs.len(), "a model cannot be loaded");
        for job in jobs {
            job.events.publish(EventBody::Failed(unusable.clone()));
        }
    }

    /// The error of jobs and calls for a model that cannot be loaded.
    pub(super) fn unusable(&self, model: ModelId, error: &EngineError) -> ServerError {
        unusable(&self.state.lock().models, model, error)
    }

    pub(super) fn model_name(&self, model: ModelId) -> Arc<str> {
        self.state.lock().models.name(model).clone()
    }

    /// Refuses new jobs until [`Shared::engine_recovered`]; waiting jobs keep waiting.
    pub(super) fn engine_unavailable(&self, reason: &str) {
        self.engine_status.send_replace(EngineStatus::Lost(reason.to_owned()));
    }

    /// Refuses new jobs and fails those that wait: the engine will not be opened again.
    pub(super) fn engine_lost(&self, reason: &str) {
        self.engine_unavailable(reason);
        let mut state = self.state.lock();
        state.commands.clear();
        let jobs = state.queue.drain();
        drop(state);
        for job in jobs {
            job.events.publish(EventBody::Failed(ServerError::EngineUnavailable(reason.to_owned())));
        }
    }

    pub(super) fn engine_recovered(&self) {
        self.engine_status.send_replace(EngineStatus::Serving);
    }

    /// Sleeps; returns early with true when the worker has to end.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut state = self.state.lock();
        while !state.is_closing {
            if self.wake.wait_until(&mut state, until).timed_out() {
                return state.is_closing;
            }
        }
        true
    }

    /// Sets how to ask the device for its memory; `None` while no model is open.
    pub(super) fn set_memory_probe(&self, probe: Option<MemoryProbe>) {
        *self.memory.lock() = probe;
    }

    fn memory_pools(&self) -> Vec<MemoryPool> {
        let probe = self.memory.lock().clone();
        probe.map(|probe| probe()).unwrap_or_default()
    }

    /// The waiting and the running job, for activity reports.
    fn snapshot(&self) -> SchedulerSnapshot {
        let state = self.state.lock();
        let running = state.running.as_ref().map(|running| RunningJob {
            job_id: running.id.clone(),
            stage: running.stage,
            step: running.step,
            steps: running.steps,
        });
        SchedulerSnapshot { queued: state.queue.len(), running }
    }

    /// Reports on the activity of the scheduler and its engine.
    pub(super) fn activity_probe(self: &Arc<Self>) -> ActivityProbe {
        let (scheduler, engine) = (self.clone(), self.clone());
        ActivityProbe::new(move || scheduler.snapshot(), move || engine.memory_pools())
    }
}

fn unusable(models: &ModelTable, model: ModelId, error: &EngineError) -> ServerError {
    ServerError::ModelUnusable { model: models.name(model).to_string(), reason: error.to_string() }
}
