//! Draws the pass of a scene over the pictures of a job.

use std::time::Instant;

use sakuga_model_core::{EvaluationReuse, GenerationSpec, Outcome, Timings};

use super::job_monitor::JobMonitor;
use super::shared::DrawingStarted;
use super::worker::{Failure, Worker};
use crate::estimate::JobMeasurements;
use crate::job::{Job, ScenePass};

impl Worker {
    /// Draws the pass of a scene over each picture, with its model, which is loaded if it is not on the device. The outcome is that
    /// of both passes; `first` is that of the first one, which is returned if it was stopped.
    pub(super) fn draw_scene<'a>(
        &mut self,
        job: &'a Job,
        scene: &'a ScenePass,
        first: Outcome,
        monitor: &mut JobMonitor<'a>,
    ) -> Result<Outcome, Failure> {
        let Outcome::Finished { images, mut timings, reused } = first else { return Ok(first) };
        let request = &job.request;
        let mut pictures = Vec::with_capacity(images.len());
        let mut all_reused = Vec::with_capacity(images.len());
        for (place, (image_index, picture)) in request.spec.drawn().into_iter().zip(images).enumerate() {
            monitor.begin_scene(scene);
            if self.load_for(scene.model, monitor)?.is_break() {
                return Ok(Outcome::Stopped { after_step: monitor.steps_done() });
            }
            let DrawingStarted { expected, work } = self.context.shared.begin_scene(self.id, scene);
            monitor.measure(work);
            let energy_before = self.context.telemetry.energy_so_far(&job.handle.id);
            let spec = scene.spec_over(&picture, image_index, request.spec.images);
            let begun = Instant::now();
            let outcome = self.generate(scene.model, &spec, None, monitor)?;
            let took = begun.elapsed();
            let Outcome::Finished { images, timings: own, reused: own_reused } = outcome else { return Ok(outcome) };
            let joules =
                energy_before.and_then(|before| self.context.telemetry.joules_since(&job.handle.id, before, took));
            let measured = monitor.measured(Some((&own, took)));
            let measured = JobMeasurements { expected, seconds: took.as_secs_f64(), joules, ..measured };
            self.context.shared.learn_pass(self.id, scene.model, &measured);
            pictures.extend(images);
            add(&mut timings, own);
            let mut reuse = reused.get(place).cloned().unwrap_or_else(|| nothing_reused(&request.spec));
            reuse.append(&own_reused.into_iter().next().unwrap_or_else(|| nothing_reused(&spec)));
            all_reused.push(reuse);
        }
        let is_anything_reused =
            |reuse: &EvaluationReuse| !(reuse.conditional.is_empty() && reuse.unconditional.is_empty());
        let reused =
            if reused.is_empty() && !all_reused.iter().any(is_anything_reused) { Vec::new() } else { all_reused };
        Ok(Outcome::Finished { images: pictures, timings, reused })
    }
}

/// Adds the times of a later pass.
fn add(timings: &mut Timings, later: Timings) {
    timings.text_encode += later.text_encode;
    timings.prepare += later.prepare;
    timings.steps.extend(later.steps);
    timings.vae_encode += later.vae_encode;
    timings.decode += later.decode;
    timings.total += later.total;
}

/// The evaluations of a picture that was drawn without a step cache.
fn nothing_reused(spec: &GenerationSpec) -> EvaluationReuse {
    let evaluations = spec.computed_steps() * spec.sampling.solver.evaluations_per_step();
    EvaluationReuse { evaluations, ..EvaluationReuse::default() }
}
