//! The order of the work of a request, the same in every family: texts, then passes of steps, then pixels.

use std::ops::ControlFlow;
use std::time::Instant;

use burn::tensor::{DType, Tensor};
use sakuga_model_core::{
    Assistant, EngineError, GenerationSpec, HalfPrediction, Leader, ModelInfo, Observer, Outcome, PreviewMethod,
    Progress, Stage, Timings, TokenCount,
};

use super::drawing::Drawing;
use super::passes::{self, Denoised, Drawn, Flow, PassPlan};
use super::profiler::Profiler;
use super::shared_guidance::{Exchange, SharedGuidance};

/// The stages that each family computes in its own way.
pub(crate) trait FamilyStages {
    /// What the denoiser reads of the texts of a request.
    type Conditioning;

    /// Facts about the model.
    fn info(&self) -> &ModelInfo;

    /// Decodes latents of the model.
    fn drawing(&self) -> Drawing<'_>;

    /// Reads prompt and negative prompt, and waits for the device.
    ///
    /// # Errors
    ///
    /// The device fails, or a tokenizer belongs to another model.
    fn encode_text(&self, spec: &GenerationSpec) -> Result<(Self::Conditioning, Vec<TokenCount>), EngineError>;

    /// All batches of a pass, one after the other. `shared`: another device computes the unconditional half of guided evaluations.
    ///
    /// # Errors
    ///
    /// The device fails.
    fn denoise(
        &self,
        spec: &GenerationSpec,
        conditioning: &Self::Conditioning,
        plan: &PassPlan,
        shared: Option<&SharedGuidance<'_>>,
        timings: &mut Timings,
        observer: &mut Observer<'_>,
    ) -> Flow<Vec<Denoised>>;

    /// The type in which the denoiser reads latents and returns predictions; `None`: on this device, half of the guidance on another
    /// one would change bits.
    fn shared_dtype(&self) -> Option<DType>;

    /// Computes the unconditional halves that `leader` hands out, until there are no more.
    ///
    /// # Errors
    ///
    /// The device fails, or a task is not one of `spec`.
    fn assist(
        &self,
        spec: &GenerationSpec,
        conditioning: &Self::Conditioning,
        exchange: Exchange<'_>,
        leader: &mut dyn Leader,
    ) -> Result<(), EngineError>;
}

/// Draws the images of `spec`. `observer` is called for every stage and step.
///
/// # Errors
///
/// A field of `spec` is out of bounds, or the device fails.
#[tracing::instrument(level = "info", skip_all, fields(width_px = spec.width_px, height_px = spec.height_px, images = spec.images, steps = spec.sampling.steps))]
pub(crate) fn generate<F: FamilyStages>(
    family: &F,
    spec: &GenerationSpec,
    assistant: Option<&dyn Assistant>,
    observer: &mut Observer<'_>,
) -> Result<Outcome, EngineError> {
    spec.check(&family.info().size)?;
    passes::check(spec, family.info())?;
    family.info().check_sampling(&spec.sampling)?;
    family.info().check_refiner(spec.refiner.is_some())?;
    family.info().check_controls(&spec.controls)?;
    let begun = Instant::now();
    let mut timings = Timings::default();
    let drawing = family.drawing();
    let stopped = |after_step| Ok(Outcome::Stopped { after_step });

    if observer(Progress::Stage(Stage::TextEncode)).is_break() {
        return stopped(0);
    }
    let profiler = Profiler::begin(drawing.place, spec.profile, Stage::TextEncode);
    let clock = Instant::now();
    let (conditioning, counts) = family.encode_text(spec)?;
    timings.text_encode = clock.elapsed();
    if profiler.finish(observer)?.is_break() || observer(Progress::TextEncoded(counts)).is_break() {
        return stopped(0);
    }
    let exchange = family.shared_dtype().map(|dtype| Exchange { place: drawing.place, dtype });
    let shared = assistant.zip(exchange).map(|(assistant, exchange)| SharedGuidance::new(assistant, exchange));
    if let (Some(assistant), None) = (assistant, &shared) {
        assistant.release();
    }
    let mut denoise = |plan: &PassPlan, timings: &mut Timings, observer: &mut Observer<'_>| {
        let denoised = family.denoise(spec, &conditioning, plan, shared.as_ref(), timings, observer);
        if let Some(shared) = shared.as_ref().filter(|_| plan.number as usize == spec.passes().count()) {
            shared.release();
        }
        denoised
    };
    let Drawn { images, reused } = match passes::draw(spec, &drawing, &mut timings, observer, &mut denoise)? {
        ControlFlow::Continue(drawn) => drawn,
        ControlFlow::Break(after_step) => return stopped(after_step),
    };
    timings.total = begun.elapsed();
    Ok(Outcome::Finished { images, timings, reused })
}

/// Computes the unconditional halves that the leading device of a generation of `spec` hands out.
///
/// # Errors
///
/// The device fails, or a task is not one of `spec`.
#[tracing::instrument(level = "info", skip_all, fields(width_px = spec.width_px, height_px = spec.height_px, images = spec.images, steps = spec.sampling.steps))]
pub(crate) fn assist<F: FamilyStages>(
    family: &F,
    spec: &GenerationSpec,
    leader: &mut dyn Leader,
) -> Result<(), EngineError> {
    let Some(dtype) = family.shared_dtype() else { return Ok(()) };
    spec.check(&family.info().size)?;
    let (conditioning, _) = family.encode_text(spec)?;
    family.assist(spec, &conditioning, Exchange { place: family.drawing().place, dtype }, leader)
}

/// Computes one half that was handed out, and returns it to the leading device. `false`: it needs no more.
///
/// # Errors
///
/// The device fails.
pub(crate) fn answer(
    leader: &mut dyn Leader,
    exchange: Exchange<'_>,
    prediction: Tensor<4>,
    reused: impl FnOnce() -> Vec<bool>,
) -> Result<bool, EngineError> {
    let values = exchange.bytes(prediction)?;
    Ok(leader.answer(HalfPrediction { values, reused: reused() }).is_ok())
}

/// An observer that draws both previews of each step: a warm-up then also allocates what they need.
pub(crate) fn with_previews(progress: Progress<'_>) -> ControlFlow<()> {
    if let Progress::Step(step) = progress {
        step.previews(PreviewMethod::Linear);
        step.previews(PreviewMethod::Decoder);
    }
    ControlFlow::Continue(())
}
