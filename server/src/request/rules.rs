//! [`RequestRules`]: what requests for one model are checked against, and the form in which it reads prompts.

use sakuga_model_core::{ModelInfo, PromptText, TokenCounter};
use sakuga_schema::{CheckOptions, Diagnostic, NegativePrompt, Prompt, Strictness};

use super::images::{NoUploads, Uploads};
use crate::limits::Limits;
use crate::models::ServedModel;

/// Findings about syntax that is valid for models that read tags.
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
    /// The rules of a model for requests without uploaded assets.
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

    /// Whether a finding applies to the model: weights and escaped brackets are valid for one that reads tags.
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
