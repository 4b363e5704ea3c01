//! [`Scheduler`]: the handle for everything outside the engine's thread.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::command::ModelChange;
use super::context::WorkerContext;
use super::engine_thread::EngineThread;
use super::reservation::{self, Reservation};
use super::shared::{EngineStatus, Shared};
use super::state::Forecasted;
use super::watchdog;
use crate::encoder::Encoder;
use crate::error::ServerError;
use crate::estimate::{JobMeasurements, JobWork};
use crate::event::CancelReason;
use crate::gpu::Sampler;
use crate::job::{Job, JobHandle, JobRequest, LiveJobs};
use crate::job_id::JobId;
use crate::limits::Limits;
use crate::metrics::ModelMetrics;
use crate::models::{ModelId, ModelStatus, ModelTable};
use crate::telemetry::{ActivityProbe, Telemetry};

/// How long dropping the scheduler waits for the worker. A step takes a few seconds at most; the thread of an engine that
/// hangs longer ends with the process.
const JOIN_PATIENCE: Duration = Duration::from_secs(5);

/// How far a live job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobProgress {
    Waiting {
        /// Jobs before it, the running one included.
        position: usize,
        /// When it will start; `None` until a step was measured.
        eta: Option<Duration>,
    },
    /// It has the device.
    Running {
        /// Steps that are done.
        step: u32,
        steps: u32,
        /// When it will end; `None` until a step was measured.
        eta: Option<Duration>,
    },
}

/// The handle. Dropping it cancels all jobs and joins the worker.
pub(crate) struct Scheduler {
    shared: Arc<Shared>,
    live: Arc<LiveJobs>,
    thread: Arc<Mutex<Option<EngineThread>>>,
}

impl Scheduler {
    /// Starts to feed the engine's thread with jobs. `models` is the table that opening the thread returned.
    pub(crate) fn start(
        thread: EngineThread,
        models: ModelTable,
        encoder: Encoder,
        sampler: Arc<Sampler>,
        telemetry: Telemetry,
        metrics: ModelMetrics,
        limits: &Limits,
    ) -> Self {
        let shared = Arc::new(Shared::new(limits, models));
        let live: Arc<LiveJobs> = Arc::default();
        let activity = shared.activity_probe();
        let context =
            Arc::new(WorkerContext { shared: shared.clone(), encoder, sampler, telemetry, metrics, activity });
        let watched = Arc::downgrade(&context);
        thread.begin(context);
        let thread = Arc::new(Mutex::new(Some(thread)));
        if let Some(silence_max) = limits.silence_max {
            watchdog::start(silence_max, watched, live.clone(), thread.clone());
        }
        Self { shared, live, thread }
    }

    /// The jobs without a terminal event, for [`Job::new`].
    pub(crate) fn live(&self) -> &Arc<LiveJobs> {
        &self.live
    }

    /// Reserves a place in the queue for a client's next job.
    ///
    /// # Errors
    ///
    /// [`ServerError::ShuttingDown`], [`ServerError::EngineUnavailable`], [`ServerError::QueueFull`] or
    /// [`ServerError::ClientJobs`].
    pub(crate) fn reserve(&self, client: &Arc<str>) -> Result<Reservation, ServerError> {
        Reservation::new(&self.shared, client, self.live.of_client(client))
    }

    /// Reserves a place for a job of an earlier run, which was admitted then.
    pub(crate) fn reserve_for_earlier_run(&self) -> Reservation {
        Reservation::of_earlier_run(&self.shared)
    }

    /// Enqueues the job; publishes `Queued` if its position changed while the job was stored.
    pub(crate) fn enqueue(&self, job: Job, announced_position: usize) {
        self.shared.enqueue(job, announced_position);
    }

    /// How far a job is; `None` if it neither waits nor runs.
    pub(crate) fn progress(&self, id: &JobId) -> Option<JobProgress> {
        let state = self.shared.state();
        if let Some(running) = state.running.as_ref().filter(|running| running.id == *id) {
            return Some(JobProgress::Running {
                step: running.step,
                steps: running.steps,
                eta: running.time_to_pictures(state.estimator(running.model)),
            });
        }
        let place = state.queue.place(id)?;
        Some(JobProgress::Waiting { position: place + state.running_jobs(), eta: state.eta(place) })
    }

