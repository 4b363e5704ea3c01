//! Labels and settings at the ends of lines: `Positive prompt:`, `Negative prompt:`, `Steps: 20, Sampler: …`.

use std::ops::Range;

use super::settings::infotext_start;
use super::{Document, Opening, Stop, markup};
use crate::checked::Envelope;
use crate::phrases::{self, Label};
use crate::rules::{envelope_removed, negative_split};
use crate::xml::entity_at;

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
        self.window = self.without_settings(self.window.clone());
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
            let written = self.source.text[settings.clone()].trim_start_matches([',', ' ']);
            self.report(envelope_removed::settings(settings.clone(), written));
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
        let prompt = self.without_settings(prompt);
        let prompt = self.trimmed(prompt);
        let prompt = if is_labelled { self.without_remarks(prompt) } else { prompt };
        let prompt = if is_labelled || self.negative.is_some() { self.without_divider(prompt) } else { prompt };
        if prompt.is_empty()
            && let Some(negative) = self.negative.clone()
        {
            self.report(negative_split::alone(negative));
            return Err(Stop);
        }
        self.window = prompt;
        self.remove_quotes();
        self.remove_quote_marks();
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
        // The `;` of `&#10;` divides nothing.
        let entity = text.rfind('&').and_then(|at| entity_at(text, at));
        if entity.is_some_and(|(_, end)| end == text.trim_end().len()) {
            return range;
        }
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
            // `Positive: 1girl. Negative: dogs`
            let same_line = found.as_ref().and_then(|mark| negative_behind(text, mark, span.start + line.len()));
            let settings = infotext_start(line).map(|at| Mark { label: None, span: span.start + at..span.start + at });
            for mark in found.into_iter().chain(same_line).chain(no_parameters(line, span.start)).chain(settings) {
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

/// A label of the negative prompt behind the label of the prompt on the same line.
fn negative_behind(text: &str, prompt: &Mark, line_end: usize) -> Option<Mark> {
    if prompt.label != Some(Label::Prompt) {
        return None;
    }
    let (start, line) = (prompt.span.end, text.get(prompt.span.end..line_end)?.trim_end());
    let bare = phrases::bare_negative(line).map(|bare| bare.span);
    let bare = bare.filter(|span| phrases::is_technical(&line[span.clone()]));
    let span = phrases::inline_negative(line).or(bare)?;
    Some(Mark { label: Some(Label::Negative), span: start + span.start..start + span.end })
}

/// `--no hands`, as Midjourney writes a negative prompt, and the options of other programs. Other parameters behind it,
/// such as `--ar 3:2`, are settings.
fn no_parameters(line: &str, start: usize) -> Vec<Mark> {
    const NAMES: &[&str] =
        &["--no ", "--neg ", "--negative ", "--negative-prompt ", "--negative_prompt ", "--uc ", "--not "];
    const MOST: usize = 16;
    let is_start = |at: &usize| line[..*at].is_empty() || line[..*at].ends_with([' ', '\t']);
    let mut marks: Vec<Mark> = Vec::new();
    for at in line.match_indices("--").map(|(at, _)| at).filter(is_start).take(MOST) {
        let name = NAMES.iter().find(|name| line[at..].starts_with(**name));
        let is_name = line[at + 2..].starts_with(|first: char| first.is_ascii_alphabetic());
        match name {
            Some(name) => {
                marks.push(Mark { label: Some(Label::Negative), span: start + at..start + at + name.len() });
            }
            None if is_name && marks.last().is_some_and(|mark| mark.label.is_some()) => {
                marks.push(Mark { label: None, span: start + at..start + at });
            }
            None => {}
        }
    }
    marks
}

/// Whether a line is a rule of dashes or the like.
pub(super) fn is_rule(line: &str) -> bool {
    line.len() >= 3 && line.trim_matches(['-', '=', '*', '~', '_', '#']).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn midjourney_has_a_parameter_for_it() {
        let line = "a red fox --no hands, text --ar 3:2 --v 6";
        let marks = no_parameters(line, 0);
        assert_eq!(marks.len(), 2, "{marks:?}");
        assert_eq!(&line[marks[0].span.end..marks[1].span.start], "hands, text ");
        assert_eq!(no_parameters("1girl --neg hands", 0).first().map(|mark| mark.span.clone()), Some(6..12));
        assert_eq!(no_parameters("--no hands", 7), [Mark { label: Some(Label::Negative), span: 7..12 }]);
        assert_eq!(no_parameters("a fox --ar 3:2", 0), []);
    }

    #[test]
    fn both_labels_may_stand_on_one_line() {
        let line = "Positive: 1girl. Negative: dogs";
        let prompt = Mark { label: Some(Label::Prompt), span: 0..10 };
        assert_eq!(negative_behind(line, &prompt, line.len()).map(|mark| mark.span), Some(17..27));
        let line = "Prompt: A sign. Avoid: dogs";
        assert_eq!(negative_behind(line, &Mark { span: 0..8, ..prompt }, line.len()), None);
    }
}
