//! From a client's message to a request that the model can be given: every default filled in, or every fault reported.
//!
//! A [`Request`] cannot be made except by [`UncheckedRequest::check`].

use std::borrow::Cow;
use std::time::Duration;

use sakuga_model_core::{
    AdapterChoice, GenerationSpec, ModelInfo, PartialSampling, PreviewMethod, PromptText, TokenCount, TokenCounter,
};
use sakuga_schema::{CheckOptions, Checked, Diagnostic, NegativePrompt, Prompt, Strictness};

use crate::error::{ServerError, Violation};
use crate::limits::Limits;
use crate::models::ServedModel;
use crate::preview::{PreviewFormat, PreviewPolicy};

mod cut;
mod expansion;
mod faults;
pub(crate) mod images;
pub(crate) mod notice;
pub(crate) mod over_long;
mod untrained_size;

use images::{Images, NoUploads, Surroundings, UncheckedImages, Uploads};

pub(crate) use expansion::Expansion;
use faults::Faults;
pub(crate) use faults::describe;

/// A request as it came: 0, empty and `None` mean the default.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct UncheckedRequest {
    /// The caller's name for it.
    pub request_id: String,
    /// What to draw.
    pub prompt: Option<PromptForm>,
    /// How strictly text is read.
    pub strictness: Strictness,
    /// What not to draw.
    pub negative: Option<NegativeForm>,
    /// The system prompt; `None`: the model's default.
    pub system_prompt: Option<String>,
    /// The system prompt of the negative prompt; `None`: the one in front of its text, or else the prompt's.
    pub negative_system_prompt: Option<String>,
    /// The sampling options that were given.
    pub sampling: PartialSampling,
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
    /// How many pictures the batch has.
    pub count: u32,
    /// Which of them are drawn; empty: all.
    pub image_indices: Vec<u32>,
    /// The image to begin from, a mask and a second pass.
    pub images: UncheckedImages,
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
    /// Whether to measure where the device's time goes.
    pub profile: bool,
    /// The refiner's numbers; `None`: the model draws alone.
    pub refiner: Option<UncheckedRefiner>,
    /// What the prompts were made from.
    pub expansion: Option<Expansion>,
    /// The adapters that were found for it.
    pub adapters: Vec<AdapterChoice>,
    /// Faults that were found while the message was read.
    pub faults: Vec<Violation>,
}

/// The numbers of a refiner, as they came; `None`: the default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct UncheckedRefiner {
    /// The share of the training times that the model itself computes.
    pub switch_at: Option<f32>,
    pub aesthetic_score: Option<f32>,
    pub negative_aesthetic_score: Option<f32>,
}

/// A prompt as it came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PromptForm {
    /// Text in any envelope.
    Text(String),
    Typed(Box<Prompt>),
}

impl PromptForm {
    /// Checks the prompt. ValidatePrompt and every call that makes a job use this, so their answers agree.
    pub(crate) fn check(&self, options: &CheckOptions<'_>) -> Checked {
        match self {
            Self::Text(text) => sakuga_schema::check(text, options),
            Self::Typed(prompt) => sakuga_schema::check_typed(prompt, options),
        }
    }

    /// The text that positions are those of: a typed prompt's is its canonical XML.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Typed(prompt) => Cow::Owned(prompt.to_xml()),
        }
    }
}

/// A negative prompt as it came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NegativeForm {
    Text(String),
    Typed(Box<NegativePrompt>),
}

impl NegativeForm {
    /// The text that positions are those of: a typed prompt's is its canonical XML.
    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Typed(negative) => Cow::Owned(negative.to_xml()),
        }
    }
}

/// A request that can be drawn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    request_id: String,
    prompt: Prompt,
    strictness: Strictness,
    negative: Option<NegativePrompt>,
    model: String,
    spec: GenerationSpec,
    width_px: u32,
    height_px: u32,
    images: Images,
    preview: PreviewPolicy,
    stats_interval: Duration,
    expansion: Option<Expansion>,
    diagnostics: Vec<Diagnostic>,
    tokens: [Vec<TokenCount>; 2],
    scene: Option<Box<Request>>,
}

impl Request {
    /// The request with the pass of a scene, which was checked against its own model. The scene has as many pictures as the request.
    pub(crate) fn with_scene(mut self, mut scene: Request) -> Self {
        scene.spec.profile = self.spec.profile;
        self.diagnostics.extend(scene.diagnostics.drain(..).map(|finding| {
            let path = if finding.path.is_empty() { "prompt" } else { &finding.path };
            Diagnostic { path: format!("{SCENE}{path}"), ..finding }
        }));
        self.scene = Some(Box::new(scene));
        self
    }

    /// What another model draws over each of its pictures, one picture at a time.
    pub(crate) fn scene(&self) -> Option<&Request> {
        self.scene.as_deref()
    }

    /// The caller's name for it, or the one that the server made.
    pub(crate) fn request_id(&self) -> &str {
        &self.request_id
    }

    pub(crate) fn prompt(&self) -> &Prompt {
        &self.prompt
    }

    /// How strictly its text was read.
    pub(crate) fn strictness(&self) -> Strictness {
        self.strictness
    }