    /// Cancels a job: at once if it waits, at its next step if it runs. Does nothing to a job that has ended.
    pub(crate) fn cancel(&self, handle: &JobHandle, reason: CancelReason) {
        self.shared.cancel(handle, reason);
    }

    /// Refuses new jobs and cancels those that wait; the running one continues.
    pub(crate) fn drain(&self) {
        for job in self.shared.drain() {
            job.cancelled(0, CancelReason::Shutdown);
        }
    }

    /// Cancels every live job.
    pub(crate) fn cancel_all(&self) {
        for handle in self.live.handles() {
            self.cancel(&handle, CancelReason::Shutdown);
        }
    }

    /// Whether the engine can draw, now and whenever that changes.
    pub(crate) fn engine_status(&self) -> watch::Receiver<EngineStatus> {
        self.shared.engine_status()
    }

    /// Every model and where its weights are, now and whenever one changes.
    pub(crate) fn model_statuses(&self) -> watch::Receiver<Vec<ModelStatus>> {
        self.shared.model_statuses()
    }

    /// Has a model put on the device or taken off it, before the next job. The receiver gets the result once that is done,
    /// or nothing if the scheduler is closed before. Dropping it cancels a change that was not begun.
    ///
    /// # Errors
    ///
    /// [`ServerError::ShuttingDown`] or [`ServerError::EngineUnavailable`].
    pub(crate) fn change_model(
        &self,
        model: ModelId,
        change: ModelChange,
    ) -> Result<oneshot::Receiver<Result<(), ServerError>>, ServerError> {
        self.shared.command(model, change)
    }

    /// Reports on the activity of the scheduler and its engine.
    pub(crate) fn activity_probe(&self) -> ActivityProbe {
        self.shared.activity_probe()
    }

    /// What would be expected of a job, and why it would be refused in spite of being valid, if it would. Nothing is created.
    ///
    /// # Errors
    ///
    /// [`ServerError::ShuttingDown`], [`ServerError::EngineUnavailable`] or [`ServerError::ModelUnusable`].
    pub(crate) fn forecast(&self, request: &JobRequest) -> Result<(Forecasted, Option<ServerError>), ServerError> {
        let live_jobs = self.live.of_client(&request.client);
        let state = self.shared.state();
        self.shared.unavailable(&state)?;
        if let Some(error) = state.model_error(request.model) {
            return Err(error);
        }
        let refusal = reservation::admit(&state, &request.client, live_jobs).err();
        Ok((state.forecasted(request), refusal))
    }

    /// Seconds that work of a model takes until its pictures; `None`: nothing of it was measured.
    pub(crate) fn predict(&self, model: ModelId, work: &JobWork, switches_adapters: bool) -> Option<f64> {
        let state = self.shared.state();
        state.estimator(model).predict(work, switches_adapters).map(|prediction| prediction.seconds())
    }

    /// Learns from jobs of earlier runs of the server, the oldest first.
    pub(crate) fn restore_measurements(&self, model: ModelId, jobs: &[JobMeasurements]) {
        self.shared.restore(model, jobs);
    }

    /// Jobs of a model that estimates are learnt from.
    pub(crate) fn learned_jobs(&self, model: ModelId) -> u32 {
        self.shared.state().estimator(model).jobs()
    }

    /// Median time of the latest steps of a model; `None` before the first.
    pub(crate) fn step_time(&self, model: ModelId) -> Option<Duration> {
        self.shared.state().estimator(model).step_time()
    }

    /// Cancels all jobs, ends the worker after its present step and waits for it, at most for `patience`.
    pub(crate) fn close(&self, patience: Duration) {
        self.drain();
        self.cancel_all();
        self.shared.close();
        let Some(thread) = self.thread.lock().take() else { return };
        if !thread.join_within(patience) {
            tracing::error!("the engine does not return from its step; leaving its thread behind");
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.close(JOIN_PATIENCE);
    }
}
