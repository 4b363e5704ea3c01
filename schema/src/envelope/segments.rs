//! Labels and settings at the ends of lines: `Positive prompt:`, `Negative prompt:`, `Steps: 20, Sampler: …`.

use std::ops::Range;

use super::{Document, Opening, Stop, markup};
use crate::checked::Envelope;
use crate::phrases::{self, Label};
use crate::rules::{envelope_removed, negative_split};

/// Where a part of the text begins.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    /// The label; `None` for settings, which have none.
    label: Option<Label>,
    /// The label with its colon.
    span: Range<usize>,
}

impl Opening<'_, '_> {
    /// Splits the text at its labels: into the prompt, the negative prompt, and settings, which are left out.
    pub(super) fn split_segments(&mut self) -> Result<(), Stop> {
        self.cut_settings();
        let window = self.window.clone();
        let marks = self.marks();
        if marks.is_empty() {
            return Ok(());
        }
        self.envelope.get_or_insert(Envelope::Infotext);
        let ends = marks.iter().skip(1).map(|mark| mark.span.start).chain([window.end]);
        let mut segments: Vec<(Mark, Range<usize>)> =
            marks.iter().cloned().zip(ends).map(|(mark, end)| (mark.clone(), mark.span.end..end)).collect();
        let head = self.trimmed(window.start..marks[0].span.start);
        for (_, settings) in segments.iter().filter(|(mark, _)| mark.label.is_none()) {
            let settings = self.trimmed(settings.clone());
            self.report(envelope_removed::settings(settings.clone(), &self.source.text[settings]));
        }
        segments.retain(|(mark, _)| mark.label.is_some());
        if segments.is_empty() {
            self.window = head;
            return Ok(());
        }
        match self.document {
            Document::Prompt => self.take_segments(head, segments),
            Document::Negative => self.take_negative_segments(head, &segments),
        }
    }

    fn take_segments(&mut self, head: Range<usize>, segments: Vec<(Mark, Range<usize>)>) -> Result<(), Stop> {
        let mut prompt = (!head.is_empty()).then(|| head.clone());
        let is_labelled = segments.iter().any(|(mark, _)| mark.label == Some(Label::Prompt));
        for (mark, content) in segments {
            match mark.label {
                Some(Label::Negative) => self.take_negative(content, mark.span)?,
                None => {}
                Some(Label::Prompt) if prompt.is_none() => {
                    self.report(envelope_removed::label(mark.span.clone(), &self.source.text[mark.span]));
                    prompt = Some(content);
                }
                Some(Label::Prompt)
                    if prompt.as_ref() == Some(&head) && !self.is_block(&head) && !self.is_tags(&head) =>
                {
                    self.report(envelope_removed::talk(head.clone(), &self.source.text[head.clone()]));
                    self.report(envelope_removed::label(mark.span.clone(), &self.source.text[mark.span]));
                    prompt = Some(content);
                }
                Some(Label::Prompt) => {
                    self.report(envelope_removed::several_prompts(mark.span));
                    return Err(Stop);
                }
            }
        }
        let prompt = self.trimmed(prompt.unwrap_or(head));
        let prompt = if is_labelled || self.negative.is_some() { self.without_divider(prompt) } else { prompt };
        if prompt.is_empty()
            && let Some(negative) = self.negative.clone()
        {
            self.report(negative_split::alone(negative));
            return Err(Stop);
        }
        self.window = prompt;
        Ok(())
    }

    /// In a negative prompt the one label at its beginning is left out; any other says that there is more in the file.
    fn take_negative_segments(&mut self, head: Range<usize>, segments: &[(Mark, Range<usize>)]) -> Result<(), Stop> {
        match segments {
            [(mark, content)] if mark.label == Some(Label::Negative) && head.is_empty() => {
                self.report(envelope_removed::label(mark.span.clone(), &self.source.text[mark.span.clone()]));
                self.window = content.clone();
                Ok(())
            }
            _ => {
                let place = segments.last().map_or(head, |(mark, _)| mark.span.clone());
                self.report(negative_split::prompt_in_negative(place));
                Err(Stop)
            }
        }
    }

    /// Whether a text in front of a label is a list of tags, and so perhaps a prompt of its own.
    fn is_tags(&self, range: &Range<usize>) -> bool {
        let text = &self.source.text[range.clone()];
        let has_mark = text.contains([',', '，', '、', '_']) || text.starts_with(|first: char| first.is_ascii_digit());
        has_mark && !text.contains([':', '：']) && !phrases::is_sentence(text) && !phrases::is_talk(text)
    }

