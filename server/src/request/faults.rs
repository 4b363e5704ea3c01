//! Collects the faults of a request, field by field. A fault names the nearest allowed value.

use sakuga_model_core::{Limit, ModelInfo, PartialSampling, Refiner, Sampling, SpecError, limits};
use sakuga_schema::{CheckOptions, Checked, Diagnostic, NegativePrompt, Severity, Strictness};

use super::{Expansion, Negative, NegativeForm, PromptForm, UncheckedRefiner};
use crate::error::Violation;
use crate::limits::Limits;
use crate::preview::PreviewPolicy;

/// Collects faults. A field with a fault gets an allowed value, so that the other fields can be checked, too.
pub(crate) struct Faults {
    violations: Vec<Violation>,
    /// Findings about the prompts that are not errors.
    diagnostics: Vec<Diagnostic>,
}

impl Faults {
    pub(crate) fn new(violations: Vec<Violation>) -> Self {
        Self { violations, diagnostics: Vec::new() }
    }

    /// The faults, and the findings that are not errors.
    pub(crate) fn into_parts(self) -> (Vec<Violation>, Vec<Diagnostic>) {
        (self.violations, self.diagnostics)
    }

    fn add(&mut self, field: impl Into<String>, reason: &'static str, description: impl Into<String>) {
        self.violations.push(Violation::new(field, reason, description));
    }

    /// Adds faults that were found elsewhere.
    pub(crate) fn extend(&mut self, faults: Vec<Violation>) {
        self.violations.extend(faults);
    }

    pub(crate) fn request_id(&mut self, given: String) -> String {
        let chars = given.chars().count();
        let chars_max = limits::REQUEST_ID_CHARS.max;
        if chars > chars_max {
            let text = format!("{chars} characters are too many; use at most {chars_max}");
            self.add("request_id", Violation::BAD_TEXT, text);
        } else if given.chars().any(char::is_control) {
            self.add("request_id", Violation::BAD_TEXT, "control characters cannot stand in a name; remove them");
        }
        if given.is_empty() { uuid::Uuid::now_v7().to_string() } else { given }
    }

    /// The prompt, with what was split off its text. `None` if there is nothing to read.
    pub(crate) fn prompt(&mut self, given: Option<&PromptForm>, options: &CheckOptions<'_>) -> Checked {
        let Some(given) = given else {
            let text = "there is nothing to draw; set `xml` to the prompt's text or `typed` to its typed form";
            self.add("prompt", Violation::REQUIRED, text);
            return Checked::default();
        };
        let mut checked = given.check(options);
        self.findings("", std::mem::take(&mut checked.diagnostics));
        if checked.prompt.is_none() && self.violations.is_empty() {
            self.add("prompt", Violation::REQUIRED, "the text holds no prompt; write at least a caption");
        }
        checked
    }

    /// The negative prompt of the request, or else the one that was split off the prompt's text. Two are a fault.
    pub(crate) fn negative(
        &mut self,
        given: Option<&NegativeForm>,
        inner: Negative,
        options: &CheckOptions<'_>,
    ) -> Negative {
        let given = self.given_negative(given, options);
        if given.prompt.is_none() && given.system_prompt.is_none() {
            return inner;
        }
        if inner.prompt.is_some() || inner.system_prompt.is_some() {
            let text =
                "the prompt's text holds a negative prompt, and `negative` is set as well; remove one of the two";
            self.add("negative", Violation::CONFLICT, text);
        }
        given
    }

    fn given_negative(&mut self, given: Option<&NegativeForm>, options: &CheckOptions<'_>) -> Negative {
        match given {
            None => Negative::default(),
            Some(NegativeForm::Typed(negative)) if **negative == NegativePrompt::default() => Negative::default(),
            // The checker reads text, so a typed prompt is checked as its canonical text.
            Some(NegativeForm::Typed(negative)) => {
                // A program wrote it, so it is not repaired.
                let options = CheckOptions { strictness: Strictness::Strict, ..*options };
                let checked = sakuga_schema::check_negative(&negative.to_xml(), &options);
                let is_whole = checked.negative.as_ref() == Some(&**negative);
                self.findings("negative/", checked.diagnostics);
                if !is_whole {
                    let text = "tags and caption have to be trimmed and not empty, and a tag holds no comma; split it";
                    self.add("negative", Violation::BAD_TEXT, text);
                }
                Negative { prompt: Some((**negative).clone()), system_prompt: None }
            }
            Some(NegativeForm::Text(text)) if text.trim().is_empty() => Negative::default(),
            Some(NegativeForm::Text(text)) => {
                let checked = sakuga_schema::check_negative(text, options);
                self.findings("negative/", checked.diagnostics);
                Negative { prompt: checked.negative, system_prompt: checked.system_prompt }
            }
        }
    }

