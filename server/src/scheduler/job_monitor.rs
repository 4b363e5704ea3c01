//! [`JobMonitor`]: turns an engine's reports into events of its job, and stops the engine when the job is cancelled.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use sakuga_model_core::{Progress, Stage, StepDone, Timings, TokenCount};

use super::context::WorkerContext;
use super::drawn::Drawn;
use super::worker_id::WorkerId;
use crate::encoder::PreviewTask;
use crate::estimate::{JobMeasurements, JobMeter, JobWork};
use crate::event::EventBody;
use crate::job::{Job, ScenePass};

/// Observes the engine while it draws one job.
pub(super) struct JobMonitor<'a> {
    context: &'a WorkerContext,
    job: &'a Job,
    worker: WorkerId,
    /// What the engine draws.
    drawn: Drawn,
    /// The pass of the job that it computes, from 1.
    pass: u32,
    /// Steps and evaluations of the job so far.
    done: [u32; 2],
    /// Measures the parts of what is drawn.
    meter: JobMeter,
    /// When the change of adapters began, until the next stage begins.
    adapters_since: Option<Instant>,
    /// How long loading its models took; `None`: they were on the device.
    pub(super) load_time: Option<Duration>,
    /// When each picture was last previewed.
    previewed: Vec<Option<Instant>>,
}

impl<'a> JobMonitor<'a> {
    pub(super) fn new(context: &'a WorkerContext, job: &'a Job, worker: WorkerId) -> Self {
        let previewed = vec![None; job.request.spec.images as usize];
        Self {
            context,
            job,
            worker,
            drawn: Drawn::first(&job.request),
            pass: 1,
            done: [0, 0],
            meter: JobMeter::default(),
            adapters_since: None,
            load_time: None,
            previewed,
        }
    }

    /// Steps of the job that are done.
    pub(super) fn steps_done(&self) -> u32 {
        self.done[0]
    }

    /// Begins the pass of a scene over the next picture, before its model is loaded.
    pub(super) fn begin_scene(&mut self, scene: &ScenePass) {
        self.drawn = self.drawn.scene(scene, self.job.request.passes() - 1, self.done);
        self.pass = self.job.request.passes();
    }

    /// Begins to measure what the engine draws next.
    pub(super) fn measure(&mut self, work: JobWork) {
        self.meter = JobMeter::new(work);
    }

    /// What was measured of what the engine has drawn. `finished` has the engine's times and the whole time, if it did finish.
    pub(super) fn measured(&mut self, finished: Option<(&Timings, Duration)>) -> JobMeasurements {
        let meter = std::mem::take(&mut self.meter);
        match finished {
            Some((timings, took)) => meter.finish(timings, took),
            // Steps of a job that did not finish are measurements as well.
            None => JobMeasurements { parts: meter.steps(), ..JobMeasurements::default() },
        }
    }

    /// Adds the time of loading a model.
    pub(super) fn loaded(&mut self, took: Duration) {
        self.load_time = Some(self.load_time.unwrap_or_default() + took);
    }

    /// Handles a report. `Break` stops the engine: the job is cancelled, or the worker was replaced.
    pub(super) fn observe(&mut self, event: Progress<'_>) -> ControlFlow<()> {
        if !self.context.shared.record_report(self.worker) {
            return ControlFlow::Break(());
        }
        match event {
            Progress::Pass(pass) => self.pass = self.drawn.passes_before + pass,
            Progress::Stage(stage) => {
                if let Some(since) = self.adapters_since.take() {
                    self.meter.adapters(since.elapsed());
                }
                self.adapters_since = (stage == Stage::LoadAdapters).then(Instant::now);
                self.context.shared.stage_begun(self.worker, self.drawn.model, stage);
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
            Progress::StepAgain => {}
            Progress::Profile(profile) => _ = self.job.events.publish(EventBody::Profile(profile)),
        }
        match self.job.handle.cancel_reason() {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }

    fn step(&mut self, step: &StepDone<'_>) {
        self.meter.step(&step.report, step.first_image);
        let report = self.drawn.in_job(step.report);
        self.done = [report.index, report.evaluations];
        let eta = self.context.shared.step_done(self.worker, &self.drawn, &report, &self.meter);
        self.job.events.publish(EventBody::Step { report, eta });
        let step_ms = report.duration.as_secs_f64() * 1e3;
        tracing::debug!(step = report.index, total = report.total, step_ms, "step");
        if self.job.handle.cancel_reason().is_none() {
            self.preview(step, report.index);
        }
    }

    /// Previews a step, `index` of the job.
    fn preview(&mut self, step: &StepDone<'_>, index: u32) {
        let policy = &self.job.request.preview;
        let first = step.first_image as usize;
        let batch = self.previewed.get(first..).unwrap_or_default();
        let last = batch.iter().copied().flatten().next();
        let Some(method) = policy.due(index, last, Instant::now()) else { return };
        let begun = Instant::now();
        let pictures = step.previews(method);
        self.meter.previews(method, step.report.pass, step.first_image, begun.elapsed());
        for (place, picture) in pictures.into_iter().enumerate() {
            if !self.job.request.spec.draws((first + place) as u32) {
                continue;
            }
            let Some(previewed) = self.previewed.get_mut(first + place) else { break };
            *previewed = Some(Instant::now());
            self.context.encoder.preview(PreviewTask {
                handle: self.job.handle.clone(),
                events: self.job.events.clone(),
                policy: *policy,
                image_index: (first + place) as u32,
                step: index,
                method,
                picture,
            });
        }
    }
}
