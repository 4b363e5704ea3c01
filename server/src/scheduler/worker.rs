//! The thread that owns the engine: opens it, feeds it jobs one by one, and opens it again when it was lost.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sakuga_model_core::{
    EngineError, EngineInfo, GenerationSpec, ModelOpener, OpenModel, Outcome, Progress, Rgb8, Stage, StepDone, Timings,
    TokenCount, TokenCounter,
};
use tokio::sync::oneshot;

use super::Shared;
use crate::encoder::{Encoder, FinishTask, PreviewTask};
use crate::error::ServerError;
use crate::event::EventBody;
use crate::gpu::Sampler;
use crate::job::Job;
use crate::telemetry::{Observer, Telemetry};

/// Time between two attempts to open a lost engine.
const REOPEN_PAUSE: Duration = Duration::from_secs(10);
/// Steps over which a job's own pace is measured; the first ones are slower than the rest.
const PACE_STEPS: usize = 8;

/// What the worker says when its engine is open.
pub struct Ready {
    /// What the engine is.
    pub info: EngineInfo,
    /// Its tokenisers.
    pub tokens: Arc<dyn TokenCounter>,
}

/// The thread.
pub struct EngineThread {
    begin: mpsc::Sender<Arc<Parts>>,
    thread: JoinHandle<()>,
    opener: ModelOpener,
}

/// What the thread needs beside the engine.
pub(super) struct Parts {
    pub(super) shared: Arc<Shared>,
    pub(super) encoder: Encoder,
    pub(super) sampler: Arc<Sampler>,
    pub(super) telemetry: Telemetry,
    pub(super) observer: Observer,
}

impl EngineThread {
    /// Starts the thread and opens the engine on it; the receiver hears how that went.
    ///
    /// # Errors
    ///
    /// What the system says if there can be no thread.
    pub fn open(opener: ModelOpener) -> std::io::Result<(Self, oneshot::Receiver<Result<Ready, EngineError>>)> {
        let (ready, opened) = oneshot::channel();
        let (begin, parts) = mpsc::channel::<Arc<Parts>>();
        let own = opener.clone();
        let thread = thread::Builder::new().name("sakuga-engine".into()).spawn(move || {
            let open = match open(&own) {
                Ok(open) => open,
                Err(error) => {
                    // A receiver that has gone has no use for the reason.
                    let _ = ready.send(Err(error));
                    return;
                }
            };
            let _ = ready.send(Ok(Ready { info: open.info.clone(), tokens: open.tokens.clone() }));
            if let Ok(parts) = parts.recv() {
                parts.shared.memory_known(Some(open.memory.clone()));
                Worker { parts, opener: own, epoch: 0 }.work(open);
            }
        })?;
        Ok((Self { begin, thread, opener }, opened))
    }

    /// Lets the thread work for a scheduler.
    pub(super) fn begin(&self, parts: Arc<Parts>) {
        // A thread that is gone never opened its engine, and then there is no scheduler.
        let _ = self.begin.send(parts);
    }

    /// Leaves the thread to its engine, which hangs, and puts a new one with a new engine in its place.
    ///
    /// # Errors
    ///
    /// What the system says if there can be no thread.
    pub(super) fn replace(&mut self, parts: Arc<Parts>, epoch: u64) -> std::io::Result<()> {
        let opener = self.opener.clone();
        self.thread = thread::Builder::new().name("sakuga-engine".into()).spawn(move || {
            let worker = Worker { parts, opener, epoch };
            if let Some(open) = worker.reopen() {
                worker.work(open);
            }
        })?;
        Ok(())
    }

