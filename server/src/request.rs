//! From what a client sent to a request that can be drawn: every default filled in, every fault found at once.
//!
//! A [`Request`] cannot be made except by [`Draft::check`].

use std::time::Duration;

use sakuga_schema::{CheckOptions, Diagnostic, NegativePrompt, Prompt, Severity, Strictness};

use crate::engine::{JobSpec, ModelInfo, PreviewMethod, Solver};
use crate::error::{ServerError, Violation};
use crate::limits::Limits;
use crate::preview::{PreviewFormat, PreviewPolicy};

/// Longest name that a caller may give a request, in characters.
const REQUEST_ID_CHARS_MAX: usize = 64;
/// Bounds of a preview's longer edge, in pixels.
const PREVIEW_EDGE_MIN_PX: u32 = 16;
const PREVIEW_EDGE_MAX_PX: u32 = 2048;
const STEPS_DEFAULT: u32 = 28;
const GUIDANCE_SCALE_DEFAULT: f32 = 5.0;
const GUIDANCE_UNTIL_DEFAULT: f32 = 1.0;
const SHIFT_DEFAULT: f32 = 6.0;
/// Beyond this the bound never binds.
const GUIDANCE_RENORM_MAX: f32 = 100.0;

/// A request as it came: 0, empty and `None` mean the default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Draft {
    /// The caller's name for it.
    pub request_id: String,
    /// What to draw.
    pub prompt: Option<PromptForm>,
    /// How strictly text is read.
    pub strictness: Strictness,
    /// What not to draw.
    pub negative: Option<NegativeForm>,
    /// The model.
    pub model: String,
    /// What Gemma reads before the prompt.
    pub system_prompt: Option<String>,
    /// The solver.
    pub solver: Option<Solver>,
    /// Intervals.
    pub steps: u32,
    /// Scale of guidance.
    pub guidance_scale: Option<f32>,
    /// Where guidance ends.
    pub guidance_until: Option<f32>,
    /// Bound on the guided velocity.
    pub guidance_renorm: f32,
    /// Time shift.
    pub shift: Option<f32>,
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
    /// How many pictures.
    pub images: u32,
    /// Seed of the noise.
    pub seed: Option<u64>,
    /// How previews are made.
    pub preview_method: Option<PreviewMethod>,
    /// How previews are encoded.
    pub preview_format: PreviewFormat,
    /// The longer edge of previews, in pixels.
    pub preview_max_edge_px: u32,
    /// A preview after every this many steps.
    pub preview_every_steps: u32,
    /// Least time between two previews, in milliseconds.
    pub preview_min_interval_ms: u32,
    /// Least time between two samples of the device, in milliseconds.
    pub stats_interval_ms: u32,
    /// Faults that were found while the message was read.
    pub faults: Vec<Violation>,
}

/// A prompt as it came.
#[derive(Clone, Debug, PartialEq)]
pub enum PromptForm {
    /// Text in any envelope.
    Text(String),
    /// Typed.
    Typed(Prompt),
}

/// A negative prompt as it came.
#[derive(Clone, Debug, PartialEq)]
pub enum NegativeForm {
    /// Text.
    Text(String),
    /// Typed.
    Typed(NegativePrompt),
}

/// A request that can be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    request_id: String,
    prompt: Prompt,
    strictness: Strictness,
    negative: Option<NegativePrompt>,
    model: String,
    spec: JobSpec,
    preview: PreviewPolicy,
    stats_interval: Duration,
    diagnostics: Vec<Diagnostic>,
}

impl Request {
    /// The caller's name for it, or the one that the server made.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// The prompt.
    pub fn prompt(&self) -> &Prompt {
        &self.prompt
    }

    /// How strictly its text was read.
    pub fn strictness(&self) -> Strictness {
        self.strictness
    }

    /// The negative prompt.
    pub fn negative(&self) -> Option<&NegativePrompt> {
        self.negative.as_ref()
    }

