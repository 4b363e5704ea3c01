//! The scheduler's state behind its lock, with what callers and the worker do to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use sakuga_model_core::{EngineError, MemoryPool, MemoryProbe, Stage, StepReport};
use tokio::sync::{oneshot, watch};

use super::command::{ModelChange, ModelCommand};
use super::state::{Running, State};
use crate::error::ServerError;
use crate::estimate::{JobMeasurements, JobMeter, Measurement, Part};
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

    /// Fails if no job is taken now.
    pub(super) fn unavailable(&self, state: &State) -> Result<(), ServerError> {
        if state.is_draining || state.is_closing {
            return Err(ServerError::ShuttingDown);
        }
        self.engine_error().map_or(Ok(()), Err)
    }

    /// Has the worker move a model before its next job; the receiver gets the result, or nothing if the scheduler is closed.
    pub(super) fn command(
        &self,
        model: ModelId,
        change: ModelChange,
    ) -> Result<oneshot::Receiver<Result<(), ServerError>>, ServerError> {
        let mut state = self.state.lock();
        self.unavailable(&state)?;
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
        running.stage_begun(stage);
        let load_time = models.load_time(running.model).filter(|_| stage == Stage::LoadModel);
        running.load_end = load_time.and_then(|time| Instant::now().checked_add(time));
    }

    /// Notes a step of the running job, and returns the time until its pictures. `None`: the worker was replaced.
    pub(super) fn step_done(&self, request: &JobRequest, report: &StepReport, meter: &JobMeter) -> Option<Duration> {
        let mut state = self.state.lock();
        let estimator = state.estimator_mut(request.model);
        estimator.step_done(report.duration);
        // The first steps tell most; later ones are looked at ever more rarely, since each look costs a regression.
        if meter.steps_done().is_power_of_two() {
            estimator.set_running(&meter.steps(&request.work));
        }
        let State { running, .. } = &mut *state;
        let running = running.as_mut()?;
        running.step_done(report.index, report.total);
        let model = running.model;
        let running = state.running.as_ref()?;
        running.time_to_pictures(state.estimator(model))
    }

    /// The seconds that a job that starts now is expected to take besides the load of its model, by the regressions alone and
    /// as clients get them; `None` until a step of its model was measured. Notes that the model will have its adapters. Does
    /// nothing if the worker was replaced.
    pub(super) fn begin_drawing(&self, epoch: u64, request: &JobRequest) -> Option<[f64; 2]> {
        let mut state = self.state.lock();
        if state.epoch != epoch {
            return None;
        }
        let switches = state.adapters(request.model) != request.spec.adapters.as_slice();
        state.set_adapters(request.model, request.spec.adapters.clone());
        let prediction = state.estimator(request.model).predict(&request.work, switches)?;
        Some(prediction.expected())
    }

    /// Frees the device and returns true, unless the worker was replaced. `parts` are those that were measured.
    pub(super) fn job_done(&self, epoch: u64, request: &JobRequest, parts: &[Measurement]) -> bool {
        let mut state = self.state.lock();
        if state.epoch != epoch {
            return false;
        }
        state.running = None;
        state.estimator_mut(request.model).learn_parts(parts);
        true
    }

    /// Learns from a job whose pictures have become files in `took`, and returns the ratio of its time to the one that was
    /// expected.
    pub(super) fn encoded(&self, request: &JobRequest, measured: &mut JobMeasurements, took: Duration) -> Option<f64> {
        let seconds = took.as_secs_f64();
        measured.seconds += seconds;
        let scale = seconds.max(0.05 * measured.seconds);
        let part = Measurement { part: Part::EncodeImage, work: request.work.of(Part::EncodeImage), seconds, scale };
        let mut state = self.state.lock();
        let estimator = state.estimator_mut(request.model);
        estimator.learn_part(&part);
        estimator.learn_job(measured);
        measured.parts.push(part);
        measured.expected.map(|[_, expected]| measured.seconds / expected)
    }

    /// Learns from jobs of earlier runs of the server, the oldest first.
    pub(super) fn restore(&self, model: ModelId, jobs: &[JobMeasurements]) {
        let mut state = self.state.lock();
        state.estimator_mut(model).restore(jobs);
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

    /// Notes that no model has adapters. Does nothing if the worker was replaced.
    pub(super) fn forget_adapters(&self, epoch: u64) {
        let mut state = self.state.lock();
        if state.epoch == epoch {
            state.forget_adapters();
        }
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