    /// The range without what divides it from the negative prompt: a bar, a rule of dashes.
    fn without_divider(&self, range: Range<usize>) -> Range<usize> {
        let text = &self.source.text[range.clone()];
        let kept = text.trim_end_matches(['|', '｜', '=', '-', '–', '—', '/', '~', '*', ';', ' ', '\t', '\r', '\n']);
        let divider = &text[kept.len()..];
        let is_divider = divider.trim().starts_with(['|', '｜', ';'])
            || divider.trim_start().starts_with("//")
            || divider.lines().any(|line| is_rule(line.trim()));
        if is_divider { range.start..range.start + kept.len() } else { range }
    }

    fn is_block(&self, range: &Range<usize>) -> bool {
        markup::first_tag(&self.source.text[range.clone()]).is_some()
    }

    /// The labels at the beginnings of lines, outside of all elements.
    fn marks(&self) -> Vec<Mark> {
        const MOST: usize = 16;
        let text = self.left();
        // Nearly every prompt ends here: a label has a colon or is set off, `：` and `【` begin with the last two bytes.
        let may_hold_one =
            text.bytes().any(|byte| matches!(byte, b':' | b'=' | b'#' | b'*' | b'[' | b'\t' | 0xEF | 0xE3));
        let has_words = || {
            [" - ", " – ", " — ", "--n", "--uc ", "---", "//", "rompt\n", "ROMPT\n", "egative\n", "EGATIVE\n"]
                .iter()
                .chain(&["arameters\n", "词\n", "詞\n", "ト\n", " | ", ")\n", "rompt  ", "ROMPT  "])
                .any(|mark| text.contains(mark))
        };
        if !may_hold_one && !has_words() {
            return Vec::new();
        }
        let mut marks = Vec::new();
        let mut depth = markup::Depth::default();
        let comments = markup::comments(text);
        let is_in_comment = |at: usize| comments.iter().any(|comment| comment.contains(&at));
        let mut is_written = false;
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            let span = at..at + line.len();
            at = span.end;
            // Behind the last tag of the line: `</general_tags> Negative prompt: lowres`.
            let behind_tag = line.rfind('>').filter(|_| line.contains('<')).map_or(0, |close| close + 1);
            let found = (behind_tag > 0).then(|| mark(&line[behind_tag..], span.start + behind_tag)).flatten();
            let found = found.or_else(|| mark(line, span.start));
            let settings = infotext_start(line).map(|at| Mark { label: None, span: span.start + at..span.start + at });
            for mark in found.into_iter().chain(no_parameter(line, span.start)).chain(settings) {
                // A sign in the picture may bear everyday words.
                let is_writing = is_written && phrases::is_everyday(&text[mark.span.clone()]);
                if depth.at(text, mark.span.start) == 0 && !is_writing && !is_in_comment(mark.span.start) {
                    let shift = self.window.start;
                    marks.push(Mark { span: mark.span.start + shift..mark.span.end + shift, ..mark });
                }
            }
            if marks.len() >= MOST {
                break;
            }
            if !line.trim().is_empty() {
                is_written = phrases::announces_writing(line);
            }
        }
        marks.sort_by_key(|mark: &Mark| mark.span.start);
        let mut end = 0;
        marks.retain(|mark| {
            let is_free = mark.span.start >= end;
            end = end.max(mark.span.end);
            is_free
        });
        marks
    }

    /// Cuts off settings on lines of their own at the end.
    fn cut_settings(&mut self) {
        let text = self.left();
        let mut end = text.len();
        loop {
            let kept = text[..end].trim_end();
            let line = kept.rfind('\n').map_or(0, |newline| newline + 1);
            if kept.is_empty() || !is_setting(&kept[line..]) {
                break;
            }
            end = line;
        }
        let settings = self.trimmed(self.window.start + end..self.window.end);
        if settings.is_empty() || markup::open_elements(&text[..end]) > 0 {
            return;
        }
        self.report(envelope_removed::settings(settings.clone(), &self.source.text[settings.clone()]));
        self.envelope.get_or_insert(Envelope::Infotext);
        self.window.end = settings.start;
    }
}

fn mark(line: &str, start: usize) -> Option<Mark> {
    let trimmed = line.trim_end();
    if let Some((label, end)) = phrases::heading(trimmed) {
        let begin = line.len() - line.trim_start().len();
        return Some(Mark { label: Some(label), span: start + begin..start + end });
    }
    // Of `(negative: lowres)` half a bracket would be left on each side; as a part of the text it is an error.
    let is_bracketed = |label: &Range<usize>| trimmed[..label.start].trim_end().ends_with(['(', '[', '{', '（', '【']);
    let inline = phrases::inline_negative(trimmed).filter(|label| !is_bracketed(label))?;
    Some(Mark { label: Some(Label::Negative), span: start + inline.start..start + inline.end })
}