    /// The model.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// What the engine has to draw.
    pub fn spec(&self) -> &JobSpec {
        &self.spec
    }

    /// What previews to send.
    pub fn preview(&self) -> PreviewPolicy {
        self.preview
    }

    /// Least time between two samples of the device.
    pub fn stats_interval(&self) -> Duration {
        self.stats_interval
    }

    /// What was found about its prompts, none of it an error.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }
}

/// The options with which this server checks prompts.
pub fn check_options(strictness: Strictness, limits: &Limits) -> CheckOptions<'static> {
    let mut options = CheckOptions { strictness, ..CheckOptions::default() };
    options.limits.max_bytes = limits.prompt_bytes_max;
    options
}

impl Draft {
    /// Checks everything and fills in the defaults; `draw_seed` is asked for a seed if the request has none.
    ///
    /// # Errors
    ///
    /// [`ServerError::UnknownModel`], or [`ServerError::InvalidRequest`] with every fault.
    pub fn check(
        self,
        model: &ModelInfo,
        limits: &Limits,
        draw_seed: impl FnOnce() -> u64,
    ) -> Result<Request, ServerError> {
        if !self.model.is_empty() && self.model != model.name {
            let known = vec![model.name.clone()];
            return Err(ServerError::UnknownModel { name: self.model, known });
        }
        let mut faults = Faults(self.faults);
        let mut diagnostics = Vec::new();
        let request_id = faults.request_id(self.request_id);
        let options = check_options(self.strictness, limits);
        let (prompt, own_system_prompt) = faults.prompt(self.prompt, &options, &mut diagnostics);
        let negative = faults.negative(self.negative, &options, &mut diagnostics);
        let system_prompt = faults.system_prompt(self.system_prompt, own_system_prompt, model, limits);
        let width_px = faults.edge("width", self.width_px, model);
        let height_px = faults.edge("height", self.height_px, model);
        faults.pixels(width_px, height_px, limits);
        let steps = if self.steps == 0 { STEPS_DEFAULT.min(limits.steps_max) } else { self.steps };
        let images = self.images.max(1);
        let spec = JobSpec {
            text: prompt.as_ref().map(Prompt::to_model_text).unwrap_or_default(),
            system_prompt,
            negative: negative.as_ref().map(NegativePrompt::to_model_text).unwrap_or_default(),
            width_px,
            height_px,
            images: faults.count("images", images, limits.images_max),
            seed: 0,
            solver: self.solver.unwrap_or(Solver::Euler),
            steps: faults.count("sampling.steps", steps, limits.steps_max),
            guidance_scale: faults.number(
                "sampling.guidance_scale",
                self.guidance_scale,
                GUIDANCE_SCALE_DEFAULT,
                1.0,
                30.0,
            ),
            guidance_until: faults.number(
                "sampling.guidance_until",
                self.guidance_until,
                GUIDANCE_UNTIL_DEFAULT,
                0.0,
                1.0,
            ),
            guidance_renorm: faults.number(
                "sampling.guidance_renorm",
                Some(self.guidance_renorm),
                0.0,
                0.0,
                GUIDANCE_RENORM_MAX,
            ),
            shift: faults.number("sampling.shift", self.shift, SHIFT_DEFAULT, 0.1, 20.0),
        };
        let preview = PreviewPolicy {
            method: self.preview_method,
            format: self.preview_format,
            max_edge_px: faults.preview_edge(self.preview_max_edge_px),
            every_steps: self.preview_every_steps.max(1),
            min_interval: Duration::from_millis(self.preview_min_interval_ms.into()),
        };
        let stats_interval = match self.stats_interval_ms {
            0 => Limits::STATS_INTERVAL_DEFAULT,
            given_ms => Duration::from_millis(given_ms.into()).max(Limits::STATS_INTERVAL_MIN),
        };
        match prompt {
            Some(prompt) if faults.0.is_empty() => Ok(Request {
                request_id,
                prompt,
                strictness: self.strictness,
                negative,
                model: model.name.clone(),
                spec: JobSpec { seed: self.seed.unwrap_or_else(draw_seed), ..spec },
                preview,
                stats_interval,
                diagnostics,
            }),
            _ => Err(ServerError::InvalidRequest(faults.0)),
        }
    }
}