    pub(crate) fn negative(&self) -> Option<&NegativePrompt> {
        self.negative.as_ref()
    }

    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    /// What the engine has to draw.
    pub(crate) fn spec(&self) -> &GenerationSpec {
        &self.spec
    }

    /// Width and height that the request asks for, in pixels: those of its pictures before a second pass.
    pub(crate) fn size_px(&self) -> [u32; 2] {
        [self.width_px, self.height_px]
    }

    /// Width and height of its pictures, in pixels, before a scene.
    pub(crate) fn picture_size_px(&self) -> [u32; 2] {
        self.spec.second_pass.as_ref().map_or(self.size_px(), |second| [second.width_px, second.height_px])
    }

    /// The image to begin from, the mask and the second pass.
    pub(crate) fn images(&self) -> &Images {
        &self.images
    }

    /// What previews to send.
    pub(crate) fn preview(&self) -> PreviewPolicy {
        self.preview
    }

    /// Least time between two samples of the device.
    pub(crate) fn stats_interval(&self) -> Duration {
        self.stats_interval
    }

    /// What its prompts were made from.
    pub(crate) fn expansion(&self) -> Option<&Expansion> {
        self.expansion.as_ref()
    }

    /// Tokens of the prompt and of the negative prompt for each text encoder.
    pub(crate) fn tokens(&self) -> [&[TokenCount]; 2] {
        self.tokens.each_ref().map(Vec::as_slice)
    }

    /// What was found about its prompts, none of it an error.
    pub(crate) fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }
}

/// A negative prompt that was read.
#[derive(Debug, Default)]
struct Negative {
    prompt: Option<NegativePrompt>,
    /// The system prompt in front of its text.
    system_prompt: Option<String>,
}

/// What stands before the fields of a scene in faults and findings.
pub(crate) const SCENE: &str = "scene.";

/// The path of findings about a negative prompt inside the prompt's text, as the checker names it.
pub(crate) const INNER_NEGATIVE: &str = "negative_prompt";

/// A system prompt that was split off a text, as it is read before that text: the blank between the two was removed, and
/// encoders read them without a separator.
pub(crate) fn before_text(system_prompt: String) -> String {
    system_prompt + " "
}

/// The system prompt of a negative prompt that names none. The empty text is read without one, as in training.
pub(crate) fn default_negative_system_prompt<'a>(negative: &str, system_prompt: &'a str) -> &'a str {
    if negative.is_empty() { "" } else { system_prompt }
}

/// Findings about a syntax that models which read tags know.
const KNOWN_TO_TAG_MODELS: [&str; 2] = ["weight-syntax", "escaped-parenthesis"];

/// What a request is checked against.
#[derive(Clone, Copy)]
pub(crate) struct RequestRules<'a> {
    /// The model that will draw it.
    pub model: &'a ModelInfo,
    /// The model's tokenisers.
    pub tokens: &'a dyn TokenCounter,
    /// What a request may ask for.
    pub limits: &'a Limits,
    /// Files that the caller uploaded.
    pub uploads: &'a dyn Uploads,
}

impl<'a> RequestRules<'a> {
    /// The rules of requests for a model.
    pub(crate) fn of(model: &'a ServedModel) -> Self {
        Self { model: &model.info.model, tokens: model.tokens.as_ref(), limits: &model.limits, uploads: &NoUploads }
    }

    /// The options with which this server checks prompts.
    pub(crate) fn check_options(&self, strictness: Strictness) -> CheckOptions<'a> {
        let model_tags = self.model.vocabulary.as_deref().map(|vocabulary| &vocabulary.tags);
        let mut options = CheckOptions { strictness, model_tags, ..CheckOptions::default() };
        options.limits.max_bytes = self.limits.prompt_bytes_max;
        // The checker can only estimate; here the model's own tokenisers count.
        options.limits.encoder_tokens = usize::MAX;
        options
    }

    /// The system prompt of a request that gives none. A prompt that is a caption alone reaches the encoders without
    /// markup, whatever form it was sent in.
    pub(crate) fn default_system_prompt(&self, prompt: &Prompt) -> &str {
        let is_plain = prompt.characters.is_empty() && prompt.general_tags.is_none();
        if is_plain { &self.model.default_plain_system_prompt } else { &self.model.default_system_prompt }
    }

    /// The text of a prompt as the model's encoders read it.
    pub(crate) fn model_text(&self, prompt: &Prompt) -> String {
        match self.model.prompt_text {
            PromptText::Markup => prompt.to_model_text(),
            PromptText::Tags => prompt.to_tags(),
        }
    }

    /// Whether a finding about a prompt holds for the model: one that reads tags knows weights and escaped brackets.
    pub(crate) fn holds(&self, finding: &Diagnostic) -> bool {
        self.model.prompt_text == PromptText::Markup || !KNOWN_TO_TAG_MODELS.contains(&finding.code)
    }

    /// As [`model_text`](Self::model_text), of a negative prompt.
    pub(crate) fn negative_text(&self, negative: &NegativePrompt) -> String {
        match self.model.prompt_text {
            PromptText::Markup => negative.to_model_text(),
            PromptText::Tags => negative.to_tags(),
        }
    }
}

