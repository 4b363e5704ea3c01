//! [`Scheduler`]: the handle for everything outside the engines' threads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::command::{ModelChange, Pending};
use super::context::WorkerContext;
use super::engine_thread::EngineThread;
use super::reservation::{self, Reservation};
use super::shared::{EngineStatus, Shared};
use super::state::{Device, Forecasted};
use super::watchdog;
use super::worker_id::WorkerId;
use crate::devices::{DeviceId, DeviceInfo, DeviceStatus};
use crate::encoder::Encoder;
use crate::error::{ServerError, Violation};
use crate::estimate::{Interval, JobMeasurements, JobWork, Prediction};
use crate::event::CancelReason;
use crate::gpu::Sampler;
use crate::job::{Job, JobHandle, JobRequest, LiveJobs, ScenePass};
use crate::job_id::JobId;
use crate::limits::Limits;
use crate::metrics::ModelMetrics;
use crate::models::{ModelId, ModelStatus, ModelTable};
use crate::telemetry::{ActivityProbe, Telemetry};

/// How long dropping the scheduler waits for the workers. A step takes a few seconds at most; the thread of an engine that
/// hangs longer ends with the process.
const JOIN_PATIENCE: Duration = Duration::from_secs(5);

/// The progress of a live job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobProgress {
    Waiting {
        /// Jobs before it, the running ones included.
        position: usize,
        /// When it will start; `None` until a step was measured.
        eta: Option<Duration>,
    },
    /// It has a device.
    Running {
        /// Steps that are done.
        step: u32,
        steps: u32,
        /// When it will end; `None` until a step was measured.
        eta: Option<Duration>,
    },
}

/// A device whose models are open.
pub(crate) struct OpenDevice {
    pub info: DeviceInfo,
    pub thread: EngineThread,
    /// Where the weights of the models are on it.
    pub table: ModelTable,
}

/// A change of a device's service by a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceChange {
    /// It finishes its job and gets no other; its models stay.
    Drain,
    /// As `Drain`, and its models are unloaded.
    Disable,
    /// It gets jobs again, and the models that were unloaded are loaded.
    Enable,
}

/// The handle. Dropping it cancels all jobs and joins the workers.
pub(crate) struct Scheduler {
    shared: Arc<Shared>,
    live: Arc<LiveJobs>,
    /// In the order of the devices; empty once the scheduler is closed.
    threads: Arc<Mutex<Vec<EngineThread>>>,
}

