//! Settings of other programs: the last line of AUTOMATIC1111's program, and the pages and logs of Fooocus and Civitai.
//!
//! A setting is one of a list of names with a value that fits it, so that `Performance: on a stage` stays a part of the
//! text. It is written as `Seed: 12`, as `Seed 12`, or with its value on the next line.

use std::ops::Range;

use super::{Opening, markup};
use crate::checked::Envelope;
use crate::phrases;
use crate::rules::envelope_removed;

/// What the value of a setting looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
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

/// Headings of the parts of a page that hold nothing but settings, in lower case.
const HEADINGS: &[&str] = &["resources used", "other metadata", "generation data"];

/// Titles above settings, in lower case.
const TITLES: &[&str] =
    &["settings", "recommended settings", "generation settings", "parameters", "generation parameters", "metadata"];

impl Value {
    /// Whether a text is such a value. One that stands without a colon has to be nothing else.
    fn fits(self, text: &str, is_alone: bool) -> bool {
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
fn value_of(name: &str) -> Option<Value> {
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
pub(super) fn is_setting_name(name: &str) -> bool {
    value_of(name).is_some()
}

/// Whether a line is one setting: `Seed: 12`, `CFG scale 7`, `832x1216`.
pub(super) fn is_setting(line: &str) -> bool {
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
fn is_pair(name: &str, value: &str) -> bool {
    value_of(name).is_some_and(|kind| kind.fits(value, true))
}

/// Where the settings at the end of a text begin; its length if it has none.
fn tail_start(text: &str) -> usize {
    let line_start = |text: &str| text.rfind('\n').map_or(0, |newline| newline + 1);
    let mut end = part_start(text).unwrap_or(text.len());
    loop {
        let kept = text[..end].trim_end();
        let start = line_start(kept);
        let line = &kept[start..];
        if kept.is_empty() {
            return end;
        }
        let is_heading = || {
            let title = line.trim_matches(['*', '#', ':', '_', ' ', '\t']).to_ascii_lowercase();
            end < text.len() && HEADINGS.iter().chain(TITLES).any(|known| *known == title)
        };
        if is_setting(line) || is_heading() {
            end = start;
            continue;
        }
        let before = kept[..start].trim_end();
        let name = line_start(before);
        if !before.is_empty() && is_pair(before[name..].trim(), line.trim()) {
            end = name;
            continue;
        }
        // `bad hands, CFG scale: 7, Seed: 5`
        return inline_start(line).map_or(end, |at| start + at);
    }
}

/// Where a part of a page with nothing but settings begins, if no label follows it.
fn part_start(text: &str) -> Option<usize> {
    let mut at = 0;
    let mut found = None;
    for line in text.split_inclusive('\n') {
        let is_heading = HEADINGS.iter().any(|heading| line.trim().eq_ignore_ascii_case(heading));
        match found {
            None if is_heading && at > 0 => found = Some(at),
            Some(_) if line.contains('<') || phrases::heading(line.trim_end()).is_some() => return None,
            _ => {}
        }
        at += line.len();
    }
    found
}

/// Where the settings at the end of a line begin, with the comma or the blank before them.
fn inline_start(line: &str) -> Option<usize> {
    const MOST: usize = 24;
    if line.contains('<') || !line.contains(": ") {
        return None;
    }
    let mut end = line.len();
    let mut is_sure = false;
    for _ in 0..MOST {
        let Some((start, kind)) = last_setting(&line[..end]) else { break };
        is_sure |= kind != Value::Any;
        end = start;
    }
    (is_sure && end < line.len()).then_some(end)
}

/// The setting at the end of a line, behind a comma or other words: `1girl, Seed: 5`, `lowres Steps: 20`.
fn last_setting(line: &str) -> Option<(usize, Value)> {
    const MOST_WORDS: usize = 4;
    let comma = line.rfind(',').map_or(0, |comma| comma + 1);
    let (head, value) = line[comma..].rsplit_once(": ")?;
    let blanks = head.rmatch_indices(' ').map(|(blank, _)| blank + 1).take(MOST_WORDS);
    // The longest name is meant: `CFG scale`, not `scale`.
    let found = blanks.chain([0]).filter_map(|at| Some((at, value_of(head[at..].trim())?))).last();
    let (at, kind) = found.filter(|(_, kind)| kind.fits(value.trim(), *kind == Value::Sampler))?;
    let start = comma + at;
    let is_behind_comma = line[comma..start].trim().is_empty();
    // What may be anything is a setting only after a comma.
    let is_clear = is_behind_comma || kind != Value::Any;
    let kept = if is_behind_comma { comma.saturating_sub(1) } else { line[..start].trim_end().len() };
    (is_clear && kept > 0).then_some((kept, kind))
}

impl Opening<'_, '_> {
    /// A range without the settings at its end, which are reported.
    pub(super) fn without_settings(&mut self, range: Range<usize>) -> Range<usize> {
        let text = &self.source.text[range.clone()];
        let start = tail_start(text);
        let settings = self.trimmed(range.start + start..range.end);
        if settings.is_empty() || markup::open_elements(&text[..start]) > 0 {
            return range;
        }
        let written = self.source.text[settings.clone()].trim_start_matches([',', ' ']);
        self.report(envelope_removed::settings(settings.clone(), written));
        self.envelope.get_or_insert(Envelope::Infotext);
        range.start..settings.start
    }
}

/// Where the settings of AUTOMATIC1111's program begin in a line, which may have lost its line breaks.
pub(super) fn infotext_start(line: &str) -> Option<usize> {
    let is_word = |at: &usize| !line[..*at].ends_with(|before: char| before.is_alphanumeric());
    // Each look goes through the rest of the line.
    const LOOKS_MAX: usize = 8;
    let places = line.match_indices("Steps:").map(|(at, _)| at).filter(is_word).take(LOOKS_MAX);
    let found = places.into_iter().find(|at| is_infotext(&line[*at..]))?;
    Some(line[..found].trim_end_matches([',', ' ']).len())
}

/// Where a line of settings begins.
pub(super) fn settings_start(text: &str) -> Option<usize> {
    let lines = [0].into_iter().chain(text.match_indices('\n').map(|(at, _)| at + 1));
    lines.into_iter().find(|at| is_infotext(&text[*at..]))
}

/// Whether a text begins with the settings that AUTOMATIC1111's program and its kin write after a prompt.
fn is_infotext(text: &str) -> bool {
    const OTHERS: &[&str] = &["Sampler:", "CFG scale:", "Seed:", "Size:", "Model:", "Model hash:", "Schedule type:"];
    let line = text.lines().next().unwrap_or_default();
    let behind = line.trim_start().strip_prefix("Steps:").map(str::trim_start);
    behind.is_some_and(|behind| behind.starts_with(|digit: char| digit.is_ascii_digit()))
        && OTHERS.iter().any(|other| line.contains(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_known() {
        assert!(is_infotext("Steps: 24, Sampler: DPM++ 2M Karras, CFG scale: 6\nmore"));
        assert!(!is_infotext("Steps: up and down, night"));
        assert_eq!(infotext_start("1girl, solo Steps: 24, Sampler: Euler a, Seed: 1"), Some(11));
        assert_eq!(infotext_start("1girl, Steps: 24, Sampler: Euler a, Seed: 1"), Some(5));
        assert_eq!(infotext_start("footSteps: 24, Seed: 1"), None);
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
    fn the_settings_of_a_page_begin_after_the_text() {
        for (text, kept) in [
            ("bad hands\nSampler\nDPM++ 2M\nCFG scale\n7\nSeed\n12", "bad hands"),
            ("bad hands\nResources used\nDreamShaper\nCHECKPOINT\n8", "bad hands"),
            ("bad hands\nOther metadata\nSeed\n12", "bad hands"),
            ("bad hands, CFG scale: 7, Model: x, Seed: 5", "bad hands"),
            ("bad hands\nPerformance\non a stage", "bad hands\nPerformance\non a stage"),
            ("bad hands, scale: 7", "bad hands, scale: 7"),
            ("lowres Steps: 20", "lowres"),
            ("lowres Steps: 20 Sampler: Euler a CFG scale: 7", "lowres"),
            ("a girl: she has seeds", "a girl: she has seeds"),
            ("seed:1.2, steps", "seed:1.2, steps"),
        ] {
            assert_eq!(text[..tail_start(text)].trim_end(), kept, "{text}");
        }
    }
}