impl UncheckedRequest {
    /// Checks everything and fills in the defaults; `draw_seed` is asked for a seed if the request has none.
    ///
    /// # Errors
    ///
    /// [`ServerError::InvalidRequest`] with every fault.
    pub(crate) fn check(
        self,
        rules: RequestRules<'_>,
        draw_seed: impl FnOnce() -> u64,
    ) -> Result<Request, ServerError> {
        let RequestRules { model, limits, uploads, .. } = rules;
        let mut faults = Faults::new(self.faults);
        let options = rules.check_options(self.strictness);
        let request_id = faults.request_id(self.request_id);
        let checked = faults.prompt(self.prompt.as_ref(), &options);
        let (prompt, own_system_prompt) = (checked.prompt, checked.system_prompt);
        let is_inner = checked.negative.is_some();
        let inner = Negative { prompt: checked.negative, system_prompt: checked.negative_system_prompt };
        let Negative { prompt: negative, system_prompt: negative_own } =
            faults.negative(self.negative.as_ref(), inner, &options);
        let default = prompt.as_ref().map_or("", |prompt| rules.default_system_prompt(prompt));
        let system_prompt =
            faults.system_prompt("system_prompt", self.system_prompt, own_system_prompt.map(before_text), default);
        let negative_text = negative.as_ref().map(|negative| rules.negative_text(negative)).unwrap_or_default();
        let negative_own = negative_own.map(|own| if negative_text.is_empty() { own } else { before_text(own) });
        let negative_system_prompt = faults.system_prompt(
            "negative_system_prompt",
            self.negative_system_prompt,
            negative_own,
            default_negative_system_prompt(&negative_text, &system_prompt),
        );
        let width_px = faults.edge("width", self.width_px, model);
        let height_px = faults.edge("height", self.height_px, model);
        faults.pixels(width_px, height_px, limits);
        let count = faults.count("images", self.count.max(1), limits.images_max);
        let sampling = faults.sampling(&self.sampling, model, limits.steps_max);
        let pixels_max = limits.pixels_max;
        let around = Surroundings { uploads, model, pixels_max, width_px, height_px, steps: sampling.steps };
        let images::Checked { images, drawn, faults: image_faults } = self.images.check(around);
        faults.extend(image_faults);
        let [drawn_width_px, drawn_height_px] = drawn.size_px.unwrap_or([width_px, height_px]);
        let spec = GenerationSpec {
            text: prompt.as_ref().map(|prompt| rules.model_text(prompt)).unwrap_or_default(),
            system_prompt,
            negative: negative_text,
            negative_system_prompt,
            width_px: drawn_width_px,
            height_px: drawn_height_px,
            images: count,
            image_indices: faults.image_indices(self.image_indices, count),
            seed: 0,
            sampling,
            init: drawn.init,
            second_pass: drawn.second_pass,
            controls: drawn.controls,
            refiner: faults.refiner(self.refiner, model),
            max_batch: 0,
            profile: self.profile,
            adapters: self.adapters,
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
        faults.expansion(self.expansion.as_ref(), 2 * limits.prompt_bytes_max);
        let (faults, mut diagnostics) = faults.into_parts();
        diagnostics.retain(|finding| rules.holds(finding));
        let prompt = match prompt {
            Some(prompt) if faults.is_empty() => prompt,
            _ => return Err(ServerError::InvalidRequest(faults)),
        };
        let counts = rules.tokens.count(&spec.system_prompt, &spec.text);
        let sent = self.prompt.as_ref().map_or(Cow::Borrowed(""), PromptForm::text);
        diagnostics.extend(over_long::findings("", &sent, &spec.text, &counts));
        diagnostics.extend(untrained_size::finding(model, [width_px, height_px], "width"));
        let enlarged = spec.second_pass.map(|second| [second.width_px, second.height_px]);
        diagnostics.extend(
            enlarged.and_then(|size| untrained_size::finding(model, size, sakuga_model_core::limits::FACTOR.field)),
        );
        let negative_counts = rules.tokens.count(&spec.negative_system_prompt, &spec.negative);
        if !(spec.negative.is_empty() && spec.negative_system_prompt.is_empty()) {
            // A negative prompt inside the prompt's text has its places there.
            let (path, sent) = match is_inner {
                true => (INNER_NEGATIVE, self.prompt.as_ref().map_or(Cow::Borrowed(""), PromptForm::text)),
                false => ("negative", self.negative.as_ref().map_or(Cow::Borrowed(""), NegativeForm::text)),
            };
            diagnostics.extend(over_long::findings(path, &sent, &spec.negative, &negative_counts));
        }
        Ok(Request {
            request_id,
            prompt,
            strictness: self.strictness,
            negative,
            model: model.name.clone(),
            spec: GenerationSpec { seed: self.seed.unwrap_or_else(draw_seed), ..spec },
            width_px,
            height_px,
            images,
            preview,
            stats_interval,
            expansion: self.expansion,
            diagnostics,
            tokens: [counts, negative_counts],
            scene: None,
        })
    }
}
