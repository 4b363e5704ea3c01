//! The boundary to whatever draws: a trait over plain data, in which no tensor and no wire type appears.
//!
//! [`scripted`] is always there and draws gradients on a timetable, for tests and for those who write clients. `burn`
//! runs the model and is the only file that names the model crate.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use sakuga_schema::Prompt;

#[cfg(feature = "burn")]
pub mod burn;
pub mod cache;
pub mod observe;
pub mod out_of_memory;
pub mod scripted;

pub use observe::{ComputePath, LoadingPhase, MemoryPool, MemoryProbe, ProfileSpan, StageProfile};

/// Draws one job at a time. Owned by the worker thread, which also opens it.
pub trait Engine: Send {
    /// Draws what `spec` says and tells `observer` on the way, which breaks off by returning `Break`: the engine then
    /// stops before its next step.
    ///
    /// # Errors
    ///
    /// What went wrong. After an error that [is fatal](EngineError::is_fatal), and after a panic, the engine is dropped and
    /// opened anew.
    fn generate(&mut self, spec: &JobSpec, observer: &mut Observer<'_>) -> Result<Outcome, EngineError>;
}

/// Hears of every stage and step of a running job.
pub type Observer<'a> = dyn FnMut(EngineEvent<'_>) -> ControlFlow<()> + 'a;

/// Opens an engine, again after its device was lost.
pub type EngineOpener = Arc<dyn Fn() -> Result<OpenEngine, EngineError> + Send + Sync>;

/// An engine that is ready, and what can be known about it without it.
pub struct OpenEngine {
    /// The engine.
    pub engine: Box<dyn Engine>,
    /// What it is.
    pub info: EngineInfo,
    /// Its tokenisers, which any thread may use.
    pub tokens: Arc<dyn TokenCounter>,
    /// Says what memory it holds.
    pub memory: MemoryProbe,
}

/// What an engine is.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineInfo {
    /// `burn` or `scripted`.
    pub kind: &'static str,
    /// The device, such as `cuda:0` or `cpu`.
    pub device: String,
    /// `bf16` or `f32`.
    pub precision: String,
    /// What it draws with.
    pub model: ModelInfo,
    /// What jobs need of its memory.
    pub memory: MemoryNeed,
    /// Pixels of the largest picture that the device's memory was taken for; `None`: as many as the settings let.
    pub pixels_max: Option<u64>,
    /// How it was opened, in order.
    pub loading: Vec<LoadingPhase>,
    /// How it computes.
    pub compute_paths: Vec<ComputePath>,
}

/// What a job needs of the device's memory, about: enough to refuse what cannot fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryNeed {
    /// Bytes that every job needs, the weights included.
    pub fixed_bytes: u64,
    /// Bytes for each pixel of the pictures that are computed at once.
    pub pixel_bytes: u64,
    /// Most pictures that are computed at once; 0: all.
    pub batch_max: u32,
}

impl MemoryNeed {
    /// Bytes that a job needs.
    pub fn needed(&self, spec: &JobSpec) -> u64 {
        let batch = if self.batch_max == 0 { spec.images } else { spec.images.min(self.batch_max) };
        let pixels = u64::from(spec.width_px) * u64::from(spec.height_px) * u64::from(batch);
        self.fixed_bytes.saturating_add(pixels.saturating_mul(self.pixel_bytes))
    }

    /// The next smaller job, which needs about half as much or less beside what every job needs: fewer pictures if several
    /// are computed at once, else smaller ones whose edges are multiples of `multiple_px`. `None`: there is no smaller one.
    pub fn smaller(&self, spec: &JobSpec, multiple_px: u32) -> Option<Smaller> {
        let Smaller { images, width_px, height_px } =
            Smaller { images: spec.images, width_px: spec.width_px, height_px: spec.height_px };
        if images > 1 && self.batch_max != 1 {
            let at_once = if self.batch_max == 0 { images } else { images.min(self.batch_max) };
            return Some(Smaller { images: at_once / 2, width_px, height_px });
        }
        // Seven tenths of each edge are half of the pixels.
        let shorter = |edge_px: u32| (edge_px / 10 * 7 / multiple_px.max(1) * multiple_px.max(1)).max(multiple_px);
        let smaller = Smaller { images, width_px: shorter(width_px), height_px: shorter(height_px) };
        (smaller.width_px < width_px || smaller.height_px < height_px).then_some(smaller)
    }
}

/// A job that is smaller than one that did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Smaller {
    /// How many pictures.
    pub images: u32,
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
}

