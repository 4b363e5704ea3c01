//! [`Shared`]: the scheduler's state behind its lock, and the operations of callers and workers on it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use sakuga_model_core::{EngineError, MemoryPool, MemoryProbe, Stage, StepReport};
use tokio::sync::watch;

use super::command::{Change, DeviceCommand, ModelChange, Pending};
use super::drawn::Drawn;
use super::share::{AssistTask, AssistingDevice};
use super::state::{Assisting, Device, Running, Service, State};
use super::worker_id::WorkerId;
use crate::devices::{DeviceId, DeviceInfo, DeviceStatus};
use crate::error::ServerError;
use crate::estimate::{JobMeasurements, JobMeter, JobWork, Measurement, Part};
use crate::event::{CancelReason, EventBody};
use crate::job::{Job, JobHandle, JobRequest, ScenePass};
use crate::limits::Limits;
use crate::models::{ModelId, ModelStatus, ModelTable};
use crate::telemetry::{ActivityProbe, DeviceSnapshot, SchedulerSnapshot};

/// Whether jobs can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EngineStatus {
    /// At least one device takes jobs.
    Serving,
    /// No device takes jobs; the text says why.
    Lost(String),
}

/// The next task of an engine's thread.
pub(super) enum Work {
    /// A job to run, with a second device that assists or without.
    Job(Box<Job>, Option<AssistingDevice>),
    /// Half of the guidance of a job that another device draws.
    Assist(Box<AssistTask>),
    /// A command to execute.
    Command(DeviceCommand),
}

/// What begins to be drawn.
pub(super) struct DrawingStarted {
    /// The expected seconds before and after correction, without the load of its model: of a whole job, or of the pass of one model on
    /// the device if the job has a scene. `None` if no step of the model has been measured.
    pub(super) expected: Option<[f64; 2]>,
    /// Its work, with what the device does for the first time.
    pub(super) work: JobWork,
}

/// What a worker did whose engine reports nothing.
pub(super) enum Silent {
    /// It drew a job.
    Drawing(Box<Running>),
    /// It assisted in the job of another device.
    Assisting(Assisting),
}

/// What the scheduler's handle and the workers share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Signals the workers that `state` has changed.
    wake: Condvar,
    engine_status: watch::Sender<EngineStatus>,
    /// Publishes the models of `state`.
    model_statuses: watch::Sender<Vec<ModelStatus>>,
    /// Publishes the devices of `state`, except their jobs.
    device_statuses: watch::Sender<Vec<DeviceStatus>>,
    /// The memory probe of each device; `None` while no model is open.
    memory: Vec<Mutex<Option<MemoryProbe>>>,
}

