//! Checks requests: an [`UncheckedRequest`] becomes a [`Request`] with every default filled in, or all of its faults are reported.
//!
//! [`UncheckedRequest::check`] is the only way to make a [`Request`].

use std::borrow::Cow;
use std::time::Duration;

use sakuga_model_core::{GenerationSpec, TokenCount};
use sakuga_schema::{Diagnostic, NegativePrompt, Prompt, Strictness};

use crate::error::ServerError;
use crate::limits::Limits;
use crate::preview::PreviewPolicy;

mod cut;
mod expansion;
mod faults;
pub(crate) mod images;
pub(crate) mod notice;
pub(crate) mod over_long;
mod rules;
mod unchecked;
mod untrained_size;

use images::{Images, Surroundings};

pub(crate) use expansion::Expansion;
use faults::Faults;
pub(crate) use faults::describe;
pub(crate) use rules::RequestRules;
pub(crate) use unchecked::{NegativeForm, PromptForm, UncheckedRefiner, UncheckedRequest};

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

    /// The pass of another model over each of its pictures, one picture at a time.
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

    /// How and how often previews are made.
    pub(crate) fn preview(&self) -> PreviewPolicy {
        self.preview
    }

    /// Least time between two samples of the device.
    pub(crate) fn stats_interval(&self) -> Duration {
        self.stats_interval
    }

    /// The template that its prompts were made from.
    pub(crate) fn expansion(&self) -> Option<&Expansion> {
        self.expansion.as_ref()
    }

    /// Tokens of the prompt and of the negative prompt for each text encoder.
    pub(crate) fn tokens(&self) -> [&[TokenCount]; 2] {
        self.tokens.each_ref().map(Vec::as_slice)
    }

    /// Findings about its prompts that are not errors.
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

/// Prefix of the fields of a scene in faults and findings.
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
        let system_prompt = faults.system_prompt(
            "system_prompt",
            self.system_prompt,
            own_system_prompt.map(before_text),
            default,
            &options,
        );
        let negative_text = negative.as_ref().map(|negative| rules.negative_text(negative)).unwrap_or_default();
        let negative_own = negative_own.map(|own| if negative_text.is_empty() { own } else { before_text(own) });
        let negative_system_prompt = faults.system_prompt(
            "negative_system_prompt",
            self.negative_system_prompt,
            negative_own,
            default_negative_system_prompt(&negative_text, &system_prompt),
            &options,
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
