//! [`Worker`]: draws jobs one by one on its device, moves models as jobs and calls need, and opens the models again when the
//! device was lost.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use sakuga_model_core::{EngineError, EngineInfo, GenerationSpec, Observer, Outcome, Progress, Stage};
use sakuga_proto::text::count;

use super::command::{Change, DeviceCommand, ModelChange};
use super::context::WorkerContext;
use super::exchange::LeadingEnd;
use super::job_monitor::JobMonitor;
use super::residents::Residents;
use super::share::AssistingDevice;
use super::shared::{Shared, Work};
use super::worker_id::WorkerId;
use crate::encoder::{FinishTask, OnEncoded};
use crate::error::ServerError;
use crate::estimate::JobMeasurements;
use crate::event::EventBody;
use crate::job::Job;
use crate::models::ModelId;

/// Time between two attempts to open the models of a lost device.
const REOPEN_PAUSE: Duration = Duration::from_secs(10);

/// Draws a scheduler's jobs on the thread of one device.
pub(super) struct Worker {
    pub(super) context: Arc<WorkerContext>,
    pub(super) residents: Residents,
    pub(super) id: WorkerId,
}

/// Whether the device can be used for the next job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Device {
    Usable,
    /// All models are closed; this one and those that were open are opened again.
    Lost(ModelId),
}

/// Why a load or a job failed, and whether the device can be used after it.
pub(super) struct Failure {
    error: ServerError,
    device: Device,
}

impl Worker {
    /// Draws jobs until the scheduler is closed or the worker is replaced.
    pub(super) fn work(mut self) {
        let context = self.context.clone();
        let shared = &context.shared;
        let _guard = LostOnPanic(shared, self.id);
        if let Some(probe) = self.residents.memory_probe() {
            shared.set_memory_probe(self.id.device, Some(probe));
        }
        while let Some(work) = shared.next(self.id) {
            let device = match work {
                Work::Job(job, assisting) => self.draw(*job, assisting.as_ref()),
                Work::Assist(task) => self.assist(*task),
                Work::Command(command) => self.carry_out(command),
            };
            if let Device::Lost(needed) = device
                && !self.reopen(needed)
            {
                return;
            }
        }
    }

