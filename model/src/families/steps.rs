//! Turning the steps of one batch into progress of the whole request.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use burn::tensor::Tensor;
use sakuga_model_core::{EngineError, Observer, PreviewMethod, Progress, StepDone, StepReport};

use super::drawing::Drawing;
use super::passes::{Flow, PassPlan};

/// A step of a batch that is done.
pub(crate) struct BatchStep<'a> {
    /// Number of the step, from 1.
    pub(crate) index: u32,
    /// Share of data and noise reached, as a [`StepReport`] has it.
    pub(crate) t: f64,
    /// As a [`StepReport`] has it.
    pub(crate) sigma: f64,
    /// Whether the step was guided.
    pub(crate) guidance_active: bool,
    /// Evaluations of the denoiser in this batch so far.
    pub(crate) evaluations: u32,
    /// As a [`StepReport`] has it, once the device's work is done.
    pub(crate) reused_share: &'a dyn Fn() -> f32,
}

/// Reports the steps of one batch.
pub(crate) struct StepReporter<'a, 'b> {
    drawing: Drawing<'a>,
    /// Index of the batch's first image.
    first_image: u32,
    /// The pass that it belongs to.
    pass: u32,
    /// Steps of the batches and passes before.
    steps_before: u32,
    /// Steps of all batches and passes.
    steps_total: u32,
    /// Evaluations of the batches and passes before.
    evaluations_before: u32,
    /// When the running step began.
    clock: Instant,
    durations: &'a mut Vec<Duration>,
    observer: &'a mut Observer<'b>,
    /// Why the walk was stopped, if it was not the observer.
    failure: Option<EngineError>,
}

impl<'a, 'b> StepReporter<'a, 'b> {
    /// Reports the steps of batch `turn` of a pass, counted from 0. The first step begins now.
    pub(crate) fn begin(
        drawing: Drawing<'a>,
        plan: &PassPlan,
        turn: u32,
        first_image: u32,
        evaluations_per_step: u32,
        durations: &'a mut Vec<Duration>,
        observer: &'a mut Observer<'b>,
    ) -> Self {
        let steps_before = plan.steps_before + turn * plan.pass.steps();
        Self {
            drawing,
            first_image,
            pass: plan.number,
            steps_before,
            steps_total: plan.steps_total,
            evaluations_before: steps_before * evaluations_per_step,
            clock: Instant::now(),
            durations,
            observer,
            failure: None,
        }
    }

    /// The latents at the end of the walk.
    ///
    /// # Errors
    ///
    /// The device failed in a step.
    pub(crate) fn finish<B>(self, walk: ControlFlow<B, Tensor<4>>) -> Flow<Tensor<4>> {
        match (self.failure, walk) {
            (Some(failure), _) => Err(failure),
            (None, ControlFlow::Continue(latents)) => Ok(ControlFlow::Continue(latents)),
            (None, ControlFlow::Break(_)) => Ok(ControlFlow::Break(self.durations.len() as u32)),
        }
    }

    /// Waits for a step that was reported before.
    pub(crate) fn again(&mut self) -> ControlFlow<()> {
        self.wait()?;
        (self.observer)(Progress::StepAgain)
    }

    /// Waits until the device has computed the step.
    fn wait(&mut self) -> ControlFlow<()> {
        if let Err(failure) = self.drawing.place.finish("computing a step") {
            self.failure = Some(failure);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    /// Reports a step. `predicted` gives the latents to preview.
    pub(crate) fn report(&mut self, step: &BatchStep<'_>, predicted: &dyn Fn() -> Tensor<4>) -> ControlFlow<()> {
        // Work is queued on a GPU: without this wait the clock would measure the queueing.
        self.wait()?;
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
            reused_share: (step.reused_share)(),
        };
        let step = StepDone { report, first_image: self.first_image, draw_previews: &previews };
        let flow = (self.observer)(Progress::Step(step));
        self.failure = failure.into_inner();
        self.clock = Instant::now();
        if self.failure.is_some() { ControlFlow::Break(()) } else { flow }
    }
}