/// Collects faults; what is at fault becomes a value that does no harm, so that the rest can be checked too.
struct Faults(Vec<Violation>);

impl Faults {
    fn add(&mut self, field: impl Into<String>, reason: &'static str, description: impl Into<String>) {
        self.0.push(Violation::new(field, reason, description));
    }

    fn request_id(&mut self, given: String) -> String {
        let chars = given.chars().count();
        if chars > REQUEST_ID_CHARS_MAX {
            let text = format!("{chars} characters are too many; use at most {REQUEST_ID_CHARS_MAX}");
            self.add("request_id", Violation::BAD_TEXT, text);
        } else if given.chars().any(char::is_control) {
            self.add("request_id", Violation::BAD_TEXT, "control characters cannot stand in a name; remove them");
        }
        if given.is_empty() { uuid::Uuid::now_v7().to_string() } else { given }
    }

    fn prompt(
        &mut self,
        given: Option<PromptForm>,
        options: &CheckOptions<'_>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> (Option<Prompt>, Option<String>) {
        let checked = match given {
            None => {
                let text = "there is nothing to draw; set `xml` to the prompt's text or `typed` to its typed form";
                self.add("prompt", Violation::REQUIRED, text);
                return (None, None);
            }
            Some(PromptForm::Text(text)) => sakuga_schema::check(&text, options),
            Some(PromptForm::Typed(prompt)) => sakuga_schema::check_typed(&prompt, options),
        };
        self.findings("", checked.diagnostics, diagnostics);
        if checked.prompt.is_none() && self.0.is_empty() {
            self.add("prompt", Violation::REQUIRED, "the text holds no prompt; write at least a caption");
        }
        (checked.prompt, checked.system_prompt)
    }

    fn negative(
        &mut self,
        given: Option<NegativeForm>,
        options: &CheckOptions<'_>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<NegativePrompt> {
        let negative = match given? {
            NegativeForm::Typed(negative) if negative == NegativePrompt::default() => return None,
            // The checker reads text, so a typed prompt is what its canonical text says.
            NegativeForm::Typed(negative) => {
                let checked = sakuga_schema::check_negative(&negative.to_xml(), options);
                let is_whole = checked.negative.as_ref() == Some(&negative);
                self.findings("negative/", checked.diagnostics, diagnostics);
                if !is_whole {
                    let text = "tags and caption have to be trimmed and not empty, and a tag holds no comma; split it";
                    self.add("negative", Violation::BAD_TEXT, text);
                }
                negative
            }
            NegativeForm::Text(text) if text.trim().is_empty() => return None,
            NegativeForm::Text(text) => {
                let checked = sakuga_schema::check_negative(&text, options);
                self.findings("negative/", checked.diagnostics, diagnostics);
                if checked.system_prompt.is_some() {
                    let text = "the negative text brings a system prompt, but encoders read the request's; remove it";
                    self.add("negative", Violation::CONFLICT, text);
                }
                checked.negative?
            }
        };
        Some(negative)
    }

    /// Errors become faults; the rest is kept for `accepted`.
    fn findings(&mut self, prefix: &str, found: Vec<Diagnostic>, kept: &mut Vec<Diagnostic>) {
        for mut finding in found {
            let field = match (prefix, finding.path.as_str()) {
                ("", "") => "prompt".to_owned(),
                (_, "") => prefix.trim_end_matches('/').to_owned(),
                (_, path) => format!("{prefix}{path}"),
            };
            if finding.severity == Severity::Error {
                self.add(field, finding.code, describe(&finding));
            } else {
                if !prefix.is_empty() {
                    finding.path = field;
                }
                kept.push(finding);
            }
        }
    }