    /// Draws a job, with the help of a second device if it has one; first loads its model if that is not on the device.
    fn draw(&mut self, job: Job, assisting: Option<&AssistingDevice>) -> Device {
        let context = self.context.clone();
        let shared = &context.shared;
        let span = tracing::info_span!("job", job_id = %job.handle.id, request_id = %job.request.request_id);
        let _entered = span.enter();
        if let Some(reason) = job.handle.cancel_reason() {
            job.cancelled(0, reason);
            shared.job_done(self.id, &job.request, &[]);
            return Device::Usable;
        }
        let started = Instant::now();
        let queued = started.duration_since(job.accepted);
        tracing::info!(queued_ms = queued.as_millis() as u64, "started");
        let device = self.device_names(assisting);
        job.events.publish(EventBody::Started { device: device.clone() });
        let events = job.events.clone();
        let devices = std::iter::once(self.id.device).chain(assisting.map(AssistingDevice::device));
        let statistics: Vec<_> = devices
            .map(|device| {
                let events = events.clone();
                context.sampler.subscribe(device, job.request.stats_interval, move |sample| {
                    events.publish(EventBody::GpuStats(sample.clone()));
                })
            })
            .collect();
        let recording =
            context.telemetry.record(&job.handle.id, self.id.device, &context.sampler, context.activity.clone());
        let mut monitor = JobMonitor::new(&context, &job, self.id);
        let loaded = self.load_for(job.request.model, &mut monitor);
        // Only a model that is on the device takes the adapters of the job.
        let mut expected = None;
        if let Ok(ControlFlow::Continue(())) = loaded {
            let begun = shared.begin_drawing(self.id, &job.request);
            expected = begun.expected;
            monitor.measure(begun.work);
        }
        let begun = Instant::now();
        let drawn = match loaded {
            Ok(ControlFlow::Continue(())) => {
                let (worker, handle) = (self.id, &job.handle);
                let assistant = assisting.map(|assisting| LeadingEnd { assisting, shared, worker, job: handle });
                self.generate(job.request.model, &job.request.spec, assistant.as_ref(), &mut monitor)
            }
            Ok(ControlFlow::Break(())) => Ok(Outcome::Stopped { after_step: 0 }),
            Err(failure) => Err(failure),
        };
        let took = begun.elapsed();
        let drawn_at = Instant::now();
        // From its start, as clients see it, without the load of its model.
        let whole = drawn_at.duration_since(started).saturating_sub(monitor.load_time.unwrap_or_default());
        let finished = match &drawn {
            Ok(Outcome::Finished { timings, .. }) => Some((timings, whole)),
            _ => None,
        };
        let is_finished = finished.is_some();
        let measured = monitor.measured(finished);
        // It has no part in the rest, also if the engine has not let it go.
        if let Some(assisting) = assisting {
            assisting.release();
        }
        let joules = if is_finished { context.telemetry.joules(&job.handle.id, took) } else { None };
        let measured = match is_finished {
            // Times and energy on two devices are no measure of those on one.
            _ if assisting.is_some() => JobMeasurements::default(),
            true => JobMeasurements { expected, seconds: whole.as_secs_f64(), joules, ..measured },
            false => JobMeasurements { parts: measured.parts, ..JobMeasurements::default() },
        };
        let (drawn, measured) = match (drawn, &job.request.scene) {
            (Ok(first), Some(scene)) if is_finished => {
                if assisting.is_none() {
                    shared.learn_pass(self.id, job.request.model, &measured);
                }
                // What follows is measured as a pass of the other model.
                (self.draw_scene(&job, scene, first, &mut monitor), JobMeasurements::default())
            }
            (drawn, _) => (drawn, measured),
        };
        drop((statistics, recording));
        let (steps_done, load_time) = (monitor.steps_done(), monitor.load_time);
        if !shared.job_done(self.id, &job.request, &measured.parts) {
            tracing::warn!("the engine that hung has returned; its job had failed by then");
            return Device::Usable;
        }
        match drawn {
            Ok(Outcome::Finished { images, timings, reused }) => {
                let on_encoded = self.on_encoded(measured, assisting.is_none());
                self.finish(FinishTask {
                    job,
                    device,
                    images,
                    reused,
                    timings,
                    drawn_at,
                    queued,
                    load_model: load_time,
                    steps_done,
                    on_encoded,
                });
            }
            Ok(Outcome::Stopped { .. }) => match job.handle.cancel_reason() {
                Some(reason) => {
                    tracing::info!(at_step = steps_done, ?reason, "cancelled");
                    job.cancelled(steps_done, reason);
                }
                None => fail(&job, ServerError::Internal("the engine stopped without being asked".into())),
            },
            Err(Failure { error, device }) => {
                fail(&job, error);
                return device;
            }
        }
        Device::Usable
    }

    /// Loads a model of a job unless it is on the device. `Break`: the job is cancelled or the worker was replaced, and
    /// nothing was loaded.
    pub(super) fn load_for(
        &mut self,
        model: ModelId,
        monitor: &mut JobMonitor<'_>,
    ) -> Result<ControlFlow<()>, Failure> {
        if self.residents.is_open(model) {
            return Ok(ControlFlow::Continue(()));
        }
        if monitor.observe(Progress::Stage(Stage::LoadModel)).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        monitor.loaded(self.load(model)?);
        Ok(ControlFlow::Continue(()))
    }

    /// Has a model that is on the device draw what `spec` says, with the help of a second device if there is an `assistant`.
    pub(super) fn generate(
        &mut self,
        model: ModelId,
        spec: &GenerationSpec,
        assistant: Option<&LeadingEnd<'_>>,
        monitor: &mut JobMonitor<'_>,
    ) -> Result<Outcome, Failure> {
        let Some(open) = self.residents.get_mut(model) else {
            let error = ServerError::Internal("the model is not on the device".into());
            return Err(Failure { error, device: Device::Usable });
        };
        self.context.shared.set_memory_probe(self.id.device, Some(open.memory.clone()));
        let observer: &mut Observer<'_> = &mut |event| monitor.observe(event);
        let drawn = catch_unwind(AssertUnwindSafe(|| match assistant {
            Some(assistant) => open.model.generate_with(spec, assistant, observer),
            None => open.model.generate(spec, observer),
        }));
        let drawn = drawn.unwrap_or_else(|panic| Err(EngineError::panicked(panic.as_ref())));
        drawn.map_err(|error| {
            let device = if error.is_fatal() { Device::Lost(model) } else { Device::Usable };
            Failure { error: with_remedy(error, &open.info, spec), device }
        })
    }