impl Shared {
    pub(super) fn new(limits: &Limits, devices: impl IntoIterator<Item = (DeviceInfo, ModelTable)>) -> Self {
        let state = State::new(limits, devices);
        Self {
            wake: Condvar::new(),
            engine_status: watch::Sender::new(EngineStatus::Serving),
            model_statuses: watch::Sender::new(state.devices.model_statuses()),
            device_statuses: watch::Sender::new(state.devices.statuses()),
            memory: state.devices.iter().map(|_| Mutex::new(None)).collect(),
            state: Mutex::new(state),
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

    /// Every device, now and whenever one changes.
    pub(super) fn device_statuses(&self) -> watch::Receiver<Vec<DeviceStatus>> {
        self.device_statuses.subscribe()
    }

    /// Wakes the workers and notifies the subscribers that devices have changed.
    pub(super) fn devices_changed(&self, state: &State) {
        let outage = state.devices.outage().map_or(EngineStatus::Serving, EngineStatus::Lost);
        self.engine_status.send_replace(outage);
        self.device_statuses.send_replace(state.devices.statuses());
        self.wake.notify_all();
    }

    /// Notifies the subscribers that models have changed.
    fn models_changed(&self, state: &State) {
        self.model_statuses.send_replace(state.devices.model_statuses());
        self.device_statuses.send_replace(state.devices.statuses());
    }

    /// Enqueues a job, and publishes its position if that differs from `announced_position`. A job that was cancelled
    /// before, by a call or its deadline, ends at once, and so does one whose model could not be loaded meanwhile.
    pub(super) fn enqueue(&self, job: Job, announced_position: usize) {
        let mut state = self.state.lock();
        // Read under the lock: a job that is cancelled later is found in the queue.
        let cancelled = job.handle.cancel_reason();
        let shutdown = (state.is_draining || state.is_closing).then_some(CancelReason::Shutdown);
        if let Some(reason) = cancelled.or(shutdown) {
            drop(state);
            return job.cancelled(0, reason);
        }
        if let Some(error) = state.request_error(&job.request) {
            drop(state);
            job.events.publish(EventBody::Failed(error));
            return;
        }
        let (id, client, priority) = (job.handle.id.clone(), job.request.client.clone(), job.request.priority);
        let place = state.queue.push(id, &client, priority, job);
        let has_moved = state.position(place) != announced_position;
        // The job itself if it has moved, and the jobs that it was placed before.
        state.announce_positions(if has_moved { place } else { place + 1 });
        drop(state);
        // All workers, since one of them takes the job.
        self.wake.notify_all();
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

    /// Ends each worker after its running job. Waiting commands are dropped.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closing = true;
        state.devices.iter_mut().for_each(|device| device.commands.clear());
        drop(state);
        self.wake.notify_all();
    }

    /// Fails if the server is stopping or no device takes jobs.
    pub(super) fn unavailable(&self, state: &State) -> Result<(), ServerError> {
        if state.is_draining || state.is_closing {
            return Err(ServerError::ShuttingDown);
        }
        state.devices.outage().map_or(Ok(()), |reason| Err(ServerError::EngineUnavailable(reason)))
    }

    /// Loads or unloads a model, before their next jobs, on all devices that are neither lost nor disabled.
    pub(super) fn move_model(&self, model: ModelId, change: ModelChange) -> Result<Pending, ServerError> {
        let mut state = self.state.lock();
        self.unavailable(&state)?;
        let mut results = Vec::new();
        for device in state.devices.iter_mut() {
            if device.loss.is_none() && device.service != Service::Disabled {
                let (command, result) = DeviceCommand::new(Change::Model(model, change));
                device.commands.push_back(command);
                results.push(result);
            }
        }
        drop(state);
        self.wake.notify_all();
        Ok(Pending(results))
    }

    /// Waits for the next command or job of a worker's device; `None` when the worker has to end. Commands come first.
    pub(super) fn next(&self, worker: WorkerId) -> Option<Work> {
        let mut state = self.state.lock();
        loop {
            if state.is_closing || !state.is_current(worker) {
                return None;
            }
            let device = state.devices.get_mut(worker.device);
            if let Some(task) = device.assist_task.take() {
                return Some(Work::Assist(Box::new(task)));
            }
            let command = device.commands.pop_front();
            device.is_idle = command.is_none();
            if let Some(command) = command {
                // Jobs that this device was preferred for may go to other devices now.
                self.wake.notify_all();
                return Some(Work::Command(command));
            }
            if let Some((job, assisting)) = state.take_job(worker.device) {
                self.models_changed(&state);
                self.wake.notify_all();
                return Some(Work::Job(Box::new(job), assisting));
            }
            self.wake.wait(&mut state);
        }
    }

    /// Notes that a stage of a model begins.
    pub(super) fn stage_begun(&self, worker: WorkerId, model: ModelId, stage: Stage) {
        let mut state = self.state.lock();
        let device = state.devices.get_mut(worker.device);
        let Some(running) = &mut device.running else { return };
        running.stage_begun(stage);
        let load_time = device.models.load_time(model).filter(|_| stage == Stage::LoadModel);
        running.load_end = load_time.and_then(|time| Instant::now().checked_add(time));
    }

    /// Records a step of the running job, and returns the time until its image files are ready; `None` if the worker was replaced or
    /// too little was measured.
    pub(super) fn step_done(
        &self,
        worker: WorkerId,
        drawn: &Drawn,
        report: &StepReport,
        meter: &JobMeter,
    ) -> Option<Duration> {
        let mut state = self.state.lock();
        let is_shared = state.devices.get(worker.device).running.as_ref()?.is_shared();
        let estimator = state.estimator_mut(worker.device, drawn.model);
        if !is_shared {
            estimator.step_done(report.duration);
        }
        // Each update solves a regression, so it is done after 1, 2, 4, 8 … steps: the first ones change the estimate most.
        if !is_shared && meter.steps_done().is_power_of_two() {
            estimator.set_running(&meter.steps());
        }
        state.devices.get_mut(worker.device).running.as_mut()?.step_done(report.index, report.total);
        let running = state.devices.get(worker.device).running.as_ref()?;
        running.time_to_pictures(|model| state.estimator(worker.device, model))
    }

    /// Notes that the pass of a scene begins over the next picture. Its model is on the device, and will have its adapters.
    pub(super) fn begin_scene(&self, worker: WorkerId, scene: &ScenePass) -> DrawingStarted {
        let mut state = self.state.lock();
        if !state.is_current(worker) {
            return DrawingStarted { expected: None, work: scene.work.clone() };
        }
        let device = state.devices.get_mut(worker.device);
        let switches = device.adapters(scene.model) != scene.spec().adapters.as_slice();
        device.models.used(scene.model);
        device.set_adapters(scene.model, scene.spec().adapters.clone());
        let work = scene.work.begin(device.seen_mut(scene.model));
        if let Some(running) = &mut device.running {
            running.scene_begun();
            running.begin(work.clone());
        }
        self.models_changed(&state);
        let prediction = state.estimator(worker.device, scene.model).predict(&work, switches);
        DrawingStarted { expected: prediction.map(|prediction| prediction.expected_on_device()), work }
    }

    /// Learns from the pass of a job with a scene that ended while the job continues.
    pub(super) fn learn_pass(&self, worker: WorkerId, model: ModelId, measured: &JobMeasurements) {
        let mut state = self.state.lock();
        if state.is_current(worker) {
            let estimator = state.estimator_mut(worker.device, model);
            estimator.learn_parts(&measured.parts);
            estimator.learn_job(measured);
        }
    }

    /// Records that the job's adapters will be applied to its model, and that the device will have computed its shapes. Only the work
    /// is returned if the worker was replaced.
    pub(super) fn begin_drawing(&self, worker: WorkerId, request: &JobRequest) -> DrawingStarted {
        let mut state = self.state.lock();
        if !state.is_current(worker) {
            return DrawingStarted { expected: None, work: request.work.clone() };
        }
        let device = state.devices.get_mut(worker.device);
        let switches = device.adapters(request.model) != request.spec.adapters.as_slice();
        device.set_adapters(request.model, request.spec.adapters.clone());
        let work = request.work.begin(device.seen_mut(request.model));
        if let Some(running) = &mut device.running {
            running.begin(work.clone());
        }
        let prediction = state.estimator(worker.device, request.model).predict(&work, switches);
        let expected = prediction.map(|prediction| match request.scene {
            Some(_) => prediction.expected_on_device(),
            None => prediction.expected(),
        });
        DrawingStarted { expected, work }
    }

    /// Frees the device and returns true; returns false if the worker was replaced. `parts` are the job's measurements.
    pub(super) fn job_done(&self, worker: WorkerId, request: &JobRequest, parts: &[Measurement]) -> bool {
        let mut state = self.state.lock();
        if !state.is_current(worker) {
            return false;
        }
        state.devices.get_mut(worker.device).running = None;
        state.estimator_mut(worker.device, request.model).learn_parts(parts);
        true
    }

    /// Adds a completed job to the estimates, and returns the ratio of its time to the expected one. `took` is the time of
    /// encoding its images to files.
    pub(super) fn encoded(
        &self,
        device: DeviceId,
        request: &JobRequest,
        measured: &mut JobMeasurements,
        took: Duration,
    ) -> Option<f64> {
        if request.scene.is_some() {
            // The files hold pictures of another model, and possibly of another size, than what was measured.
            return None;
        }
        let seconds = took.as_secs_f64();
        measured.seconds += seconds;
        let scale = seconds.max(0.05 * measured.seconds);
        let part = Measurement { part: Part::EncodeImage, work: request.work.of(Part::EncodeImage), seconds, scale };
        let mut state = self.state.lock();
        let estimator = state.estimator_mut(device, request.model);
        estimator.learn_part(&part);
        estimator.learn_job(measured);
        measured.parts.push(part);
        measured.expected.map(|[_, expected]| measured.seconds / expected)
    }

    /// Adds measurements of earlier runs of the server on this kind of device, the oldest first.
    pub(super) fn restore(&self, kind: usize, model: ModelId, jobs: &[JobMeasurements]) {
        let mut state = self.state.lock();
        state.estimator_of_kind_mut(kind, model).restore(jobs);
    }

    /// Records that the engine reported something; returns whether its worker is current.
    pub(super) fn record_report(&self, worker: WorkerId) -> bool {
        let mut state = self.state.lock();
        if !state.is_current(worker) {
            return false;
        }
        let device = state.devices.get_mut(worker.device);
        if let Some(running) = &mut device.running {
            running.last_report = Instant::now();
        }
        if let Some(assisting) = &mut device.assisting {
            assisting.last_report = Instant::now();
        }
        true
    }

    /// Frees a device whose part in a job of another device has ended. Does nothing if the worker was replaced.
    pub(super) fn assist_done(&self, worker: WorkerId) {
        let mut state = self.state.lock();
        if state.is_current(worker) {
            state.devices.get_mut(worker.device).assisting = None;
            self.devices_changed(&state);
        }
    }

    /// Replaces a worker whose engine has reported nothing for `silence_max`. Returns what it did and the id of the next
    /// worker.
    pub(super) fn take_from_silent_worker(&self, silence_max: Duration) -> Option<(Silent, WorkerId)> {
        let mut state = self.state.lock();
        for id in state.devices.ids() {
            let device = state.devices.get_mut(id);
            let running = device.running.take_if(|running| running.last_report.elapsed() > silence_max);
            let assisting = device.assisting.take_if(|assisting| assisting.last_report.elapsed() > silence_max);
            let silent = match (running, assisting) {
                (Some(running), _) => Silent::Drawing(Box::new(running)),
                (None, Some(assisting)) => Silent::Assisting(assisting),
                (None, None) => continue,
            };
            (device.assist_task, device.epoch) = (None, device.epoch + 1);
            return Some((silent, WorkerId { device: id, epoch: device.epoch }));
        }
        None
    }

    pub(super) fn is_current(&self, worker: WorkerId) -> bool {
        self.state.lock().is_current(worker)
    }

    /// Changes the model table of a device. `None`, without a change, if the worker was replaced.
    pub(super) fn change_models<T>(&self, worker: WorkerId, change: impl FnOnce(&mut ModelTable) -> T) -> Option<T> {
        let mut state = self.state.lock();
        if !state.is_current(worker) {
            return None;
        }
        let changed = change(&mut state.devices.get_mut(worker.device).models);
        self.models_changed(&state);
        Some(changed)
    }

    /// Records that no model on a device has adapters. Does nothing if the worker was replaced.
    pub(super) fn forget_adapters(&self, worker: WorkerId) {
        let mut state = self.state.lock();
        if state.is_current(worker) {
            state.devices.get_mut(worker.device).forget_adapters();
        }
    }

    /// Records that a model was loaded: it has read no text yet.
    pub(super) fn forget_texts(&self, worker: WorkerId, model: ModelId) {
        let mut state = self.state.lock();
        if state.is_current(worker) {
            state.devices.get_mut(worker.device).seen_mut(model).forget_texts();
        }
    }

    /// Marks a model as failed on a device, and fails its waiting jobs unless another device can run them, now or once it is enabled.
    /// Does nothing if the worker was replaced.
    pub(super) fn model_failed(&self, worker: WorkerId, model: ModelId, error: &EngineError) {
        let mut state = self.state.lock();
        if !state.is_current(worker) {
            return;
        }
        state.devices.get_mut(worker.device).models.failed(model, error.to_string());
        self.models_changed(&state);
        let unusable = state.unusable(model, &error.to_string());
        let jobs = state.take_hopeless();
        state.announce_positions(0);
        let device = state.devices.get(worker.device).info.name.clone();
        drop(state);
        // Other devices may take the jobs that were assigned to this one.
        self.wake.notify_all();
        tracing::error!(device = &*device, error = %unusable, jobs = jobs.len(), "a model cannot be loaded");
        for (job, error) in jobs {
            job.events.publish(EventBody::Failed(error));
        }
    }

    /// The error of jobs and calls for a model whose load failed.
    pub(super) fn unusable(&self, model: ModelId, error: &EngineError) -> ServerError {
        self.state.lock().unusable(model, &error.to_string())
    }

    pub(super) fn model_name(&self, model: ModelId) -> Arc<str> {
        self.state.lock().model_name(model).clone()
    }

    /// Sleeps; returns early with true when the worker has to end, and with false when a call disables the device.
    pub(super) fn pause(&self, worker: WorkerId, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut state = self.state.lock();
        while !state.is_closing && state.is_current(worker) {
            let is_disabled = state.devices.get(worker.device).service == Service::Disabled;
            if is_disabled || self.wake.wait_until(&mut state, until).timed_out() {
                return state.is_closing;
            }
        }
        true
    }

    /// Sets how to ask a device for its memory; `None` while no model is open.
    pub(super) fn set_memory_probe(&self, device: DeviceId, probe: Option<MemoryProbe>) {
        *self.memory[device.index()].lock() = probe;
    }

    fn memory_pools(&self, device: DeviceId) -> Vec<MemoryPool> {
        let probe = self.memory[device.index()].lock().clone();
        probe.map(|probe| probe()).unwrap_or_default()
    }

    /// The waiting and the running jobs, for activity reports.
    fn snapshot(&self) -> SchedulerSnapshot {
        let state = self.state.lock();
        let device = |device: &Device| DeviceSnapshot {
            name: device.info.name.clone(),
            state: device.state(),
            running: state.devices.job_on(device),
        };
        SchedulerSnapshot { queued: state.queue.len(), devices: state.devices.iter().map(device).collect() }
    }

    /// Reports on the activity of the scheduler and its engines.
    pub(super) fn activity_probe(self: &Arc<Self>) -> ActivityProbe {
        let (scheduler, engine) = (self.clone(), self.clone());
        ActivityProbe::new(move || scheduler.snapshot(), move |device| engine.memory_pools(device))
    }
}
