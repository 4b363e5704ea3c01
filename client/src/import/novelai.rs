//! The comment of NovelAI's pictures: JSON. From version 4 on each character has a prompt and a place.

use serde_json::Value;

use super::json_value::{number, shown, text, whole};
use super::settings::Settings;
use super::{ImportError, Program, reason};

/// Keys that change nothing a request could express, or that repeat another key.
const SILENT: &[&str] = &[
    "prompt",
    "uc",
    "steps",
    "scale",
    "seed",
    "sampler",
    "width",
    "height",
    "v4_prompt",
    "v4_negative_prompt",
    "n_samples",
    "signed_hash",
    "request_type",
    "version",
    "legacy",
    "legacy_v3_extend",
    "hide_debug_overlay",
    "lora_unet_weights",
    "lora_clip_weights",
    "uncond_scale",
    "cfg_sched_eligibility",
    "explike_fine_detail",
    "minimize_sigma_inf",
    "uncond_per_vibe",
    "wonky_vibe_correlation",
    "prefer_brownian",
    "deliberate_euler_ancestral_bug",
    "stream",
    "controlnet_strength",
    "controlnet_model",
    "dynamic_thresholding_percentile",
    "dynamic_thresholding_mimic_scale",
];

/// Settings from the JSON in the PNG's `Comment`. An error if it is not a JSON object.
pub(super) fn read(comment: &str) -> Result<Settings, ImportError> {
    let value: Value =
        serde_json::from_str(comment).map_err(|error| ImportError::unreadable(Program::NovelAi, error))?;
    let Value::Object(object) = &value else {
        return Err(ImportError::unreadable(Program::NovelAi, "it is not a JSON object"));
    };
    let mut settings = Settings {
        prompt: text(object.get("prompt")).to_owned(),
        negative: text(object.get("uc")).to_owned(),
        steps: whole(object.get("steps")),
        guidance_scale: number(object.get("scale")),
        sampler: object.get("sampler").and_then(Value::as_str).map(str::to_owned),
        seed: whole(object.get("seed")),
        width: whole(object.get("width")),
        height: whole(object.get("height")),
        ..Settings::default()
    };
    if let Some(caption) = value.pointer("/v4_prompt/caption") {
        let base = text(caption.get("base_caption"));
        if !base.is_empty() {
            settings.prompt = base.to_owned();
        }
        settings.characters = characters(caption);
    }
    if let Some(caption) = value.pointer("/v4_negative_prompt/caption") {
        let base = text(caption.get("base_caption"));
        if !base.is_empty() {
            settings.negative = base.to_owned();
        }
        for (negative, _) in characters(caption) {
            settings.leave_out(
                "negative of a character",
                negative,
                "a request has one negative prompt for the picture",
            );
        }
    }
    for (key, value) in object {
        let is_off = matches!(value, Value::Null | Value::Bool(false)) || value == 0 || value.as_f64() == Some(0.0);
        let is_empty = value.as_array().is_some_and(Vec::is_empty) || value.as_str().is_some_and(str::is_empty);
        if !is_off && !is_empty && !SILENT.contains(&key.as_str()) {
            settings.leave_out(key, shown(value), reason::NO_COUNTERPART);
        }
    }
    Ok(settings)
}

fn characters(caption: &Value) -> Vec<(String, Option<&'static str>)> {
    let list = caption.get("char_captions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let one = |character: &Value| {
        let prompt = text(character.get("char_caption")).trim().to_owned();
        // A character at the centre of the picture was not placed by hand.
        let x = number(character.pointer("/centers/0/x"));
        let place = match x {
            Some(x) if x < 0.2 => Some("left"),
            Some(x) if x < 0.45 => Some("center_left"),
            Some(x) if x > 0.8 => Some("right"),
            Some(x) if x > 0.55 => Some("center_right"),
            _ => None,
        };
        (!prompt.is_empty()).then_some((prompt, place))
    };
    list.iter().filter_map(one).collect()
}