/// What a model is.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInfo {
    /// The name that requests give.
    pub name: String,
    /// Parameters of each part.
    pub parameters: BTreeMap<String, u64>,
    /// Width and height of a request that names none, in pixels.
    pub default_size_px: u32,
    /// Width and height are multiples of this, in pixels.
    pub size_multiple_px: u32,
    /// The longest edge that it can draw, in pixels.
    pub edge_max_px: u32,
    /// Whether it has a tiny decoder for previews.
    pub has_preview_decoder: bool,
    /// What a user must know, such as that the weights are random. Empty: nothing.
    pub notice: String,
    /// SHA-256 over the headers of its weight files, in lower-case hexadecimal.
    pub fingerprint: String,
    /// What Gemma reads before a prompt unless a request says otherwise.
    pub default_system_prompt: String,
    /// The same before a prompt without markup, which was trained with other words.
    pub default_plain_system_prompt: String,
    /// How latents are integrated and guided unless a request says otherwise.
    pub sampling: SamplingDefaults,
}

impl ModelInfo {
    /// What Gemma reads before this prompt unless a request says otherwise. A caption alone reaches it without markup,
    /// whichever form it was sent in.
    pub fn system_prompt_for(&self, prompt: &Prompt) -> &str {
        let is_plain = prompt.characters.is_empty() && prompt.general_tags.is_none();
        if is_plain { &self.default_plain_system_prompt } else { &self.default_system_prompt }
    }
}

/// The sampler's settings of a request that names none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingDefaults {
    /// The solver.
    pub solver: Solver,
    /// Intervals between noise and picture.
    pub steps: u32,
    /// Scale of classifier-free guidance.
    pub guidance_scale: f32,
    /// Guidance is active while t is below this.
    pub guidance_until: f32,
    /// Bound on the norm of the guided velocity. 0: none.
    pub guidance_renorm: f32,
    /// Time shift.
    pub shift: f32,
}

impl Default for SamplingDefaults {
    /// Those of NewBie's authors.
    fn default() -> Self {
        Self {
            solver: Solver::Euler,
            steps: 28,
            guidance_scale: 5.0,
            guidance_until: 1.0,
            guidance_renorm: 0.0,
            shift: 6.0,
        }
    }
}

/// What to draw, checked and complete: [`Request`](crate::request::Request) makes it.
#[derive(Clone, Debug, PartialEq)]
pub struct JobSpec {
    /// The prompt as the encoders read it.
    pub text: String,
    /// What Gemma reads before it.
    pub system_prompt: String,
    /// What the picture must not be, as the encoders read it. Empty: the empty text.
    pub negative: String,
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
    /// How many pictures.
    pub images: u32,
    /// Seed of the noise; picture `i` depends on it and on `i` alone.
    pub seed: u64,
    /// How the latents are integrated.
    pub solver: Solver,
    /// Intervals between noise and picture.
    pub steps: u32,
    /// Scale of classifier-free guidance.
    pub guidance_scale: f32,
    /// Guidance is active while t is below this.
    pub guidance_until: f32,
    /// Bound on the norm of the guided velocity. 0: none.
    pub guidance_renorm: f32,
    /// Time shift.
    pub shift: f32,
    /// Whether to measure where the device's time goes. Changes no pixel.
    pub profile: bool,
}

/// The solvers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Solver {
    /// One evaluation a step.
    Euler,
    /// Two evaluations a step.
    Midpoint,
    /// The 3/8 rule: four evaluations a step.
    Rk4,
    /// DPM-Solver++ multistep, order 2: one evaluation a step.
    Dpm,
}

impl Solver {
    /// The lower-case name, as command lines and `model_index.json` have it.
    pub fn name(self) -> &'static str {
        match self {
            Solver::Euler => "euler",
            Solver::Midpoint => "midpoint",
            Solver::Rk4 => "rk4",
            Solver::Dpm => "dpm",
        }
    }

    /// How often a step evaluates the network.
    pub fn evaluations(self) -> u32 {
        match self {
            Solver::Euler | Solver::Dpm => 1,
            Solver::Midpoint => 2,
            Solver::Rk4 => 4,
        }
    }
}

impl fmt::Display for Solver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Solver::Euler => "Euler",
            Solver::Midpoint => "midpoint",
            Solver::Rk4 => "RK4",
            Solver::Dpm => "DPM-Solver++",
        })
    }
}

/// One message to the observer.
pub enum EngineEvent<'a> {
    /// A part of the pipeline begins.
    Stage(Stage),
    /// A step is done.
    Step(StepDone<'a>),
    /// Where the time of a part went, behind its last step; only for a job that asks for it.
    Profile(StageProfile),
}

