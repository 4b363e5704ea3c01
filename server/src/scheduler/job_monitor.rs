//! [`JobMonitor`]: turns an engine's reports into events of its job, and stops the engine when the job is cancelled.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use sakuga_model_core::{Progress, Stage, StepDone, TokenCount};

use super::context::WorkerContext;
use super::estimator::equal_steps_left;
use crate::encoder::PreviewTask;
use crate::event::EventBody;
use crate::job::Job;

/// Steps over which a job's pace is measured. The first steps are slower than the rest.
const PACE_STEPS: usize = 8;

/// Observes the engine while it draws one job.
pub(super) struct JobMonitor<'a> {
    context: &'a WorkerContext,
    job: &'a Job,
    epoch: u64,
    pub(super) steps_done: u32,
    /// The pass that the engine computes, from 1.
    pass: u32,
    /// Time between the end of each step and the end of the step before it.
    pub(super) in_steps: Duration,
    /// How long loading its model took; `None`: the model was on the device.
    pub(super) load_time: Option<Duration>,
    /// When the latest [`PACE_STEPS`] steps ended; before the first, when denoising began.
    marks: Vec<Instant>,
    /// When each picture was last previewed.
    previewed: Vec<Option<Instant>>,
}

impl<'a> JobMonitor<'a> {
    pub(super) fn new(context: &'a WorkerContext, job: &'a Job, epoch: u64) -> Self {
        let previewed = vec![None; job.request.spec.images as usize];
        Self {
            context,
            job,
            epoch,
            steps_done: 0,
            pass: 1,
            in_steps: Duration::ZERO,
            load_time: None,
            marks: Vec::new(),
            previewed,
        }
    }

    /// Handles a report. `Break` stops the engine: the job is cancelled, or the worker was replaced.
    pub(super) fn observe(&mut self, event: Progress<'_>) -> ControlFlow<()> {
        if !self.context.shared.record_report(self.epoch) {
            return ControlFlow::Break(());
        }
        match event {
            Progress::Pass(pass) => self.pass = pass,
            Progress::Stage(stage) => {
                if stage == Stage::Denoise {
                    self.marks = vec![Instant::now()];
                }
                self.context.shared.stage_begun(stage);
                // The engine stops before it begins a stage of a cancelled job.
                if self.job.handle.cancel_reason().is_none() {
                    self.job.events.publish(EventBody::Stage { stage, pass: self.pass });
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
        let left = equal_steps_left(&self.job.request.spec, &report);
        self.context.shared.step_done(&self.job.request, &report);
        self.job.events.publish(EventBody::Step { report, eta: self.eta(left) });
        let step_ms = report.duration.as_secs_f64() * 1e3;
        tracing::debug!(step = report.index, total = report.total, step_ms, "step");
        if self.job.handle.cancel_reason().is_none() {
            self.preview(step);
        }
    }

    /// Time until the pictures with `steps_left` steps to go: at this job's pace, previews included, and with the overhead
    /// of the last job.
    fn eta(&mut self, steps_left: f64) -> Duration {
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
        pace.mul_f64(steps_left) + self.context.shared.overhead(&self.job.request)
    }

    fn preview(&mut self, step: &StepDone<'_>) {
        let policy = &self.job.request.preview;
        let first = step.first_image as usize;
        let batch = self.previewed.get(first..).unwrap_or_default();
        let last = batch.iter().copied().flatten().next();
        let Some(method) = policy.due(step.report.index, last, Instant::now()) else { return };
        for (index, picture) in step.previews(method).into_iter().enumerate() {
            if !self.job.request.spec.draws((first + index) as u32) {
                continue;
            }
            let Some(previewed) = self.previewed.get_mut(first + index) else { break };
            *previewed = Some(Instant::now());
            self.context.encoder.preview(PreviewTask {
                handle: self.job.handle.clone(),
                events: self.job.events.clone(),
                policy: *policy,
                image_index: (first + index) as u32,
                step: step.report.index,
                method,
                picture,
            });
        }
    }
}