    /// The full name of the device, and that of a second one that assists it.
    fn device_names(&self, assisting: Option<&AssistingDevice>) -> Arc<str> {
        let shared = &self.context.shared;
        let own = shared.device_name(self.id.device);
        match assisting {
            Some(assisting) => format!("{own} + {}", shared.device_name(assisting.device())).into(),
            None => own,
        }
    }

    /// Learns from a job once its pictures are files, unless it was drawn by two devices.
    fn on_encoded(&self, mut measured: JobMeasurements, learns: bool) -> OnEncoded {
        let (context, device) = (self.context.clone(), self.id.device);
        Box::new(move |request, took| {
            let WorkerContext { shared, metrics, .. } = &*context;
            if !learns {
                return measured;
            }
            if let Some(ratio) = shared.encoded(device, request, &mut measured, took) {
                metrics.estimated(&shared.model_name(request.model), ratio);
            }
            measured
        })
    }

    /// Passes the pictures of a job to the encoder, or fails the job if the engine drew another number of them.
    fn finish(&self, task: FinishTask) {
        let (drawn, wanted) = (task.images.len(), task.job.request.spec.drawn().len());
        if drawn != wanted {
            let text = format!("the engine drew {} of {wanted}", count(drawn, "picture"));
            return fail(&task.job, ServerError::Internal(text));
        }
        self.context.encoder.finish(task);
    }

    /// Carries out a command; a change of a model only if its caller is still there.
    fn carry_out(&mut self, command: DeviceCommand) -> Device {
        let DeviceCommand { change, done } = command;
        // Changes of the device itself are carried out even if their caller has gone: its state has changed already.
        if matches!(change, Change::Model(..)) && done.is_closed() {
            return Device::Usable;
        }
        let (result, device) = match change {
            Change::Drain => (Ok(()), Device::Usable),
            Change::Clear => {
                self.clear();
                (Ok(()), Device::Usable)
            }
            Change::Restore => self.restore(),
            Change::Model(model, ModelChange::Unload) => {
                self.unload(model);
                (Ok(()), Device::Usable)
            }
            Change::Model(model, ModelChange::Load) if self.residents.is_open(model) => (Ok(()), Device::Usable),
            Change::Model(model, ModelChange::Load) => match self.load(model) {
                Ok(_) => (Ok(()), Device::Usable),
                Err(Failure { error, device }) => (Err(error), device),
            },
        };
        self.context.shared.command_done();
        // The caller may have hung up meanwhile.
        let _ = done.send(result);
        device
    }

    fn unload(&mut self, model: ModelId) {
        self.residents.close(model);
        self.residents.drop_host_copy(model);
        self.context.shared.change_models(self.id, |models| models.unloaded(model));
    }

    /// Takes all models off the device, to be loaded again when it is enabled.
    fn clear(&mut self) {
        let context = self.context.clone();
        let shared = &context.shared;
        let open = shared.change_models(self.id, |models| models.residents().iter().collect::<Vec<_>>());
        let open = open.unwrap_or_default();
        open.iter().for_each(|model| self.unload(*model));
        shared.set_memory_probe(self.id.device, None);
        shared.set_aside(self.id.device, open);
        shared.device_recovered(self.id.device);
    }

    /// Loads the models that were taken off the device, and returns the first error.
    fn restore(&mut self) -> (Result<(), ServerError>, Device) {
        let context = self.context.clone();
        let (shared, id) = (&context.shared, self.id.device);
        shared.set_opening(id, true);
        let mut restored = (Ok(()), Device::Usable);
        for model in shared.take_set_aside(id) {
            if self.residents.is_open(model) {
                continue;
            }
            match self.load(model) {
                Ok(_) => {}
                Err(Failure { error, device: Device::Usable }) => restored.0 = restored.0.and(Err(error)),
                // The models that were open are opened again. The others are loaded when a job needs them.
                Err(Failure { error, device }) => return (Err(error), device),
            }
        }
        shared.set_opening(id, false);
        restored
    }

    /// Loads a model and returns how long that took. Evicts models first if the memory budget has no room for it. If it
    /// fails, the jobs that wait for the model end, unless the device was lost.
    fn load(&mut self, model: ModelId) -> Result<Duration, Failure> {
        self.try_load(model).map_err(|error| match error {
            EngineError::DeviceLost(_) => {
                self.context.shared.change_models(self.id, |models| models.load_broken(model));
                Failure { error: error.into(), device: Device::Lost(model) }
            }
            error => {
                self.mark_failed(model, &error);
                Failure { error: self.context.shared.unusable(model, &error), device: Device::Usable }
            }
        })
    }

