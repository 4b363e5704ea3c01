//! Settings of other programs, such as `Seed: 12`: their names, and what the values of each look like.
//!
//! A setting is one of a list of names with a value that fits it, so that `Performance: on a stage` stays a part of the
//! text. It is written as `Seed: 12`, as `Seed 12`, or with its value on the next line.

/// What the value of a setting looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// `7.5`, `-1`
    Number,
    /// `832x1216`, `(1152, 896)`, `16:9`
    Size,
    /// `DPM++ 2M Karras`
    Sampler,
    /// `['Fooocus V2']`
    List,
    /// `Speed`, as Fooocus has it
    Performance,
    /// Anything behind a colon.
    Any,
}

/// The settings, in lower case with blanks for `_`.
const SETTINGS: &[(&str, Value)] = &[
    ("steps", Value::Number),
    ("sampling steps", Value::Number),
    ("inference steps", Value::Number),
    ("num inference steps", Value::Number),
    ("cfg", Value::Number),
    ("cfg scale", Value::Number),
    ("cfgscale", Value::Number),
    ("distilled cfg scale", Value::Number),
    ("image cfg scale", Value::Number),
    ("guidance", Value::Number),
    ("guidance scale", Value::Number),
    ("adm guidance", Value::Size),
    ("seed", Value::Number),
    ("variation seed", Value::Number),
    ("variation seed strength", Value::Number),
    ("width", Value::Number),
    ("height", Value::Number),
    ("size", Value::Size),
    ("image size", Value::Size),
    ("resolution", Value::Size),
    ("aspect ratio", Value::Size),
    ("ratio", Value::Size),
    ("clip skip", Value::Number),
    ("clipskip", Value::Number),
    ("denoising strength", Value::Number),
    ("denoise", Value::Number),
    ("hires upscale", Value::Number),
    ("hires steps", Value::Number),
    ("batch size", Value::Number),
    ("batch count", Value::Number),
    ("shift", Value::Number),
    ("ensd", Value::Number),
    ("eta", Value::Number),
    ("token merging ratio", Value::Number),
    ("sharpness", Value::Number),
    ("refiner switch", Value::Number),
    ("refiner switch at", Value::Number),
    ("adaptive cfg", Value::Number),
    ("cfg mimicking from tsnr", Value::Number),
    ("sampler", Value::Sampler),
    ("sampler name", Value::Sampler),
    ("sampling method", Value::Sampler),
    ("scheduler", Value::Sampler),
    ("schedule type", Value::Sampler),
    ("styles", Value::List),
    ("performance", Value::Performance),
    ("fooocus v2 expansion", Value::Any),
    ("model", Value::Any),
    ("model hash", Value::Any),
    ("base model", Value::Any),
    ("base model hash", Value::Any),
    ("refiner model", Value::Any),
    ("checkpoint", Value::Any),
    ("vae", Value::Any),
    ("vae hash", Value::Any),
    ("hires upscaler", Value::Any),
    ("lora hashes", Value::Any),
    ("ti hashes", Value::Any),
    ("version", Value::Any),
    ("metadata scheme", Value::Any),
    ("rng", Value::Any),
    ("hashes", Value::Any),
    ("tiling", Value::Any),
    ("refiner", Value::Any),
    ("time taken", Value::Any),
    ("freeu", Value::Any),
    ("created date", Value::Any),
    ("civitai resources", Value::Any),
    ("civitai metadata", Value::Any),
    ("步数", Value::Number),
    ("采样步数", Value::Number),
    ("迭代步数", Value::Number),
    ("种子", Value::Number),
    ("随机种子", Value::Number),
    ("提示词引导系数", Value::Number),
    ("采样器", Value::Sampler),
    ("采样方法", Value::Sampler),
    ("尺寸", Value::Size),
    ("分辨率", Value::Size),
    ("模型", Value::Any),
    ("ステップ", Value::Number),
    ("ステップ数", Value::Number),
    ("シード", Value::Number),
    ("シード値", Value::Number),
    ("サンプラー", Value::Sampler),
    ("サイズ", Value::Size),
    ("モデル", Value::Any),
    ("스텝", Value::Number),
    ("시드", Value::Number),
    ("샘플러", Value::Sampler),
    ("크기", Value::Size),
    ("모델", Value::Any),
    ("шаги", Value::Number),
    ("сид", Value::Number),
    ("сэмплер", Value::Sampler),
    ("размер", Value::Size),
    ("модель", Value::Any),
];

