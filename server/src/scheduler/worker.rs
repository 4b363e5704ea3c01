//! [`Worker`]: draws jobs one by one, and opens the engine again when it was lost.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use sakuga_model_core::{EngineError, EngineInfo, GenerationSpec, ModelOpener, OpenModel, Outcome, Rgb8, Timings};

use super::context::WorkerContext;
use super::job_monitor::JobMonitor;
use super::shared::Shared;
use crate::encoder::FinishTask;
use crate::error::ServerError;
use crate::event::EventBody;
use crate::job::Job;

/// Time between two attempts to open a lost engine.
const REOPEN_PAUSE: Duration = Duration::from_secs(10);

/// Draws a scheduler's jobs on the engine's thread.
pub(super) struct Worker {
    pub(super) context: Arc<WorkerContext>,
    pub(super) opener: ModelOpener,
    /// Differs from the scheduler's epoch once the watchdog has replaced this worker.
    pub(super) epoch: u64,
}

impl Worker {
    /// Draws jobs until the scheduler is closed or the worker is replaced.
    pub(super) fn work(&self, open: OpenModel) {
        let _guard = LostOnPanic(&self.context.shared);
        let mut open = open;
        while let Some(job) = self.context.shared.next(self.epoch) {
            if !self.draw(&mut open, job) {
                self.context.shared.set_memory_probe(None);
                drop(open);
                match self.reopen() {
                    Some(opened) => open = opened,
                    None => return,
                }
            }
        }
    }

    /// Draws a job. Returns whether the engine can be used again.
    fn draw(&self, open: &mut OpenModel, job: Job) -> bool {
        let OpenModel { model, info, .. } = open;
        let shared = &self.context.shared;
        let span = tracing::info_span!("job", job_id = %job.handle.id, request_id = %job.request.request_id);
        let _entered = span.enter();
        if let Some(reason) = job.handle.cancel_reason() {
            job.cancelled(0, reason);
            shared.job_done(self.epoch, &job.request.spec, None);
            return true;
        }
        let begun = Instant::now();
        let queued = begun.duration_since(job.accepted);
        tracing::info!(queued_ms = queued.as_millis() as u64, "started");
        job.events.publish(EventBody::Started);
        let events = job.events.clone();
        let statistics = self.context.sampler.subscribe(job.request.stats_interval, move |sample| {
            events.publish(EventBody::GpuStats(sample.clone()));
        });
        let activity = self.context.activity.clone();
        let recording = self.context.telemetry.record(&job.handle.id, &self.context.sampler, activity);
        let mut monitor = JobMonitor::new(&self.context, &job, self.epoch);
        let drawn =
            catch_unwind(AssertUnwindSafe(|| model.generate(&job.request.spec, &mut |event| monitor.observe(event))));
        drop((statistics, recording));
        let (steps_done, in_steps) = (monitor.steps_done, monitor.in_steps);
        let drawn = drawn.unwrap_or_else(|panic| Err(EngineError::panicked(panic.as_ref())));
        let is_finished = matches!(drawn, Ok(Outcome::Finished { .. }));
        let overhead = begun.elapsed().saturating_sub(in_steps);
        if !shared.job_done(self.epoch, &job.request.spec, is_finished.then_some(overhead)) {
            tracing::warn!("the engine that hung has returned; its job had failed by then");
            return true;
        }
        match drawn {
            Ok(Outcome::Finished { images, timings }) => self.finish(job, images, timings, queued, steps_done),
            Ok(Outcome::Stopped { .. }) => match job.handle.cancel_reason() {
                Some(reason) => {
                    tracing::info!(at_step = steps_done, ?reason, "cancelled");
                    job.cancelled(steps_done, reason);
                }
                None => fail(&job, ServerError::Internal("the engine stopped without being asked".into())),
            },
            Err(error) => {
                let is_fatal = error.is_fatal();
                fail(&job, with_remedy(error, info, &job.request.spec));
                return !is_fatal;
            }
        }
        true
    }

    fn finish(&self, job: Job, images: Vec<Rgb8>, timings: Timings, queued: Duration, steps_done: u32) {
        if images.len() != job.request.spec.images as usize {
            let text = format!("the engine drew {} pictures of {}", images.len(), job.request.spec.images);
            return fail(&job, ServerError::Internal(text));
        }
        self.context.encoder.finish(FinishTask { job, images, timings, queued, steps_done });
    }

    /// Opens the engine again, and tries until that works; `None` when the worker has to end.
    pub(super) fn reopen(&self) -> Option<OpenModel> {
        let shared = &self.context.shared;
        loop {
            tracing::warn!("opening the engine again");
            match open(&self.opener) {
                Ok(open) => {
                    shared.set_memory_probe(Some(open.memory.clone()));
                    shared.engine_recovered();
                    return Some(open);
                }
                Err(error) => {
                    tracing::error!(%error, "the engine is lost");
                    shared.engine_unavailable(&error.to_string());
                }
            }
            if shared.pause(REOPEN_PAUSE) || !shared.is_current(self.epoch) {
                return None;
            }
        }
    }
}

/// Opens an engine; a panic becomes an error.
pub(super) fn open(opener: &ModelOpener) -> Result<OpenModel, EngineError> {
    catch_unwind(AssertUnwindSafe(|| opener())).unwrap_or_else(|panic| Err(EngineError::panicked(panic.as_ref())))
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

/// Fails the waiting jobs if the worker panics outside the engine.
struct LostOnPanic<'a>(&'a Shared);

impl Drop for LostOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.engine_lost("the worker thread panicked");
        }
    }
}
