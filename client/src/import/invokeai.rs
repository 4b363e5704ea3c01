//! The metadata of InvokeAI: JSON under `invokeai_metadata`, before version 3 under `sd-metadata`.

use serde_json::{Map, Value};

use super::json_value::{number, shown, text, whole};
use super::settings::Settings;
use super::{ImportError, Program, reason};

/// Reads either form.
pub(super) fn read(metadata: &str) -> Result<Settings, ImportError> {
    let value: Value =
        serde_json::from_str(metadata).map_err(|error| ImportError::unreadable(Program::InvokeAi, error))?;
    let Value::Object(object) = &value else {
        return Err(ImportError::unreadable(Program::InvokeAi, "it is not a JSON object"));
    };
    match object.get("image").and_then(Value::as_object) {
        Some(image) => Ok(before_version_3(object, image)),
        None => Ok(since_version_3(object)),
    }
}

fn since_version_3(object: &Map<String, Value>) -> Settings {
    let mut settings =
        Settings { prompt: text(object.get("positive_prompt")).to_owned(), ..common(object, "scheduler") };
    settings.negative = text(object.get("negative_prompt")).to_owned();
    if let Some(model) = object.get("model") {
        let name = model.get("name").or_else(|| model.get("model_name")).map(shown).unwrap_or_default();
        settings.leave_out("model", name, reason::OTHER_MODEL);
    }
    for adapter in object.get("loras").and_then(Value::as_array).into_iter().flatten() {
        let name = adapter.pointer("/model/name").or_else(|| adapter.pointer("/lora/model_name"));
        let name = name.map(shown).unwrap_or_default();
        settings.leave_out("lora", name, reason::OTHER_ADAPTER);
    }
    for (key, reason) in [
        ("positive_style_prompt", "this model has one prompt for all encoders"),
        ("negative_style_prompt", "this model has one negative prompt for all encoders"),
        ("controlnets", reason::NO_COUNTERPART),
        ("ipAdapters", reason::NO_COUNTERPART),
        ("t2iAdapters", reason::NO_COUNTERPART),
        ("init_image", reason::NO_COUNTERPART),
        ("strength", reason::NO_COUNTERPART),
        ("clip_skip", reason::NO_CLIP_SKIP),
    ] {
        let value = object.get(key).filter(|value| !value.is_null() && **value != 0);
        let value = value.filter(|value| value.as_array().is_none_or(|list| !list.is_empty()));
        if let Some(value) = value {
            settings.leave_out(key, shown(value), reason);
        }
    }
    settings
}

fn before_version_3(object: &Map<String, Value>, image: &Map<String, Value>) -> Settings {
    let prompt = match image.get("prompt") {
        Some(Value::Array(parts)) => text(parts.first().and_then(|part| part.get("prompt"))),
        other => text(other),
    };
    let mut settings = common(image, "sampler");
    (settings.prompt, settings.negative) = split_negative(prompt);
    let model = object.get("model_weights").map(shown).unwrap_or_default();
    settings.leave_out("model", model, reason::OTHER_MODEL);
    settings
}

fn common(object: &Map<String, Value>, sampler: &str) -> Settings {
    Settings {
        steps: whole(object.get("steps")),
        guidance_scale: number(object.get("cfg_scale")),
        sampler: object.get(sampler).and_then(Value::as_str).map(str::to_owned),
        seed: whole(object.get("seed")),
        width: whole(object.get("width")),
        height: whole(object.get("height")),
        ..Settings::default()
    }
}

/// Old versions write the unwanted in square brackets.
fn split_negative(prompt: &str) -> (String, String) {
    let (mut wanted, mut unwanted) = (String::new(), Vec::new());
    let mut rest = prompt;
    while let Some((before, behind)) = rest.split_once('[') {
        let Some((inside, after)) = behind.split_once(']') else { break };
        wanted.push_str(before);
        unwanted.push(inside.trim());
        rest = after;
    }
    wanted.push_str(rest);
    (wanted.trim().trim_end_matches(',').to_owned(), unwanted.join(", "))
}