impl Value {
    /// Whether a text is such a value. One that stands without a colon has to be nothing else.
    pub(crate) fn fits(self, text: &str, is_alone: bool) -> bool {
        let begins_number =
            text.trim_start_matches(['-', '(', '[']).trim_start().starts_with(|digit: char| digit.is_ascii_digit());
        let is_number = || text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b','));
        // Of `seed:1.2, steps` a person knows what it is; behind `Steps: 20, Seed: 5` there are more settings.
        let has_letters = text.contains(char::is_alphabetic);
        let is_one = !text.contains(',') || text.contains(": ") || !has_letters;
        match self {
            Value::Number if is_alone => begins_number && is_number(),
            Value::Number => (begins_number && is_one) || matches!(text, "random" | "auto" | "None" | "none"),
            Value::Size => begins_number && is_one && is_extent(text) && (!is_alone || !has_letters || is_size(text)),
            Value::Sampler => !is_alone || is_sampler(text),
            Value::List => !is_alone && (text.starts_with(['[', '(']) || text.starts_with("Fooocus")),
            Value::Performance => {
                matches!(text, "Speed" | "Quality" | "Extreme Speed" | "Lightning" | "Hyper-SD" | "Hyper SD" | "LCM")
            }
            Value::Any => !is_alone && !text.is_empty(),
        }
    }
}

/// Whether a text has two numbers or nothing but one: `4k` is a word of quality.
fn is_extent(text: &str) -> bool {
    let numbers = text.split(|other: char| !other.is_ascii_digit()).filter(|number| !number.is_empty()).count();
    numbers > 1 || !text.contains(char::is_alphabetic)
}

fn is_sampler(text: &str) -> bool {
    const NAMES: &[&str] = &[
        "euler",
        "dpm",
        "ddim",
        "ddpm",
        "heun",
        "lms",
        "plms",
        "uni",
        "lcm",
        "restart",
        "karras",
        "exponential",
        "ipndm",
        "res_",
        "simple",
        "normal",
        "sgm",
        "beta",
        "automatic",
    ];
    const MOST_WORDS: usize = 5;
    let lower = text.to_ascii_lowercase();
    NAMES.iter().any(|name| lower.starts_with(name)) && lower.split_whitespace().count() <= MOST_WORDS
}

/// `832x1216`, `832 × 1216`
fn is_size(text: &str) -> bool {
    let is_side = |side: &str| (3..=5).contains(&side.len()) && side.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once(['x', 'X', '×']).is_some_and(|(width, height)| is_side(width.trim()) && is_side(height.trim()))
}

/// The kind of value that a name stands for: `CFG scale`, `cfg_scale`, `LoRA 1`.
pub(crate) fn value_of(name: &str) -> Option<Value> {
    const LONGEST: usize = 32;
    // Nearly every line ends here.
    if name.is_empty() || name.len() > LONGEST {
        return None;
    }
    let name = name.to_lowercase().replace('_', " ");
    if name.strip_prefix("lora ").is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
        return Some(Value::Any);
    }
    SETTINGS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

/// Whether a word, in lower case, is the name of a setting.
pub(crate) fn is_setting_name(name: &str) -> bool {
    value_of(name).is_some()
}

/// Whether a line is one setting: `Seed: 12`, `CFG scale 7`, `832x1216`.
pub(crate) fn is_setting(line: &str) -> bool {
    let line = line.trim().trim_start_matches(['*', '-', '#', ' ']).trim_end_matches(['*', ',']);
    if line.contains('<') {
        return false;
    }
    if let Some((name, value)) = line.split_once([':', '：']) {
        let value = value.trim_matches(['*', '_', ' ', '\t']);
        return value_of(name.trim_end_matches(['*', '_', ' '])).is_some_and(|kind| kind.fits(value, false));
    }
    // `Steps 28 | CFG 5 | Euler a`
    const FEWEST: usize = 2;
    let is_list = line.contains([',', '|']) && line.split([',', '|']).map(str::trim).take(FEWEST).all(is_bare);
    is_list || is_bare(line) || is_setting_list(line)
}