/// The parts of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The text encoders read the prompt.
    TextEncode,
    /// Noise becomes latents.
    Denoise,
    /// Latents become pixels.
    Decode,
    /// Pixels become files. The service announces it, not the engine.
    EncodeImage,
}

impl Stage {
    /// The lower-case name, as activity and figures have it.
    pub fn name(self) -> &'static str {
        match self {
            Stage::TextEncode => "text_encode",
            Stage::Denoise => "denoise",
            Stage::Decode => "decode",
            Stage::EncodeImage => "encode_image",
        }
    }
}

/// A step that is done.
pub struct StepDone<'a> {
    /// The figures.
    pub report: StepReport,
    /// Number of the first picture that previews of this step show.
    pub first_image: u32,
    /// Draws the pictures of the batch as the velocity predicts them. Costs nothing unless called.
    pub previews: &'a dyn Fn(PreviewMethod) -> Vec<Rgb8>,
}

/// The figures of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// From 1 to `total`.
    pub index: u32,
    /// Steps of the job.
    pub total: u32,
    /// Time reached: 0 is noise, 1 is the picture.
    pub t: f32,
    /// Share of noise left.
    pub sigma: f32,
    /// How long the step took, in milliseconds.
    pub step_ms: f32,
    /// Whether guidance was active at the start of the step.
    pub guidance_active: bool,
    /// Evaluations of the network so far.
    pub evaluations: u32,
}

/// How a preview is made from the predicted picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreviewMethod {
    /// A linear map from latent channels to RGB, an eighth of the size.
    Linear,
    /// The tiny decoder if the model has one, else the full one.
    Decoder,
}

/// An 8-bit RGB picture, row by row without padding.
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
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Rgb8({}x{})", self.width_px, self.height_px)
    }
}

/// How a job ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Every picture is there.
    Finished {
        /// One entry a picture, in order.
        images: Vec<Rgb8>,
        /// Where the time went.
        timings: EngineTimings,
    },
    /// The observer broke off.
    Stopped,
}

/// Where an engine's time went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineTimings {
    /// Text encoders.
    pub text_encode: Duration,
    /// All steps.
    pub denoise: Duration,
    /// Latents to pixels.
    pub decode: Duration,
}

/// Why an engine could not be opened, or a job failed. The texts say what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The device cannot be had.
    #[error("{0}")]
    Device(String),
    /// The model cannot be loaded.
    #[error("{0}")]
    Model(String),
    /// The job's settings led to no picture.
    #[error("{0}")]
    NotFinite(String),
    /// The job failed; the engine is as good as before.
    #[error("{0}")]
    Failed(String),
    /// The device failed in the middle of its work; the engine has to be opened anew.
    #[error("{0}")]
    DeviceLost(String),
    /// The device had no memory left for the job; the engine is opened anew, so that all of it is free again.
    #[error("the device has no memory left for this job: {reason}")]
    OutOfMemory {
        /// Bytes that were asked for last, if the device tells.
        allocation: Option<u64>,
        /// What the device says.
        reason: String,
    },
    /// The engine said nothing for too long; its thread is left behind and the engine opened anew.
    #[error("the engine said nothing for {0:?} and was given up; a device that hangs needs its driver looked at")]
    Hung(Duration),
    /// The engine panicked; it is opened anew.
    #[error("the engine panicked: {0}; this is a bug, please report it with the server's log")]
    Panicked(String),
}

impl EngineError {
    /// Whether the engine must not be used again.
    pub fn is_fatal(&self) -> bool {
        use EngineError::{DeviceLost, Hung, OutOfMemory, Panicked};
        matches!(self, DeviceLost(_) | OutOfMemory { .. } | Hung(_) | Panicked(_))
    }
}

/// Counts tokens, on any thread and without a device.
pub trait TokenCounter: Send + Sync {
    /// What each text encoder makes of the text, in the order Gemma, Jina CLIP.
    fn count(&self, system_prompt: &str, text: &str) -> Vec<TokenCount>;
}

/// What one text encoder makes of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenCount {
    /// `gemma3` or `jina_clip`.
    pub encoder: &'static str,
    /// Tokens of the whole text, special tokens included.
    pub tokens: usize,
    /// The most that the encoder reads.
    pub limit: usize,
    /// The beginning of what would be cut; `None` if nothing would.
    pub first_lost: Option<String>,
}

impl TokenCount {
    /// Whether the text would be cut.
    pub fn is_truncated(&self) -> bool {
        self.tokens > self.limit
    }
}