    /// Errors become faults; the rest is kept for `accepted`.
    fn findings(&mut self, prefix: &str, found: Vec<Diagnostic>) {
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
                self.diagnostics.push(finding);
            }
        }
    }

    /// The system prompt in `field` of the request, or else `own`, the one in front of the text, or else `default`. Two that
    /// differ are a fault. The characters of `given` are checked; those of `own` were checked with its text.
    pub(crate) fn system_prompt(
        &mut self,
        field: &'static str,
        given: Option<String>,
        own: Option<String>,
        default: &str,
        options: &CheckOptions<'_>,
    ) -> String {
        if let (Some(given), Some(own)) = (&given, &own)
            && given.trim() != own.trim()
        {
            let text = format!(
                "another system prompt stands in front of the text, and `{field}` is set; remove one of the two"
            );
            self.add(field, Violation::CONFLICT, text);
        }
        let is_given = given.is_some();
        let system_prompt = given.or(own).unwrap_or_else(|| default.to_owned());
        let bytes_max = limits::SYSTEM_PROMPT_BYTES.max;
        if system_prompt.len() > bytes_max {
            let text = format!("{} bytes are too many; use at most {bytes_max}", system_prompt.len());
            self.add(field, Violation::BAD_TEXT, text);
        } else if is_given {
            let checked = sakuga_schema::check_system_prompt(&system_prompt, options);
            self.findings(&format!("{field}/"), checked.diagnostics);
            return checked.text;
        }
        system_prompt
    }

    pub(crate) fn edge(&mut self, field: &str, given_px: u32, model: &ModelInfo) -> u32 {
        if given_px == 0 {
            return model.default_size_px;
        }
        let (step_px, max_px) = (model.size.multiple_px.max(1), model.size.edge_max_px);
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

    pub(crate) fn pixels(&mut self, width_px: u32, height_px: u32, limits: &Limits) {
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

    /// The refiner's numbers, in their bounds; `None`: the model draws alone.
    pub(crate) fn refiner(&mut self, given: Option<UncheckedRefiner>, model: &ModelInfo) -> Option<Refiner> {
        let given = given?;
        if model.refiner.is_none() {
            let text = format!(
                "`{}` has no refiner; remove `refiner`, or use a model with one, which the operator names with --refiner",
                model.name
            );
            self.add("refiner", Violation::UNSUPPORTED, text);
            return None;
        }
        let mut within = |limit: &Limit<f32>, given: Option<f32>, default: f32| {
            let given = given.unwrap_or(default);
            if !limit.contains(given) {
                self.violations.push(Violation::out_of_range(limit.field, limit, given));
            }
            given
        };
        let default = Refiner::default();
        Some(Refiner {
            switch_at: within(&limits::SWITCH_AT, given.switch_at, default.switch_at),
            aesthetic_score: within(&limits::AESTHETIC_SCORE, given.aesthetic_score, default.aesthetic_score),
            negative_aesthetic_score: within(
                &limits::NEGATIVE_AESTHETIC_SCORE,
                given.negative_aesthetic_score,
                default.negative_aesthetic_score,
            ),
        })
    }

    pub(crate) fn count(&mut self, field: &str, given: u32, max: u32) -> u32 {
        if given > max {
            self.add(field, Violation::OUT_OF_RANGE, format!("{given} is too many; use 1 to {max}"));
        }
        given.min(max)
    }

    /// The indices of the pictures that are drawn, ascending. Each must be in the batch and occur once.
    pub(crate) fn image_indices(&mut self, given: Vec<u32>, images: u32) -> Vec<u32> {
        const FIELD: &str = "image_indices";
        let last = images.saturating_sub(1);
        if given.len() > images as usize {
            let text = format!(
                "{} indices are too many for a batch of {images}; use each of 0 to {last} at most once",
                given.len()
            );
            self.add(FIELD, Violation::OUT_OF_RANGE, text);
            return Vec::new();
        }
        for (place, index) in given.iter().enumerate() {
            if *index >= images {
                let text = format!("the batch of {images} has no picture {index}; use 0 to {last}, or raise `images`");
                self.add(format!("{FIELD}[{place}]"), Violation::OUT_OF_RANGE, text);
            } else if given[..place].contains(index) {
                let text = format!("picture {index} is named twice; remove one of the two");
                self.add(format!("{FIELD}[{place}]"), Violation::DUPLICATE, text);
            }
        }
        let mut indices = given;
        indices.retain(|index| *index < images);
        indices.sort_unstable();
        indices.dedup();
        indices
    }

    /// Fills in the model's defaults and checks the bounds. `steps_max` is the server's own limit.
    pub(crate) fn sampling(&mut self, given: &PartialSampling, model: &ModelInfo, steps_max: u32) -> Sampling {
        let mut sampling = given.resolve(&model.sampling, model.schedules);
        model.fill_quality(&mut sampling);
        if given.steps.is_none() {
            sampling.steps = sampling.steps.min(steps_max);
        }
        sampling.steps = self.count(limits::STEPS.field, sampling.steps, steps_max);
        for fault in sampling.faults() {
            self.add(fault.field, Violation::OUT_OF_RANGE, fault.text);
        }
        if let Err(SpecError::Unsupported { field, given, supported }) = model.check_sampling(&sampling) {
            let text = format!("`{}` does not have {given}; use {supported}", model.name);
            self.add(field, Violation::OUT_OF_RANGE, text);
        }
        sampling
    }

    /// Checks the size of the record of the prompts' template.
    pub(crate) fn expansion(&mut self, given: Option<&Expansion>, bytes_max: usize) {
        let bytes = given.map_or(0, Expansion::bytes);
        if bytes > bytes_max {
            let text = format!("{bytes} bytes are too many; use at most {bytes_max}, or leave it out");
            self.add("expansion", Violation::BAD_TEXT, text);
        }
    }

    pub(crate) fn preview_edge(&mut self, given_px: u32) -> u32 {
        if given_px == 0 {
            return PreviewPolicy::MAX_EDGE_DEFAULT_PX;
        }
        let limit = limits::PREVIEW_EDGE_PX;
        if !limit.contains(given_px) {
            self.violations.push(Violation::out_of_range(limit.field, &limit, given_px));
        }
        given_px
    }
}

/// Message, position and fix of a finding in one sentence.
pub(crate) fn describe(finding: &Diagnostic) -> String {
    let place = format!("{} (line {}, column {})", finding.message, finding.start.line, finding.start.column);
    match &finding.fix {
        Some(fix) => format!("{place}; {}", fix.description),
        None => place,
    }
}
