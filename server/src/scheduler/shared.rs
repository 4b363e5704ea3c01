//! The scheduler's state behind its lock, with what callers and the worker do to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use sakuga_model_core::{GenerationSpec, MemoryPool, MemoryProbe, Stage, StepReport};
use tokio::sync::watch;

use super::state::{Running, State};
use crate::error::ServerError;
use crate::event::{CancelReason, EventBody};
use crate::job::{Job, JobHandle};
use crate::limits::Limits;
use crate::telemetry::{ActivityProbe, RunningJob, SchedulerSnapshot};

/// Whether the engine can draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineStatus {
    /// It can.
    Serving,
    /// The engine was lost and could not be opened again; the text says why.
    Lost(String),
}

/// What the scheduler's handle and the worker share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Signals the worker that `state` has something new for it.
    wake: Condvar,
    engine_status: watch::Sender<EngineStatus>,
    /// Asks the open engine for its memory; `None` while no engine is open.
    memory: Mutex<Option<MemoryProbe>>,
}

impl Shared {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            state: Mutex::new(State::new(limits)),
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

    /// Why the engine cannot draw, if it cannot.
    pub(super) fn engine_error(&self) -> Option<ServerError> {
        match &*self.engine_status.borrow() {
            EngineStatus::Serving => None,
            EngineStatus::Lost(reason) => Some(ServerError::EngineUnavailable(reason.clone())),
        }
    }

    /// Enqueues a job, and publishes its position if that differs from `announced_position`. A job that was cancelled
    /// before, by a call or its deadline, ends at once.
    pub(super) fn enqueue(&self, job: Job, announced_position: usize) {
        let mut state = self.state.lock();
        // Looked at under the lock: a job that is cancelled later is found in the queue.
        let cancelled = job.handle.cancel_reason();
        let shutdown = (state.is_draining || state.is_closing).then_some(CancelReason::Shutdown);
        if let Some(reason) = cancelled.or(shutdown) {
            drop(state);
            return job.cancelled(0, reason);
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

    /// Ends the worker after the job that it draws.
    pub(super) fn close(&self) {
        self.state.lock().is_closing = true;
        self.wake.notify_one();
    }

    /// Waits for the next job; `None` when the worker has to end.
    pub(super) fn next(&self, epoch: u64) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if state.is_closing || state.epoch != epoch {
                return None;
            }
            if let Some(job) = state.queue.pop(|_| true) {
                state.running = Some(Running::new(&job));
                state.announce_positions(0);
                return Some(job);
            }
            self.wake.wait(&mut state);
        }
    }

    pub(super) fn stage_begun(&self, stage: Stage) {
        if let Some(running) = &mut self.state.lock().running {
            running.stage = Some(stage);
        }
    }

    pub(super) fn step_done(&self, spec: &GenerationSpec, report: &StepReport) {
        // A batch that is computed in turns has `spec.sampling.steps` steps in each turn.
        let turns = (report.total / spec.sampling.steps.max(1)).max(1);
        let mut state = self.state.lock();
        state.estimator.step_done(spec, report.duration, turns);
        if let Some(running) = &mut state.running {
            running.steps_left = report.total.saturating_sub(report.index).div_ceil(turns);
            (running.step, running.steps) = (report.index, report.total);
        }
    }

    /// The time that the running job will take outside its steps.
    pub(super) fn overhead(&self, spec: &GenerationSpec) -> Duration {
        self.state.lock().estimator.time_left(spec, 0).unwrap_or_default()
    }

    /// Frees the device and returns true, unless the worker was replaced. `overhead` is the time outside the steps of a job
    /// that was drawn completely.
    pub(super) fn job_done(&self, epoch: u64, spec: &GenerationSpec, overhead: Option<Duration>) -> bool {
        let mut state = self.state.lock();
        if state.epoch != epoch {
            return false;
        }
        state.running = None;
        if let Some(overhead) = overhead {
            state.estimator.job_done(spec, overhead);
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

    /// Refuses new jobs until [`Shared::engine_recovered`]; waiting jobs keep waiting.
    pub(super) fn engine_unavailable(&self, reason: &str) {
        self.engine_status.send_replace(EngineStatus::Lost(reason.to_owned()));
    }

    /// Refuses new jobs and fails those that wait: the engine will not be opened again.
    pub(super) fn engine_lost(&self, reason: &str) {
        self.engine_unavailable(reason);
        let jobs = self.state.lock().queue.drain();
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

    /// Sets how to ask the open engine for its memory; `None` while no engine is open.
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