    /// Waits for the thread's end; whether it came in time.
    pub(super) fn join_within(self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while !self.thread.is_finished() {
            if Instant::now() >= until {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
        self.thread.join().is_ok()
    }
}

struct Worker {
    parts: Arc<Parts>,
    opener: ModelOpener,
    /// Tells this thread from those that were left behind.
    epoch: u64,
}

impl Worker {
    fn work(&self, open: OpenModel) {
        // Should this thread ever panic outside the engine, those who wait are told.
        let _guard = LostOnPanic(&self.parts.shared);
        let mut open = open;
        while let Some(job) = self.parts.shared.next(self.epoch) {
            if !self.draw(&mut open, job) {
                self.parts.shared.memory_known(None);
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
        let span = tracing::info_span!("job", job_id = %job.handle.id, request_id = %job.request.request_id);
        let _entered = span.enter();
        if let Some(reason) = job.handle.cancel_reason() {
            job.cancelled(0, reason);
            self.parts.shared.job_done(self.epoch, &job.request.spec, None);
            return true;
        }
        let begun = Instant::now();
        let queued = begun.duration_since(job.accepted);
        tracing::info!(queued_ms = queued.as_millis() as u64, "started");
        job.events.publish(EventBody::Started);
        let events = job.events.clone();
        let statistics = self.parts.sampler.subscribe(job.request.stats_interval, move |sample| {
            events.publish(EventBody::GpuStats(sample.clone()));
        });
        let recorded = self.parts.telemetry.record(&job.handle.id, &self.parts.sampler, self.parts.observer.clone());
        let mut watcher = Watcher::new(&self.parts, &job, self.epoch);
        let drawn =
            catch_unwind(AssertUnwindSafe(|| model.generate(&job.request.spec, &mut |event| watcher.observe(event))));
        drop((statistics, recorded));
        let (steps_done, in_steps) = (watcher.steps_done, watcher.in_steps);
        let drawn = drawn.unwrap_or_else(|panic| Err(EngineError::panicked(panic.as_ref())));
        let is_finished = matches!(drawn, Ok(Outcome::Finished { .. }));
        let beside_steps = begun.elapsed().saturating_sub(in_steps);
        if !self.parts.shared.job_done(self.epoch, &job.request.spec, is_finished.then_some(beside_steps)) {
            tracing::warn!("an engine that was given up came back; its job had failed by then");
            return true;
        }
        match drawn {
            Ok(Outcome::Finished { images, timings }) => self.finish(job, images, timings, queued, steps_done),
            Ok(Outcome::Stopped { .. }) => match job.handle.cancel_reason() {
                Some(reason) => {
                    tracing::info!(at_step = steps_done, ?reason, "cancelled");
                    job.cancelled(steps_done, reason);
                }
                None => fail(&job, ServerError::Internal("the engine stopped unasked".into())),
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
        self.parts.encoder.finish(FinishTask { job, images, timings, queued, steps_done });
    }

    /// Opens the engine again, however long it takes; `None` when the worker has to end.
    fn reopen(&self) -> Option<OpenModel> {
        loop {
            tracing::warn!("opening the engine again");
            match open(&self.opener) {
                Ok(open) => {
                    self.parts.shared.memory_known(Some(open.memory.clone()));
                    self.parts.shared.engine_found();
                    return Some(open);
                }
                Err(error) => {
                    tracing::error!(%error, "the engine is lost");
                    self.parts.shared.engine_away(&error.to_string());
                }
            }
            if self.parts.shared.pause(REOPEN_PAUSE) || !self.parts.shared.is_current(self.epoch) {
                return None;
            }
        }
    }
}

fn open(opener: &ModelOpener) -> Result<OpenModel, EngineError> {
    catch_unwind(AssertUnwindSafe(|| opener())).unwrap_or_else(|panic| Err(EngineError::panicked(panic.as_ref())))
}

/// The error with what its job can do about it.
fn with_remedy(error: EngineError, info: &EngineInfo, spec: &GenerationSpec) -> ServerError {
    let EngineError::OutOfMemory(shortage) = error else { return error.into() };
    let smaller = info.memory.smaller(spec, info.model.size.multiple_px);
    ServerError::OutOfMemory { shortage, needed: info.memory.needed(spec), smaller }
}

fn fail(job: &Job, error: ServerError) {
    tracing::error!(%error, "failed");
    job.events.publish(EventBody::Failed(error));
}

struct LostOnPanic<'a>(&'a Shared);

impl Drop for LostOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.engine_lost("the worker thread panicked");
        }
    }
}

/// Turns what the engine tells into events, and tells the engine when to stop.
struct Watcher<'a> {
    parts: &'a Parts,
    job: &'a Job,
    epoch: u64,
    steps_done: u32,
    in_steps: Duration,
    /// When steps ended, the latest [`PACE_STEPS`]; before the first, when denoising began.
    marks: Vec<Instant>,
    /// When each picture was last previewed.
    previewed: Vec<Option<Instant>>,
}

impl<'a> Watcher<'a> {
    fn new(parts: &'a Parts, job: &'a Job, epoch: u64) -> Self {
        let previewed = vec![None; job.request.spec.images as usize];
        Self { parts, job, epoch, steps_done: 0, in_steps: Duration::ZERO, marks: Vec::new(), previewed }
    }