/// `--no hands`, as Midjourney writes a negative prompt, and the options of other programs.
fn no_parameter(line: &str, start: usize) -> Option<Mark> {
    const NAMES: &[&str] =
        &["--no ", "--neg ", "--negative ", "--negative-prompt ", "--negative_prompt ", "--uc ", "--not "];
    let is_start = |at: &usize| line[..*at].is_empty() || line[..*at].ends_with([' ', '\t']);
    let name_at = |at: usize| NAMES.iter().find(|name| line[at..].starts_with(**name)).map(|name| at..at + name.len());
    let span = line.match_indices("--").map(|(at, _)| at).filter(is_start).find_map(name_at)?;
    Some(Mark { label: Some(Label::Negative), span: start + span.start..start + span.end })
}

/// Where the settings of AUTOMATIC1111's program begin in a line, which may have lost its line breaks.
fn infotext_start(line: &str) -> Option<usize> {
    let is_word = |at: &usize| !line[..*at].ends_with(|before: char| before.is_alphanumeric());
    // Each look goes through the rest of the line.
    const LOOKS_MAX: usize = 8;
    let places = line.match_indices("Steps:").map(|(at, _)| at).filter(is_word).take(LOOKS_MAX);
    places.into_iter().find(|at| is_infotext(&line[*at..]))
}

/// Whether a line is a rule of dashes or the like.
fn is_rule(line: &str) -> bool {
    line.len() >= 3 && line.trim_matches(['-', '=', '*', '~', '_']).is_empty()
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

/// Whether a word, in lower case, is the name of a setting.
pub(super) fn is_setting_name(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "steps",
        "sampler",
        "sampling method",
        "sampling steps",
        "scheduler",
        "schedule type",
        "cfg",
        "cfg scale",
        "guidance",
        "guidance scale",
        "seed",
        "size",
        "width",
        "height",
        "aspect ratio",
        "ratio",
        "model",
        "model hash",
        "checkpoint",
        "vae",
        "vae hash",
        "clip skip",
        "denoising strength",
        "denoise",
        "hires upscale",
        "hires steps",
        "hires upscaler",
        "lora hashes",
        "ti hashes",
        "version",
        "batch size",
        "shift",
        "ensd",
        "eta",
        "rng",
        "hashes",
        "tiling",
        "refiner",
        "variation seed",
        "token merging ratio",
        "time taken",
    ];
    NAMES.contains(&name)
}

/// Whether a line is one setting: `Seed: 12`, `Size: 832x1216`.
fn is_setting(line: &str) -> bool {
    let line = line.trim().trim_start_matches(['*', '-', '#', ' ']).trim_end_matches(['*', ',']);
    let Some((name, value)) = line.split_once([':', '：']) else { return false };
    let name = name.trim_end_matches(['*', '_', ' ']).to_lowercase();
    is_setting_name(&name) && !value.trim().is_empty() && !value.contains('<')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_known() {
        assert!(is_infotext("Steps: 24, Sampler: DPM++ 2M Karras, CFG scale: 6\nmore"));
        assert!(!is_infotext("Steps: up and down, night"));
        assert_eq!(infotext_start("1girl, solo Steps: 24, Sampler: Euler a, Seed: 1"), Some(12));
        assert_eq!(infotext_start("footSteps: 24, Seed: 1"), None);
        for line in ["Seed: 12", "**Size:** 832x1216", "- CFG scale: 7", "Sampler: Euler a"] {
            assert!(is_setting(line), "{line}");
        }
        for line in ["1girl, solo", "a sign that says seed", "Model: <n>", "style: anime"] {
            assert!(!is_setting(line), "{line}");
        }
    }

    #[test]
    fn midjourney_has_a_parameter_for_it() {
        let line = "a red fox --no hands, text --ar 3:2";
        assert_eq!(no_parameter(line, 0).map(|mark| &line[mark.span.end..]), Some("hands, text --ar 3:2"));
        assert_eq!(no_parameter("1girl --neg hands", 0).map(|mark| mark.span), Some(6..12));
        assert_eq!(no_parameter("--no hands", 7), Some(Mark { label: Some(Label::Negative), span: 7..12 }));
    }
}
