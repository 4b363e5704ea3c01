//! Turning the steps of one batch into progress of the whole request.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use burn::tensor::Tensor;
use sakuga_model_core::{EngineError, Observer, PreviewMethod, Progress, StepDone, StepReport};

use super::drawing::Drawing;

/// A step of a batch that is done.
pub(crate) struct BatchStep {
    /// From 1 on.
    pub(crate) index: u32,
    /// Share of data and noise reached, as a [`StepReport`] has it.
    pub(crate) t: f64,
    /// As a [`StepReport`] has it.
    pub(crate) sigma: f64,
    /// Whether the step was guided.
    pub(crate) guidance_active: bool,
    /// Evaluations of the denoiser in this batch so far.
    pub(crate) evaluations: u32,
}

/// Reports the steps of one batch.
pub(crate) struct StepReporter<'a, 'b> {
    pub(crate) drawing: Drawing<'a>,
    /// Index of the batch's first image.
    pub(crate) first_image: u32,
    /// The pass that it belongs to.
    pub(crate) pass: u32,
    /// Steps of the batches and passes before.
    pub(crate) steps_before: u32,
    /// Steps of all batches and passes.
    pub(crate) steps_total: u32,
    /// Evaluations of the batches and passes before.
    pub(crate) evaluations_before: u32,
    /// When the running step began.
    pub(crate) clock: Instant,
    pub(crate) durations: &'a mut Vec<Duration>,
    pub(crate) observer: &'a mut Observer<'b>,
    /// Why the walk was stopped, if it was not the observer.
    pub(crate) failure: Option<EngineError>,
}

impl StepReporter<'_, '_> {
    /// Reports a step. `predicted` gives the latents to preview.
    pub(crate) fn report(&mut self, step: &BatchStep, predicted: &dyn Fn() -> Tensor<4>) -> ControlFlow<()> {
        // Work is queued on a GPU: without this wait the clock would measure the queueing.
        let place = self.drawing.place;
        if let Err(failure) = place.sync() {
            self.failure = Some(place.device_error("computing a step", &failure));
            return ControlFlow::Break(());
        }
        let duration = self.clock.elapsed();
        self.durations.push(duration);
        let failure = RefCell::new(None);
        let previews = |method: PreviewMethod| {
            self.drawing.preview(predicted(), method).unwrap_or_else(|error| {
                *failure.borrow_mut() = Some(error);
                Vec::new()
            })
        };
        let report = StepReport {
            index: self.steps_before + step.index,
            total: self.steps_total,
            pass: self.pass,
            t: step.t,
            sigma: step.sigma,
            duration,
            guidance_active: step.guidance_active,
            evaluations: self.evaluations_before + step.evaluations,
        };
        let step = StepDone { report, first_image: self.first_image, draw_previews: &previews };
        let flow = (self.observer)(Progress::Step(step));
        self.failure = failure.into_inner();
        self.clock = Instant::now();
        if self.failure.is_some() { ControlFlow::Break(()) } else { flow }
    }
}