    fn observe(&mut self, event: Progress<'_>) -> ControlFlow<()> {
        if !self.parts.shared.beat(self.epoch) {
            return ControlFlow::Break(());
        }
        match event {
            Progress::Stage(stage) => {
                if stage == Stage::Denoise {
                    self.marks = vec![Instant::now()];
                }
                self.parts.shared.stage_begun(stage);
                // A job that was given up begins no stage that nobody will see.
                if self.job.handle.cancel_reason().is_none() {
                    self.job.events.publish(EventBody::Stage(stage));
                }
            }
            Progress::TextEncoded(counts) => {
                for count in counts.iter().filter(|count| count.is_truncated()) {
                    let TokenCount { encoder, tokens, limit, .. } = count;
                    tracing::warn!(encoder, tokens, limit, "the prompt was cut");
                }
            }
            Progress::Step(step) => self.step(&step),
            Progress::Profile(profile) => _ = self.job.events.publish(EventBody::Profile(profile)),
        }
        match self.job.handle.cancel_reason() {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }

    fn step(&mut self, step: &StepDone<'_>) {
        let report = step.report;
        self.steps_done = report.index;
        let left = report.total.saturating_sub(report.index);
        self.parts.shared.step_done(&self.job.request.spec, &report);
        self.job.events.publish(EventBody::Step { report, eta: self.eta(left) });
        tracing::debug!(
            step = report.index,
            total = report.total,
            step_ms = report.duration.as_secs_f64() * 1e3,
            "step"
        );
        if self.job.handle.cancel_reason().is_none() {
            self.preview(step);
        }
    }

    /// Time left with so many steps to go, previews included: by this job's pace, and what the last one took besides.
    fn eta(&mut self, steps_left: u32) -> Duration {
        let now = Instant::now();
        if let Some(before) = self.marks.last() {
            self.in_steps += now.duration_since(*before);
        }
        if self.marks.len() > PACE_STEPS {
            self.marks.remove(0);
        }
        self.marks.push(now);
        let steps = self.marks.len().saturating_sub(1).max(1) as u32;
        let pace = self.marks.first().map_or(Duration::ZERO, |first| now.duration_since(*first) / steps);
        pace.saturating_mul(steps_left) + self.parts.shared.time_beside_steps(&self.job.request.spec)
    }

    fn preview(&mut self, step: &StepDone<'_>) {
        let policy = &self.job.request.preview;
        let first = step.first_image as usize;
        let last = self.previewed.get(first).copied().flatten();
        let Some(method) = policy.due(step.report.index, last, Instant::now()) else { return };
        for (place, picture) in step.previews(method).into_iter().enumerate() {
            let Some(drawn) = self.previewed.get_mut(first + place) else { break };
            *drawn = Some(Instant::now());
            self.parts.encoder.preview(PreviewTask {
                handle: self.job.handle.clone(),
                events: self.job.events.clone(),
                policy: *policy,
                image_index: (first + place) as u32,
                step: step.report.index,
                method,
                picture,
            });
        }
    }
}