/// Whether a line is nothing but settings as programs and chats write them: `steps=30; cfg=7`, `CFG 7, 30 steps, Euler a`.
/// A count alone, as `30 steps`, may be stairs.
fn is_setting_list(line: &str) -> bool {
    const FEWEST: usize = 2;
    let is_assigned = |piece: &str| {
        let pair = piece.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
        pair.is_some_and(|(name, value)| {
            value_of(name).is_some_and(|kind| kind != Value::Any && kind.fits(value, true))
        })
    };
    let is_counted = |piece: &str| {
        let pair = piece.split_once(' ').map(|(number, name)| (number, value_of(name.trim())));
        pair.is_some_and(|(number, kind)| kind == Some(Value::Number) && Value::Number.fits(number, true))
    };
    let mut pieces = line.split([',', ';', '|']).map(str::trim).filter(|piece| !piece.is_empty()).peekable();
    if pieces.peek().is_none() {
        return false;
    }
    let (mut count, mut certain) = (0, 0);
    for piece in pieces {
        let is_certain = is_assigned(piece) || is_bare(piece);
        if !is_certain && !is_counted(piece) && !is_sampler(piece) {
            return false;
        }
        count += 1;
        certain += usize::from(is_certain);
    }
    (count == 1 && certain == 1) || (count >= FEWEST && certain >= 1)
}

/// The name of the setting that a tag or a piece of a sentence is: `steps: 30`, `sampler: Euler a`, `seed=1`.
pub(crate) fn setting_in_text(piece: &str) -> Option<&str> {
    let (name, value) = piece.split_once([':', '：', '='])?;
    let name = name.trim_matches(['*', ' ', '_']);
    // `::` is a weight.
    let kind = value_of(name).filter(|kind| *kind != Value::Any && !value.starts_with(':'))?;
    kind.fits(value.trim_matches(['*', ' ', '_']), true).then_some(name)
}

/// Whether an element of that name and content is a setting of a program: `<seed>12345</seed>`, `<steps>30</steps>`.
pub(crate) fn is_setting_element(name: &str, content: &str) -> bool {
    value_of(name).is_some_and(|kind| kind != Value::Any && kind.fits(content.trim(), true))
}

/// Whether a text is a setting without a colon: `CFG scale 7`, `832x1216`.
fn is_bare(line: &str) -> bool {
    is_size(line) || {
        // The name has up to three words.
        let blanks = line.match_indices(' ').take(3);
        blanks.into_iter().any(|(at, _)| is_pair(&line[..at], line[at..].trim()))
    }
}

/// Whether a name and a value without a colon between them are a setting.
pub(crate) fn is_pair(name: &str, value: &str) -> bool {
    value_of(name).is_some_and(|kind| kind.fits(value, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_known() {
        for line in [
            "Seed: 12",
            "**Size:** 832x1216",
            "- CFG scale: 7",
            "Sampler: Euler a",
            "cfgScale: 7",
            "Sampler DPM++ 2M",
            "Clip skip 2",
            "Styles: ['Fooocus V2']",
            "Performance: Extreme Speed",
            "Resolution: (1152, 896)",
            "LoRA 1: offset.safetensors : 0.1",
            "832x1216",
            "Steps 28 | CFG 5 | Euler a",
            "采样步数: 28",
        ] {
            assert!(is_setting(line), "{line}");
        }
        for line in [
            "1girl, solo",
            "a sign that says seed",
            "Model: <n>",
            "style: anime",
            "Performance: on a stage",
            "Resolution: highres",
            "Resolution: 4k",
            "Size: large hat",
            "Steps to the temple",
            "Seed of doubt",
            "Steps 28 | a girl",
            "Sampler platter",
            "16:9",
        ] {
            assert!(!is_setting(line), "{line}");
        }
    }

    #[test]
    fn a_tag_that_is_a_setting_is_known() {
        for (tag, name) in [
            ("steps: 30", "steps"),
            ("cfg: 7", "cfg"),
            ("seed=1", "seed"),
            ("sampler: Euler a", "sampler"),
            ("CFG scale: 7.5", "CFG scale"),
            ("size：832x1216", "size"),
            ("clip_skip: 2", "clip_skip"),
        ] {
            assert_eq!(setting_in_text(tag), Some(name), "{tag}");
        }
        for tag in [
            "seed: poppy",
            "steps::30",
            "model: a girl posing",
            "16:9",
            "size: large",
            "re:zero",
            "hat:1.2",
            "performance: 5",
        ] {
            assert_eq!(setting_in_text(tag), None, "{tag}");
        }
    }
}
