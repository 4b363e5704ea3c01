//! Code fences, into which language models put their answers.

use std::ops::Range;

use super::{Opening, Stop, markup, settings};
use crate::checked::Envelope;
use crate::phrases::{self, Label};
use crate::rules::envelope_removed;
use crate::tags::list_mark;

/// What a fence is written with, also by keyboards that have other quotes.
const MARKS: &[&str] = &["```", "~~~", "'''", "\"\"\"", ":::", "｀｀｀", "´´´", "‘‘‘", "’’’", "“““", "”””"];

/// A block of code.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fence {
    /// The line that opens it.
    open: Range<usize>,
    /// What stands inside.
    inside: Range<usize>,
    /// The line that closes it; empty at the end of the text if it has none.
    close: Range<usize>,
}

impl Opening<'_, '_> {
    /// Takes the prompt out of its code fence. What stands around it is talk and left out.
    pub(super) fn open_fence(&mut self) -> Result<(), Stop> {
        let left = self.left();
        if !MARKS.iter().any(|marks| left.contains(marks)) {
            return Ok(());
        }
        let start = self.window.start;
        let mut depth = markup::Depth::default();
        let fences = fences(left).into_iter().filter(|fence| depth.at(left, fence.open.start) == 0);
        let fences: Vec<Fence> = fences.map(|fence| fence.shifted(start)).collect();
        if fences.is_empty() {
            return Ok(());
        }
        let mut prompts = Vec::new();
        let mut negatives = Vec::new();
        let mut before = self.window.start;
        let mut talks = Vec::new();
        for fence in fences {
            let talk = before..fence.open.start;
            before = fence.close.end;
            let line = &self.source.text[fence.open.clone()];
            let info = line.trim().trim_start_matches(|mark: char| !mark.is_alphanumeric());
            let is_negative =
                announces_negative(&self.source.text[talk.clone()]) || phrases::is_negative_name(info.trim());
            talks.push(talk.clone());
            match is_negative {
                true => negatives.push((fence, talk)),
                false => prompts.push(fence),
            }
        }
        let behind = before..self.window.end;
        talks.push(behind.clone());
        let has_blocks = |range: &Range<usize>| markup::first_tag(&self.source.text[range.clone()]).is_some();
        // Several blocks of code: the one with markup is the prompt, if it is the only one.
        if prompts.len() > 1 && prompts.iter().filter(|fence| has_blocks(&fence.inside)).count() == 1 {
            let (kept, others): (Vec<Fence>, Vec<Fence>) =
                prompts.into_iter().partition(|fence| has_blocks(&fence.inside));
            prompts = kept;
            for fence in others {
                // Its label may stand inside.
                let inside = self.trimmed(fence.inside.clone());
                let line = self.source.text[inside.clone()].lines().next().unwrap_or_default();
                match phrases::heading(line.trim_end()) {
                    Some((Label::Negative, end)) => {
                        let label = inside.start..inside.start + end;
                        negatives.push((Fence { inside: label.end..inside.end, ..fence }, label));
                    }
                    _ => talks.push(fence.open.start..fence.close.end),
                }
            }
        }
        let [prompt] = prompts.as_slice() else {
            let place = prompts.get(1).or(prompts.first()).map(|fence| fence.open.clone());
            let place = place.or_else(|| negatives.first().map(|(fence, _)| fence.open.clone()));
            self.report(envelope_removed::several_fences(place.unwrap_or(0..0), prompts.len()));
            return Err(Stop);
        };
        if let Some(outside) = talks.iter().find(|talk| has_blocks(talk)) {
            self.report(envelope_removed::outside_fence(self.trimmed(outside.clone())));
            return Err(Stop);
        }
        self.report(envelope_removed::fence(prompt.open.clone(), prompt.close.clone()));
        self.envelope.get_or_insert(Envelope::Answer);
        self.window = prompt.inside.clone();
        for (fence, talk) in negatives {
            self.take_negative(fence.inside, self.trimmed(talk))?;
        }
        for talk in talks {
            self.leave_out_talk(talk)?;
        }
        Ok(())
    }

    /// Leaves out talk around a code fence, but for a negative prompt after its label.
    fn leave_out_talk(&mut self, talk: Range<usize>) -> Result<(), Stop> {
        let talk = self.trimmed(talk);
        if talk.is_empty() {
            return Ok(());
        }
        let text = &self.source.text[talk.clone()];
        let mut at = talk.start;
        let mut found = None;
        for line in text.split_inclusive('\n') {
            if let Some((Label::Negative, end)) = phrases::heading(line.trim_end()) {
                found = Some((at, at + end));
                break;
            }
            at += line.len();
        }
        let Some((label, content)) = found else {
            self.report(envelope_removed::talk(talk.clone(), &self.source.text[talk]));
            return Ok(());
        };
        // The paragraph after the label; what follows it is talk again.
        let behind = &self.source.text[content..talk.end];
        let skipped = behind.len() - behind.trim_start().len();
        let end = behind[skipped..].find("\n\n").map_or(talk.end, |offset| content + skipped + offset);
        let end = settings::settings_start(behind).map_or(end, |offset| end.min(content + offset));
        if self.negative.is_some() && self.source.text[content..end].trim().is_empty() {
            return Ok(());
        }
        self.take_negative(content..end, label..content)?;
        for rest in [talk.start..label, end..talk.end] {
            let rest = self.trimmed(rest);
            if !rest.is_empty() {
                self.report(envelope_removed::talk(rest.clone(), &self.source.text[rest]));
            }
        }
        Ok(())
    }
}