impl Scheduler {
    /// Starts the scheduler on these devices.
    pub(crate) fn start(
        devices: Vec<OpenDevice>,
        encoder: Encoder,
        sampler: Arc<Sampler>,
        telemetry: Telemetry,
        metrics: ModelMetrics,
        limits: &Limits,
    ) -> Self {
        let (threads, known): (Vec<_>, Vec<_>) =
            devices.into_iter().map(|OpenDevice { info, thread, table }| (thread, (info, table))).unzip();
        let shared = Arc::new(Shared::new(limits, known));
        let live: Arc<LiveJobs> = Arc::default();
        let activity = shared.activity_probe();
        let context =
            Arc::new(WorkerContext { shared: shared.clone(), encoder, sampler, telemetry, metrics, activity });
        let watched = Arc::downgrade(&context);
        for (thread, device) in threads.iter().zip(DeviceId::all(threads.len())) {
            thread.begin(context.clone(), WorkerId::first(device));
        }
        drop(context);
        let threads = Arc::new(Mutex::new(threads));
        if let Some(silence_max) = limits.silence_max {
            watchdog::start(silence_max, watched, live.clone(), threads.clone());
        }
        Self { shared, live, threads }
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

    /// The progress of a job; `None` if it neither waits nor runs.
    pub(crate) fn progress(&self, id: &JobId) -> Option<JobProgress> {
        let state = self.shared.state();
        if let Some((device, running)) = state.devices.running(id) {
            return Some(JobProgress::Running {
                step: running.step,
                steps: running.steps,
                eta: running.time_to_pictures(|model| state.estimator(device, model)),
            });
        }
        let place = state.queue.place(id)?;
        Some(JobProgress::Waiting { position: state.position(place), eta: state.eta(place) })
    }

    /// Cancels a job: at once if it waits, at its next step if it runs. Does nothing to a job that has ended.
    pub(crate) fn cancel(&self, handle: &JobHandle, reason: CancelReason) {
        self.shared.cancel(handle, reason);
    }

    /// Refuses new jobs and cancels those that wait; the running ones continue.
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

    /// Whether a device takes jobs, now and whenever that changes.
    pub(crate) fn engine_status(&self) -> watch::Receiver<EngineStatus> {
        self.shared.engine_status()
    }

    /// Every model and where its weights are, now and whenever one changes.
    pub(crate) fn model_statuses(&self) -> watch::Receiver<Vec<ModelStatus>> {
        self.shared.model_statuses()
    }

    /// Every device, now and whenever its state, its models or its counters change.
    pub(crate) fn device_statuses(&self) -> watch::Receiver<Vec<DeviceStatus>> {
        self.shared.device_statuses()
    }

    /// Every device and the job that it draws or assists in.
    pub(crate) fn devices(&self) -> Vec<(DeviceStatus, Option<JobId>)> {
        let state = self.shared.state();
        let job = |device: &Device| state.devices.job_on(device).map(|job| job.job_id);
        state.devices.iter().map(|device| (device.status(), job(device))).collect()
    }

    /// The device called `name`.
    ///
    /// # Errors
    ///
    /// [`ServerError::UnknownDevice`] with the known names, or [`ServerError::InvalidRequest`] if `name` is empty.
    pub(crate) fn find_device(&self, name: &str) -> Result<DeviceId, ServerError> {
        let state = self.shared.state();
        state.devices.find(name).ok_or_else(|| {
            let known: Vec<_> = state.devices.iter().map(|device| device.info.name.to_string()).collect();
            match name {
                "" => {
                    let text = format!("name the device; there are {}", known.join(", "));
                    ServerError::invalid("name", Violation::REQUIRED, text)
                }
                _ => ServerError::UnknownDevice { name: name.to_owned(), known },
            }
        })
    }

    /// The device's full name, as in events, records and pictures.
    pub(crate) fn device_name(&self, device: DeviceId) -> Arc<str> {
        self.shared.device_name(device)
    }

    /// Takes a device out of service or puts it into service. Pending changes are done even if the caller has gone.
    pub(crate) fn change_device(&self, device: DeviceId, change: DeviceChange) -> Pending {
        match change {
            DeviceChange::Drain => self.shared.take_out_of_service(device, false),
            DeviceChange::Disable => self.shared.take_out_of_service(device, true),
            DeviceChange::Enable => self.shared.put_into_service(device),
        }
    }

    /// Loads a model to all devices or unloads it, before their next jobs.
    ///
    /// # Errors
    ///
    /// [`ServerError::ShuttingDown`] or [`ServerError::EngineUnavailable`].
    pub(crate) fn change_model(&self, model: ModelId, change: ModelChange) -> Result<Pending, ServerError> {
        self.shared.move_model(model, change)
    }

    /// Reports on the activity of the scheduler and its engine.
    pub(crate) fn activity_probe(&self) -> ActivityProbe {
        self.shared.activity_probe()
    }

    /// Estimates a job, and returns why it would be refused now if it would. Nothing is created.
    ///
    /// # Errors
    ///
    /// [`ServerError::ShuttingDown`], [`ServerError::EngineUnavailable`] or [`ServerError::ModelUnusable`].
    pub(crate) fn forecast(&self, request: &JobRequest) -> Result<(Forecasted, Option<ServerError>), ServerError> {
        let live_jobs = self.live.of_client(&request.client);
        let state = self.shared.state();
        self.shared.unavailable(&state)?;
        if let Some(error) = state.request_error(request) {
            return Err(error);
        }
        let refusal = reservation::admit(&state, &request.client, live_jobs).err();
        Ok((state.forecasted(request), refusal))
    }

    /// Estimated seconds from the start of the work until its pictures are ready; `None` without measurements of the model.
    pub(crate) fn predict(
        &self,
        device: DeviceId,
        model: ModelId,
        work: &JobWork,
        switches_adapters: bool,
    ) -> Option<f64> {
        let state = self.shared.state();
        let work = work.on(state.devices.get(device).seen(model));
        state.estimator(device, model).predict(&work, switches_adapters).map(|prediction| prediction.seconds())
    }

    /// The expected times of the pass of a scene over one picture, with their interval, and its energy in joules if that was measured;
    /// `None` if its model was never measured.
    pub(crate) fn scene_prediction(
        &self,
        device: DeviceId,
        scene: &ScenePass,
        draws: u32,
        switches_adapters: bool,
    ) -> Option<(Prediction, Interval, Option<f64>)> {
        let state = self.shared.state();
        let estimator = state.estimator(device, scene.model);
        let work = scene.work_on(state.devices.get(device).seen(scene.model), draws);
        let prediction = estimator.predict(&work, switches_adapters)?;
        let (interval, joules) = (estimator.interval(&prediction), estimator.joules(&work, &prediction));
        Some((prediction, interval, joules))
    }

    /// The kinds of devices, by their numbers.
    pub(crate) fn device_kinds(&self) -> Vec<String> {
        self.shared.state().devices.kinds().to_vec()
    }

    /// Adds measurements of earlier runs of the server on this kind of device, the oldest first.
    pub(crate) fn restore_measurements(&self, kind: usize, model: ModelId, jobs: &[JobMeasurements]) {
        self.shared.restore(kind, model, jobs);
    }

    /// Number of measured jobs of a model on devices of the first device's kind.
    pub(crate) fn learned_jobs(&self, model: ModelId) -> u32 {
        self.shared.state().estimator(DeviceId::FIRST, model).jobs()
    }

    /// Median time of a model's latest steps on devices of the first device's kind; `None` before the first.
    pub(crate) fn step_time(&self, model: ModelId) -> Option<Duration> {
        self.shared.state().estimator(DeviceId::FIRST, model).step_time()
    }

    /// Cancels all jobs, ends each worker after its present step and waits for them, at most for `patience`.
    pub(crate) fn close(&self, patience: Duration) {
        self.drain();
        self.cancel_all();
        self.shared.close();
        let until = Instant::now() + patience;
        for thread in std::mem::take(&mut *self.threads.lock()) {
            if !thread.join_until(until) {
                tracing::error!("an engine does not return from its step; its thread is abandoned");
            }
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.close(JOIN_PATIENCE);
    }
}
