//! How much longer the steps of a `tokenizer.json` can make a text: a chain of replacements can turn one character into
//! gigabytes.

use serde::Deserialize;
use serde_json::Value;
use tokenizers::{NormalizedString, Normalizer as _, Tokenizer};

/// The most that all steps together may expand a text. Published files make it up to three times as long, where a blank
/// becomes `▁`.
const GROWTH_MAX: u64 = 64;
/// Most bytes that one character may become.
const CHARACTER_BYTES_MAX: usize = 64;

/// The parts of the file that rewrite a text.
#[derive(Deserialize)]
struct Steps {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
}

/// Refuses a file whose replacements expand a text too much. A file that is not JSON is left to the tokenizer's own reader.
pub(super) fn check_steps(file: &[u8]) -> Result<(), String> {
    let Ok(Steps { normalizer, pre_tokenizer }) = serde_json::from_slice(file) else { return Ok(()) };
    let times = growth(&normalizer).saturating_mul(growth(&pre_tokenizer));
    if times <= GROWTH_MAX {
        return Ok(());
    }
    Err(format!("its replacements can make a text {times} times as long, and {GROWTH_MAX} times is the most"))
}

/// How many times as long a step can make a text.
fn growth(step: &Value) -> u64 {
    let all = |list: &Value| {
        let steps = list.as_array().into_iter().flatten();
        steps.map(growth).fold(1, u64::saturating_mul)
    };
    match step["type"].as_str() {
        Some("Sequence") => all(&step["normalizers"]).saturating_mul(all(&step["pretokenizers"])),
        Some("Replace") => {
            let content = step["content"].as_str().map_or(0, str::len) as u64;
            // What a regular expression matches may be one byte.
            let pattern = step["pattern"]["String"].as_str().map_or(1, |pattern| pattern.len().max(1)) as u64;
            content.div_ceil(pattern).max(1)
        }
        _ => 1,
    }
}

/// Refuses a tokenizer that makes a single character very long, which a compiled table of characters can do.
pub(super) fn check_characters(tokenizer: &Tokenizer) -> Result<(), String> {
    let Some(normalizer) = tokenizer.get_normalizer() else { return Ok(()) };
    for character in ('\0'..='\u{ffff}').filter(|character| !character.is_control()) {
        let mut text = NormalizedString::from(character.to_string());
        normalizer.normalize(&mut text).map_err(|error| format!("it cannot rewrite {character:?}: {error}"))?;
        let bytes = text.get().len();
        if bytes > CHARACTER_BYTES_MAX {
            return Err(format!("it makes {bytes} bytes of {character:?}, and {CHARACTER_BYTES_MAX} is the most"));
        }
    }
    Ok(())
}