impl Fence {
    fn shifted(self, by: usize) -> Fence {
        let shift = |range: Range<usize>| range.start + by..range.end + by;
        Fence { open: shift(self.open), inside: shift(self.inside), close: shift(self.close) }
    }
}

/// Whether the last lines before a block of code say that it is the negative prompt.
fn announces_negative(talk: &str) -> bool {
    talk.lines().rev().filter(|line| !line.trim().is_empty()).take(2).any(|line| {
        let is_label = matches!(phrases::heading(line), Some((Label::Negative, end)) if end >= line.trim_end().len());
        let is_sentence = line.trim_end().ends_with([':', '：', '*']) && line.to_lowercase().contains("negativ");
        is_label || is_sentence
    })
}

/// The blocks of code of a text.
fn fences(text: &str) -> Vec<Fence> {
    const MOST: usize = 16;
    let mut fences: Vec<Fence> = Vec::new();
    let mut open: Option<(Range<usize>, &str)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let span = at..at + line.len();
        at = span.end;
        let trimmed = line.trim();
        // A fence may be an entry of a list: "1. ```xml".
        let trimmed = if open.is_none() { trimmed.get(list_mark(trimmed)..).unwrap_or(trimmed) } else { trimmed };
        // A text in quotes of three that began on an earlier line, as in TOML, ends here.
        let is_end = |marks: &str| !marks.starts_with(['`', '~']) && text[..span.start].contains(marks);
        let marks = MARKS.iter().copied().find(|marks| trimmed.starts_with(marks));
        let marks = marks.filter(|marks| open.is_some() || !fences.is_empty() || !is_end(marks));
        let plain = |marks: &str| -> &str { trimmed.trim_matches(|mark| marks.starts_with(mark)) };
        match (&open, marks) {
            (None, Some(marks)) => {
                // ```` ```1girl, solo``` ```` on one line, perhaps after the name of a language.
                let inside = without_language(plain(marks).trim());
                if trimmed.len() > marks.len() && trimmed.ends_with(marks) && !inside.is_empty() {
                    let start = span.start + line.find(inside).unwrap_or(0);
                    let end = start + inside.len();
                    fences.push(Fence { open: span.start..start, inside: start..end, close: end..span.end });
                } else {
                    open = Some((span, marks));
                }
            }
            (Some((start, marks)), _) if trimmed.starts_with(marks) && plain(marks).is_empty() => {
                fences.push(Fence { open: start.clone(), inside: start.end..span.start, close: span });
                open = None;
            }
            _ => {}
        }
        if fences.len() == MOST {
            return fences;
        }
    }
    if let Some((start, _)) = open {
        fences.push(Fence { inside: start.end..text.len(), open: start, close: text.len()..text.len() });
    }
    fences.retain(|fence| !text[fence.inside.clone()].trim().is_empty());
    fences
}

/// What stands on the line of a code fence after the name of a language: `xml <n>miku</n>`.
fn without_language(inside: &str) -> &str {
    const LANGUAGES: &[&str] =
        &["xml", "html", "json", "text", "txt", "plaintext", "plain", "yaml", "toml", "markdown"];
    match inside.split_once(' ') {
        Some((word, rest)) if LANGUAGES.contains(&word.to_lowercase().as_str()) => rest.trim_start(),
        _ => inside,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found = fences(text);
        let found: Vec<&str> = found.iter().map(|fence| &text[fence.inside.clone()]).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn fences_are_found() {
        check("Here:\n```xml\n<n/>\n```\nBye", &["<n/>\n"]);
        check("~~~\na\n~~~", &["a\n"]);
        check("```\na", &["a"]);
        check("```1girl, solo```", &["1girl, solo"]);
        check("```xml <n>miku</n>```", &["<n>miku</n>"]);
        check("- ```xml\n<n/>\n```", &["<n/>\n"]);
        check("'''xml\n<n/>\n'''", &["<n/>\n"]);
        check("｀｀｀\n<n/>\n｀｀｀", &["<n/>\n"]);
        check("```\na\n```\nand\n```\nb\n```", &["a\n", "b\n"]);
        check("caption = \"\"\"\nA\n\"\"\"\nstyle = 1", &[]);
        check("no fence", &[]);
    }

    #[test]
    fn a_negative_is_announced() {
        assert!(announces_negative("…\n\n**Negative prompt:**\n"));
        assert!(announces_negative("And this is the negative prompt:\n"));
        assert!(!announces_negative("Here is the prompt:\n"));
    }
}
