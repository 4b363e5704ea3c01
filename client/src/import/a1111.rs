//! The text that AUTOMATIC1111's web UI and its relatives write: prompt, `Negative prompt:`, and one line of settings.

use super::reason;
use super::second_pass::Second;
use super::settings::Settings;

const NEGATIVE: &str = "Negative prompt:";

/// Settings that say something about the program or repeat another one.
const SILENT: &[&str] = &["Version", "Model hash", "VAE hash", "Lora hashes", "TI hashes", "Hashes", "NGMS", "RNG"];

/// The settings; `None` if the text has neither a line of settings nor a negative prompt.
pub(super) fn read(text: &str) -> Option<Settings> {
    let lines: Vec<&str> = text.lines().collect();
    // The line of settings is the last one; newer versions break it, for example before hashes of templates.
    let line = lines.iter().rposition(|line| line.trim_start().starts_with("Steps:"));
    let (head, line) = match line {
        Some(at) => (&lines[..at], lines[at..].join(", ")),
        None => (&lines[..], String::new()),
    };
    let negative = head.iter().position(|line| line.trim_start().starts_with(NEGATIVE));
    if line.is_empty() && negative.is_none() {
        return None;
    }
    let mut settings = Settings::default();
    let end = negative.unwrap_or(head.len());
    settings.prompt = head[..end].join("\n");
    if let Some(at) = negative {
        let text = head[at..].join("\n");
        settings.negative = text.trim_start().trim_start_matches(NEGATIVE).trim().to_owned();
    }
    let mut pairs = pairs(&line);
    settings.second = second_pass(&mut pairs);
    for (key, value) in pairs {
        set(&mut settings, &key, &value);
    }
    Some(settings)
}

/// Takes the settings of the second pass, "hires. fix". If there is one, the denoising strength is its own.
fn second_pass(pairs: &mut Vec<(String, String)>) -> Option<Second> {
    let mut take = |key: &str| {
        let at = pairs.iter().position(|(found, _)| found == key)?;
        Some(pairs.remove(at).1)
    };
    let upscale = take("Hires upscale")?;
    Some(Second {
        factor: upscale.parse().unwrap_or(f64::NAN),
        strength: take("Denoising strength").and_then(|strength| strength.parse().ok()),
        // 0: as many as the first pass.
        steps: take("Hires steps").and_then(|steps| steps.parse().ok()).filter(|steps| *steps > 0),
        upscaler: take("Hires upscaler").unwrap_or_default(),
    })
}

fn set(settings: &mut Settings, key: &str, value: &str) {
    match key {
        "Steps" => settings.steps = value.parse().ok(),
        "Sampler" => settings.sampler = Some(value.to_owned()),
        "CFG scale" => settings.guidance_scale = value.parse().ok(),
        "Seed" => settings.seed = value.parse().ok(),
        "Size" => {
            let (width, height) = value.split_once('x').unwrap_or_default();
            (settings.width, settings.height) = (width.trim().parse().ok(), height.trim().parse().ok());
        }
        "Model" => settings.leave_out(key, value, reason::OTHER_MODEL),
        "Schedule type" => settings.schedule = Some(value.to_owned()),
        "Clip skip" => settings.leave_out(key, value, reason::NO_CLIP_SKIP),
        _ if SILENT.contains(&key) => {}
        "Denoising strength" => settings.leave_out(key, value, reason::NO_INIT_IMAGE),
        "Mask blur" => settings.leave_out(key, value, reason::NO_MASK),
        _ => settings.leave_out(key, value, reason::NO_COUNTERPART),
    }
}

/// `Key: value, Key: "value, with comma", …`
fn pairs(line: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = line;
    while let Some((key, behind)) = rest.split_once(':') {
        let behind = behind.trim_start();
        let (value, next) = match behind.strip_prefix('"') {
            Some(quoted) => match closing_quote(quoted) {
                Some(end) => (&quoted[..end], quoted[end + 1..].split_once(',').map_or("", |(_, next)| next)),
                None => (quoted, ""),
            },
            None => behind.split_once(',').unwrap_or((behind, "")),
        };
        let key = key.trim_start_matches([',', ' ']).trim();
        if !key.is_empty() {
            pairs.push((key.to_owned(), value.trim().to_owned()));
        }
        rest = next;
    }
    pairs
}

/// The first quotation mark without a backslash in front.
fn closing_quote(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (0..bytes.len()).find(|at| bytes[*at] == b'"' && (*at == 0 || bytes[at - 1] != b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_values_may_hold_commas_and_colons() {
        let found = pairs(r#"Steps: 20, Lora hashes: "a: 1, b: 2", Size: 512x768, Version: v1.9"#);
        let expected = [("Steps", "20"), ("Lora hashes", "a: 1, b: 2"), ("Size", "512x768"), ("Version", "v1.9")];
        assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_text_without_settings_is_not_taken() {
        assert_eq!(read("a fox in the snow"), None);
        assert_eq!(read(""), None);
        assert!(read("1girl\nNegative prompt: lowres").is_some());
    }
}
