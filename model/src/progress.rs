//! What a running generation tells its observer, and what it returns.

use std::fmt;

use crate::profile::StageProfile;

/// The parts of the pipeline, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Gemma and Jina CLIP read the text.
    TextEncode,
    /// The Next-DiT's velocity carries noise to latents.
    Denoise,
    /// The VAE turns latents into pixels.
    Decode,
}

/// An 8-bit RGB image, row by row without padding.
#[derive(Clone, PartialEq, Eq)]
pub struct Rgb8 {
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
    /// `3 * width_px * height_px` bytes.
    pub pixels: Vec<u8>,
}

impl fmt::Debug for Rgb8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rgb8({}x{})", self.width_px, self.height_px)
    }
}

/// How many tokens one encoder read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenCount {
    /// `gemma3` or `jina_clip`.
    pub encoder: &'static str,
    /// Tokens of the whole text, special tokens included.
    pub total: usize,
    /// The most that the encoder reads.
    pub limit: usize,
    /// The beginning of what was cut off; `None` if nothing was.
    pub first_lost: Option<String>,
}

impl TokenCount {
    /// Whether the encoder reads less than the whole text.
    pub fn is_truncated(&self) -> bool {
        self.total > self.limit
    }
}

/// One message to the observer.
pub enum Progress<'a> {
    /// A part begins.
    Stage(Stage),
    /// The prompt was read: Gemma's count, then Jina's.
    TextEncoded([TokenCount; 2]),
    /// A step is done.
    Step(StepProgress<'a>),
    /// Where the time of a part went, behind its end, if the request asked for it.
    Profile(StageProfile),
}

/// How a preview is made from the predicted image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PreviewMethod {
    /// A linear map from latent channels to RGB, one pixel per latent position.
    Linear,
    /// The tiny decoder where the checkpoint has one, else the VAE: as large as the image.
    Decoder,
}

/// A step that is done.
pub struct StepProgress<'a> {
    /// From 1 to `total`.
    pub index: usize,
    /// Steps of the whole request: intervals times batches.
    pub total: usize,
    /// Time reached: 0 is noise, 1 is the image.
    pub t: f64,
    /// Share of noise left: `1 - t`.
    pub sigma: f64,
    /// How long the step took, in milliseconds, measured to the end of the device's work.
    pub step_ms: f64,
    /// Whether guidance was active at the start of the step.
    pub guidance_active: bool,
    /// Evaluations of the network so far. A guided one computes both halves and counts once.
    pub evaluations: usize,
    /// Number of the first image of the batch that this step belongs to; previews count from it.
    pub first_image: usize,
    pub(crate) previews: &'a dyn Fn(PreviewMethod) -> Vec<Rgb8>,
}

impl StepProgress<'_> {
    /// Draws every image of the batch as the velocity at the start of the step predicts it. Costs nothing unless called.
    ///
    /// Empty if the device fails, in which case the generation ends with that error.
    pub fn preview(&self, method: PreviewMethod) -> Vec<Rgb8> {
        (self.previews)(method)
    }
}

/// Where the time went, in milliseconds, each part measured to the end of the device's work. Time spent in the observer
/// is in none of them but `total_ms`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timings {
    /// Tokenisers and both text encoders.
    pub text_encode_ms: f64,
    /// What is computed once before the first step: caption refiner, positions, masks, noise.
    pub prepare_ms: f64,
    /// Each step.
    pub step_ms: Vec<f64>,
    /// Latents to pixels, all images.
    pub decode_ms: f64,
    /// All of it.
    pub total_ms: f64,
}

impl Timings {
    /// Preparation and all steps.
    pub fn denoise_ms(&self) -> f64 {
        self.prepare_ms + self.step_ms.iter().sum::<f64>()
    }
}

/// How a generation ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// All images are there.
    Finished {
        /// One entry per image, in order.
        images: Vec<Rgb8>,
        /// Where the time went.
        timings: Timings,
    },
    /// The observer broke off.
    Stopped {
        /// Steps that were done.
        after_step: usize,
    },
}
