//! What a model reports while it works, and what it returns.

use std::time::Duration;

use crate::{EvaluationReuse, Rgb8, Stage, StageProfile, TokenCount};

/// One report to the observer.
pub enum Progress<'a> {
    /// A pass after the first begins: 2, before the first stage of a second pass.
    Pass(u32),
    /// A stage begins.
    Stage(Stage),
    /// The text encoders have read the prompt: the count of each, in the order of the model's encoders.
    TextEncoded(Vec<TokenCount>),
    /// A step of the sampler has been computed.
    Step(StepDone<'a>),
    /// A step that was reported before has been computed again, because the device was lost that computed a part of it.
    StepAgain,
    /// Where the time of a stage went, after its end; only if the request asks for it.
    Profile(StageProfile),
}

/// How a preview is made from the predicted image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PreviewMethod {
    /// A linear map from latent channels to RGB, one pixel for each latent position.
    Linear,
    /// The tiny decoder if the model has one, otherwise the full decoder. The preview has the size of the image.
    Decoder,
}

/// A completed step, with its latents for previews.
pub struct StepDone<'a> {
    /// Its numbers.
    pub report: StepReport,
    /// Index of the first image of the step's batch. The first preview belongs to this image.
    pub first_image: u32,
    /// See [`StepDone::previews`].
    pub draw_previews: &'a dyn Fn(PreviewMethod) -> Vec<Rgb8>,
}

impl StepDone<'_> {
    /// Decodes the step's prediction of every image of the batch. Nothing is computed unless this is called.
    ///
    /// Empty if the device fails, in which case the generation ends with that error.
    pub fn previews(&self, method: PreviewMethod) -> Vec<Rgb8> {
        (self.draw_previews)(method)
    }
}

/// The numbers of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// From 1 to `total`.
    pub index: u32,
    /// Steps of the whole request that are computed: those of each pass, times batches.
    pub total: u32,
    /// The pass that the step belongs to: 1, or 2 if the request has a second one.
    pub pass: u32,
    /// Time after the step: 0 is noise, 1 is the image.
    pub t: f64,
    /// Share of noise left: `1 - t`.
    pub sigma: f64,
    /// Duration of the step, until the device has finished it.
    pub duration: Duration,
    /// Whether guidance was active at the start of the step.
    pub guidance_active: bool,
    /// Evaluations of the denoiser so far. A guided one computes both halves and counts once.
    pub evaluations: u32,
    /// Share of this step's evaluations that reused the middle blocks of an earlier one. Each half of guidance of each image of
    /// the batch counts as one. 0 if everything was computed.
    pub reused_share: f32,
}

/// Time of each part of a generation, until the device has finished it. Time in the observer counts in `total` only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Tokenizers and text encoders.
    pub text_encode: Duration,
    /// Everything that is computed once before the first step, such as positions, masks and noise.
    pub prepare: Duration,
    /// One duration for each step, in order.
    pub steps: Vec<Duration>,
    /// Pixels to latents: of an initial image, and before a second pass.
    pub vae_encode: Duration,
    /// Latents to pixels, all images of all passes.
    pub decode: Duration,
    /// From the start to the last pixel.
    pub total: Duration,
}

impl Timings {
    /// Preparation and all steps.
    pub fn denoise(&self) -> Duration {
        self.prepare + self.steps.iter().sum::<Duration>()
    }
}

/// How a generation ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// All images were drawn.
    Finished {
        /// One entry for each image, in order.
        images: Vec<Rgb8>,
        /// Where the time went.
        timings: Timings,
        /// Evaluations of each image that the step cache reused, in the same order; empty without a step cache.
        reused: Vec<EvaluationReuse>,
    },
    /// The observer stopped it.
    Stopped {
        /// Steps that were done.
        after_step: u32,
    },
}
