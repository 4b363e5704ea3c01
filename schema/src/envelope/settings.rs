//! Settings around a prompt: the last line of AUTOMATIC1111's program, and the pages and logs of Fooocus and Civitai.

use std::ops::Range;

use super::{Opening, markup};
use crate::checked::Envelope;
use crate::phrases;
use crate::rules::envelope_removed;
use crate::settings::{Value, is_pair, is_setting, setting_in_text, value_of};

/// Headings of the parts of a page that hold nothing but settings, in lower case.
const HEADINGS: &[&str] = &["resources used", "other metadata", "generation data"];

/// Titles above settings, in lower case.
const TITLES: &[&str] =
    &["settings", "recommended settings", "generation settings", "parameters", "generation parameters", "metadata"];

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

/// Where the settings at the end of a text begin if they end in a bracket that was opened before: `a girl [steps: 30, cfg: 7]`.
/// With other words in it, the bracket stays.
fn with_bracket(text: &str, start: usize) -> usize {
    let pairs = [('[', ']'), ('(', ')'), ('（', '）')];
    let ends_sentence = |mark: char| mark.is_whitespace() || matches!(mark, '.' | '。');
    let tail = text[start..].trim_end_matches(ends_sentence);
    let pair = pairs.into_iter().find(|(open, close)| tail.ends_with(*close) && !tail.contains(*open));
    let Some((open, close)) = pair else { return start };
    let Some(opened) = text[..start].rfind(open) else { return start };
    let inside = text[opened + open.len_utf8()..].trim_end_matches(ends_sentence).trim_end_matches(close);
    let is_setting =
        |piece: &str| piece.trim().is_empty() || setting_in_text(piece.trim()).is_some() || is_setting(piece);
    if inside.split([',', ';']).all(is_setting) { opened } else { text.len() }
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
        let start = with_bracket(text, tail_start(text));
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
    }

    #[test]
    fn the_settings_of_a_page_begin_after_the_text() {
        assert_eq!(with_bracket("a girl [steps: 30, cfg: 7]", 18), 7);
        assert_eq!(with_bracket("a girl (seed: 1234, steps: 28).", 19), 7);
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