    fn system_prompt(
        &mut self,
        given: Option<String>,
        own: Option<String>,
        model: &ModelInfo,
        limits: &Limits,
    ) -> String {
        if let (Some(given), Some(own)) = (&given, &own)
            && given.trim() != own.trim()
        {
            let text = "the prompt's text brings another system prompt; remove one of the two";
            self.add("system_prompt", Violation::CONFLICT, text);
        }
        // Split off, it lost the blank that stood between it and the prompt; Gemma reads the two without a separator.
        let own = own.map(|text| format!("{text} "));
        let system_prompt = given.or(own).unwrap_or_else(|| model.default_system_prompt.clone());
        if system_prompt.len() > limits.prompt_bytes_max {
            let text = format!("{} bytes are too many; use at most {}", system_prompt.len(), limits.prompt_bytes_max);
            self.add("system_prompt", Violation::BAD_TEXT, text);
        }
        system_prompt
    }

    fn edge(&mut self, field: &str, given_px: u32, model: &ModelInfo) -> u32 {
        if given_px == 0 {
            return model.default_size_px;
        }
        let (step_px, max_px) = (model.size_multiple_px.max(1), model.edge_max_px);
        let is_multiple = given_px.is_multiple_of(step_px);
        if is_multiple && given_px <= max_px {
            return given_px;
        }
        let below_px = (given_px.min(max_px) / step_px * step_px).max(step_px);
        let above_px = below_px + step_px;
        let nearest = if given_px < step_px || above_px > max_px {
            format!("{below_px}")
        } else {
            format!("{below_px} or {above_px}")
        };
        let reason = if is_multiple { Violation::OUT_OF_RANGE } else { Violation::NOT_A_MULTIPLE };
        let text = format!("{given_px} is not a multiple of {step_px} from {step_px} to {max_px}; use {nearest}");
        self.add(field, reason, text);
        model.default_size_px
    }

    fn pixels(&mut self, width_px: u32, height_px: u32, limits: &Limits) {
        let pixels = u64::from(width_px) * u64::from(height_px);
        if pixels > limits.pixels_max {
            let text = format!(
                "{width_px}x{height_px} are {pixels} pixels, more than the {} that this server draws; use a smaller width \
                 or height",
                limits.pixels_max
            );
            self.add("width", Violation::OUT_OF_RANGE, text);
        }
    }

    fn count(&mut self, field: &str, given: u32, max: u32) -> u32 {
        if given > max {
            self.add(field, Violation::OUT_OF_RANGE, format!("{given} is too many; use 1 to {max}"));
        }
        given.min(max)
    }

    fn number(&mut self, field: &str, given: Option<f32>, default: f32, min: f32, max: f32) -> f32 {
        let value = given.unwrap_or(default);
        // Written so that NaN is outside.
        if (min..=max).contains(&value) {
            return value;
        }
        self.add(field, Violation::OUT_OF_RANGE, format!("{value} is out of range; use {min} to {max}"));
        default
    }

    fn preview_edge(&mut self, given_px: u32) -> u32 {
        if given_px == 0 {
            return PreviewPolicy::MAX_EDGE_DEFAULT_PX;
        }
        if !(PREVIEW_EDGE_MIN_PX..=PREVIEW_EDGE_MAX_PX).contains(&given_px) {
            let text = format!("{given_px} is out of range; use {PREVIEW_EDGE_MIN_PX} to {PREVIEW_EDGE_MAX_PX}");
            self.add("preview.max_edge", Violation::OUT_OF_RANGE, text);
        }
        given_px
    }
}

/// Message, place and remedy of a finding in one sentence.
pub fn describe(finding: &Diagnostic) -> String {
    let place = format!("{} (line {}, column {})", finding.message, finding.start.line, finding.start.column);
    match &finding.fix {
        Some(fix) => format!("{place}; {}", fix.description),
        None => place,
    }
}
