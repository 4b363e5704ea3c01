//! [`JobMonitor`]: turns an engine's reports into events of its job, and stops the engine when the job is cancelled.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use sakuga_model_core::{Progress, Stage, StepDone, TokenCount};

use super::context::WorkerContext;
use super::lease::Lease;
use crate::encoder::PreviewTask;
use crate::estimate::JobMeter;
use crate::event::EventBody;
use crate::job::Job;

/// Observes the engine while it draws one job.
pub(super) struct JobMonitor<'a> {
    context: &'a WorkerContext,
    job: &'a Job,
    lease: Lease,
    /// The pass that the engine computes, from 1.
    pass: u32,
    /// Measures the parts of the job.
    pub(super) meter: JobMeter,
    /// When the change of adapters began, until the next stage begins.
    adapters_since: Option<Instant>,
    /// How long loading its model took; `None`: the model was on the device.
    pub(super) load_time: Option<Duration>,
    /// When each picture was last previewed.
    previewed: Vec<Option<Instant>>,
}

impl<'a> JobMonitor<'a> {
    pub(super) fn new(context: &'a WorkerContext, job: &'a Job, lease: Lease) -> Self {
        let previewed = vec![None; job.request.spec.images as usize];
        Self {
            context,
            job,
            lease,
            pass: 1,
            meter: JobMeter::default(),
            adapters_since: None,
            load_time: None,
            previewed,
        }
    }

    /// Handles a report. `Break` stops the engine: the job is cancelled, or the worker was replaced.
    pub(super) fn observe(&mut self, event: Progress<'_>) -> ControlFlow<()> {
        if !self.context.shared.record_report(self.lease) {
            return ControlFlow::Break(());
        }
        match event {
            Progress::Pass(pass) => self.pass = pass,
            Progress::Stage(stage) => {
                if let Some(since) = self.adapters_since.take() {
                    self.meter.adapters(since.elapsed());
                }
                self.adapters_since = (stage == Stage::LoadAdapters).then(Instant::now);
                self.context.shared.stage_begun(self.lease, stage);
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
        let request = &self.job.request;
        self.meter.step(&request.work, &report, step.first_image);
        let eta = self.context.shared.step_done(self.lease, request, &report, &self.meter).unwrap_or_default();
        self.job.events.publish(EventBody::Step { report, eta });
        let step_ms = report.duration.as_secs_f64() * 1e3;
        tracing::debug!(step = report.index, total = report.total, step_ms, "step");
        if self.job.handle.cancel_reason().is_none() {
            self.preview(step);
        }
    }

    fn preview(&mut self, step: &StepDone<'_>) {
        let policy = &self.job.request.preview;
        let first = step.first_image as usize;
        let batch = self.previewed.get(first..).unwrap_or_default();
        let last = batch.iter().copied().flatten().next();
        let Some(method) = policy.due(step.report.index, last, Instant::now()) else { return };
        let begun = Instant::now();
        let pictures = step.previews(method);
        self.meter.previews(&self.job.request.work, method, step.report.pass, step.first_image, begun.elapsed());
        for (index, picture) in pictures.into_iter().enumerate() {
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
