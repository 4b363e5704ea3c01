//! [`UncheckedRequest`]: a request as received.

use std::borrow::Cow;

use sakuga_model_core::{AdapterChoice, PartialSampling, PreviewMethod};
use sakuga_schema::{CheckOptions, Checked, NegativePrompt, Prompt, Strictness};

use super::expansion::Expansion;
use super::images::UncheckedImages;
use crate::error::Violation;
use crate::preview::PreviewFormat;

/// A request as received: 0, empty and `None` mean the default.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct UncheckedRequest {
    /// The caller's name for it.
    pub request_id: String,
    /// The prompt.
    pub prompt: Option<PromptForm>,
    /// How strictly text is read.
    pub strictness: Strictness,
    /// The negative prompt.
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
    /// Steps between two previews.
    pub preview_every_steps: u32,
    /// Least time between two previews, in milliseconds.
    pub preview_min_interval_ms: u32,
    /// Least time between two samples of the device, in milliseconds.
    pub stats_interval_ms: u32,
    /// Whether to measure where the device's time goes.
    pub profile: bool,
    /// The refiner's numbers; `None`: the model draws alone.
    pub refiner: Option<UncheckedRefiner>,
    /// The template that the prompts were made from.
    pub expansion: Option<Expansion>,
    /// The adapters that were found for it.
    pub adapters: Vec<AdapterChoice>,
    /// Faults that were found while the message was read.
    pub faults: Vec<Violation>,
}

/// The numbers of a refiner, as received; `None`: the default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct UncheckedRefiner {
    /// The share of the training times that the model itself computes.
    pub switch_at: Option<f32>,
    pub aesthetic_score: Option<f32>,
    pub negative_aesthetic_score: Option<f32>,
}

/// A prompt as received.
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

/// A negative prompt as received.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NegativeForm {
    Text(String),
    Typed(Box<NegativePrompt>),
}

impl NegativeForm {
    /// The text that positions are those of: a typed prompt's is its canonical XML.
    pub(super) fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Typed(negative) => Cow::Owned(negative.to_xml()),
        }
    }
}
