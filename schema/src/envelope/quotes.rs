//! Quotes, marks of quotations and calls around a text.

use std::borrow::Cow;
use std::ops::Range;

use super::{Opening, code, json};
use crate::rules::envelope_removed;
use crate::source::Change;

impl Opening<'_, '_> {
    /// Quotes around the whole text.
    pub(super) fn remove_quotes(&mut self) {
        const PAIRS: &[(char, char)] =
            &[('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('‘', '’'), ('「', '」'), ('『', '』'), ('«', '»')];
        let window = self.trimmed(self.window.clone());
        let text = &self.source.text[window.clone()];
        // `u'1girl'`, as Python prints a text.
        let mark = code::literal_mark(text);
        let (whole, window) = (window.start, window.start + mark..window.end);
        let text = &text[mark..];
        // A member of a list ends with a comma: `prompt: "1girl",`.
        let end = window.end;
        let listed = text.strip_suffix(',').map(str::trim_end);
        let text = listed.filter(|text| text.ends_with(['"', '\''])).unwrap_or(text);
        let window = window.start..window.start + text.len();
        let Some((open, close)) = text.chars().next().zip(text.chars().next_back()) else { return };
        if !PAIRS.contains(&(open, close)) || text.len() < open.len_utf8() + close.len_utf8() {
            return;
        }
        if open == '"' && json::is_string(text) && text.contains('\\') {
            return self.open_json_string(window);
        }
        let inside = window.start + open.len_utf8()..window.end - close.len_utf8();
        let quoted = &self.source.text[inside.clone()];
        if quoted.contains([open, close]) || quoted.trim().is_empty() {
            return;
        }
        self.report(envelope_removed::quotes(whole..inside.start, inside.end..end));
        self.window = inside;
    }

    /// The range without the quotes around it, or without the bracket that was opened before its label.
    pub(super) fn without_pair(&self, range: Range<usize>, label: &Range<usize>) -> Range<usize> {
        const PAIRS: &[(char, char)] = &[('(', ')'), ('[', ']'), ('（', '）')];
        let text = &self.source.text[range.clone()];
        let written = &self.source.text[label.clone()];
        let opened = PAIRS.iter().find(|(open, close)| written.starts_with(*open) && !written.contains(*close));
        if let Some((open, close)) = opened
            && text.ends_with(*close)
            && !text.contains(*open)
        {
            return self.trimmed(range.start..range.end - close.len_utf8());
        }
        // A member of a list ends with a comma: `negative: "lowres",`.
        let listed = text.strip_suffix(',').map(str::trim_end);
        let text = listed.filter(|text| text.ends_with(['"', '\''])).unwrap_or(text);
        let range = range.start..range.start + text.len();
        let is_quoted = |quote: char| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
        match ['"', '\''].into_iter().find(|quote| is_quoted(*quote) && text.matches(*quote).count() == 2) {
            Some(_) => self.trimmed(range.start + 1..range.end - 1),
            None => range,
        }
    }

    /// The mark `>` of a quotation before every line.
    pub(super) fn remove_quote_marks(&mut self) {
        let window = self.trimmed(self.window.clone());
        let text = &self.source.text[window.clone()];
        // `>_<` and `>:)` are faces.
        let is_mark = |behind: &str| {
            let begins_word = |first: char| first.is_alphanumeric() || matches!(first, '<' | '>' | '(' | '"' | '#');
            let is_word = behind.starts_with(|first: char| begins_word(first) || !first.is_ascii());
            behind.is_empty() || behind.starts_with([' ', '\t']) || (is_word && !is_face(behind))
        };
        let is_quoted = |line: &str| line.trim().is_empty() || line.trim_start().strip_prefix('>').is_some_and(is_mark);
        let is_quotation = text.contains('\n') || text.starts_with("> ");
        if !text.starts_with('>') || !is_quotation || !text.lines().all(is_quoted) {
            return;
        }
        let mut changes: Vec<Change> = Vec::new();
        let mut at = window.start;
        for line in text.split_inclusive('\n') {
            let mark = line.find('>').map(|mark| at + mark);
            at += line.len();
            if let Some(mark) = mark {
                let blank = usize::from(self.source.text[mark + 1..].starts_with(' '));
                changes.push((mark..mark + 1 + blank, Cow::Borrowed("")));
            }
        }
        let spans: Vec<Range<usize>> = changes.iter().map(|(span, _)| span.clone()).collect();
        self.report(envelope_removed::quote_marks(&spans));
        self.replace(&changes);
    }

    /// Marks with which chat programs ask for a picture: `[IMG: 1girl, solo]`, `image###1girl, solo###`.
    pub(super) fn remove_call(&mut self) {
        const CALLS: &[(&str, &str)] = &[
            ("[img:", "]"),
            ("[image:", "]"),
            ("[pic:", "]"),
            ("[picture:", "]"),
            ("[prompt:", "]"),
            ("\\boxed{", "}"),
            ("[image prompt:", "]"),
            ("image###", "###"),
        ];
        let window = self.trimmed(self.window.clone());
        let text = &self.source.text[window.clone()];
        let begins = |mark: &str| text.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark));
        let Some((open, close)) = CALLS.iter().find(|(open, close)| begins(open) && text.ends_with(close)) else {
            return;
        };
        let inside = window.start + open.len()..window.end - close.len();
        if inside.start >= inside.end || self.source.text[inside.clone()].contains(['[', ']']) {
            return;
        }
        self.report(envelope_removed::quotes(window.start..inside.start, inside.end..window.end));
        self.window = inside;
    }
}

/// Whether what stands behind a `>` makes a face of it: `>o<`, `>.<`, `>w<`, `>(`.
fn is_face(behind: &str) -> bool {
    let end = behind.find(|character: char| character.is_whitespace() || matches!(character, ',' | '，'));
    let word = &behind[..end.unwrap_or(behind.len())];
    let mut characters = word.chars();
    let is_mouth = characters.next().is_some();
    let is_eye = characters.as_str() == "<";
    (is_mouth && is_eye) || (word.len() <= 2 && word.starts_with(['(', '<', '3', 'D', 'P', 'O']))
}