    fn try_load(&mut self, model: ModelId) -> Result<Duration, EngineError> {
        let WorkerContext { shared, metrics, .. } = &*self.context;
        // A worker that was replaced changes nothing that others see; it ends after this job.
        let plan = shared.change_models(self.id, |models| models.begin_load(model)).unwrap_or_default();
        let name = shared.model_name(model);
        for evicted in plan.evicted {
            self.residents.close(evicted);
            let evicted = shared.model_name(evicted);
            metrics.evicted(&evicted);
            tracing::info!(model = &*evicted, for_model = &*name, "model evicted");
        }
        let begun = Instant::now();
        // The open models lose their adapters, also if this or the load fails. If this fails, the device is lost, as if a job
        // had failed.
        shared.forget_adapters(self.id);
        self.residents.release().map_err(|error| EngineError::DeviceLost(error.to_string()))?;
        let open = self.residents.open(model, plan.options)?;
        shared.set_memory_probe(self.id.device, Some(open.memory.clone()));
        shared.forget_texts(self.id, model);
        let (took, host_bytes) = (begun.elapsed(), self.residents.host_bytes(model));
        shared.change_models(self.id, |models| models.loaded(model, took, host_bytes));
        metrics.loaded(&name, took);
        tracing::info!(model = &*name, load_ms = took.as_millis() as u64, host_bytes, "model loaded");
        Ok(took)
    }

    /// Marks a model as failed for this reason, and ends the jobs that wait for it.
    fn mark_failed(&self, model: ModelId, error: &EngineError) {
        self.residents.drop_host_copy(model);
        self.context.shared.model_failed(self.id, model, error);
    }

    /// Recovers from a lost device: closes all models, and opens `needed` and those that were open before. Retries until at
    /// least one is open, the others are marked as failed, or until a call disables the device. Returns false when the worker
    /// has to end.
    pub(super) fn reopen(&mut self, needed: ModelId) -> bool {
        let context = self.context.clone();
        let shared = &context.shared;
        let id = self.id.device;
        let device = shared.device_name(id);
        shared.set_memory_probe(id, None);
        shared.begin_reopening(id);
        self.residents.close_all();
        let mut lost = shared.change_models(self.id, |models| models.lose_device()).unwrap_or_default();
        if !lost.contains(&needed) {
            lost.push(needed);
        }
        loop {
            if shared.is_disabled(id) {
                shared.set_aside(id, lost);
                return true;
            }
            tracing::warn!(device = &*device, "opening the engine again");
            let mut failures = Vec::new();
            for model in &lost {
                if let Err(error) = self.try_load(*model) {
                    shared.change_models(self.id, |models| models.load_broken(*model));
                    failures.push((*model, error));
                }
            }
            let first = match failures.first() {
                Some((_, error)) if failures.len() == lost.len() => error,
                _ => {
                    failures.iter().for_each(|(model, error)| self.mark_failed(*model, error));
                    shared.device_recovered(id);
                    return true;
                }
            };
            tracing::error!(device = &*device, error = %first, "the engine is lost");
            shared.device_unavailable(id, &first.to_string());
            if shared.pause(self.id, REOPEN_PAUSE) || !shared.is_current(self.id) {
                return false;
            }
        }
    }
}

/// The engine's error; one of memory gets what was needed and a smaller request that would fit.
fn with_remedy(error: EngineError, info: &EngineInfo, spec: &GenerationSpec) -> ServerError {
    let EngineError::OutOfMemory(shortage) = error else { return error.into() };
    let smaller = info.memory.smaller(spec, info.model.size.multiple_px);
    ServerError::OutOfMemory { shortage, needed: info.memory.needed(spec), smaller }
}

fn fail(job: &Job, error: ServerError) {
    tracing::error!(%error, "failed");
    job.events.publish(EventBody::Failed(error));
}

/// Marks the device as lost if its worker panics outside the engine.
struct LostOnPanic<'a>(&'a Shared, WorkerId);

impl Drop for LostOnPanic<'_> {
    fn drop(&mut self) {
        let Self(shared, worker) = self;
        if thread::panicking() && shared.is_current(*worker) {
            shared.device_lost(worker.device, "the worker thread panicked");
        }
    }
}
