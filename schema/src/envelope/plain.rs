//! Plain text: labels and talk around it, and entities of HTML inside.

use std::borrow::Cow;
use std::ops::Range;

use super::segments::is_rule;
use super::{Document, Opening, Stop, markup};
use crate::phrases;
use crate::rules::{envelope_removed, ignored_markup, negative_split, separator};
use crate::source::Change;
use crate::tags::list_mark;
use crate::xml::entity_at;

impl Opening<'_, '_> {
    /// Cuts a title and talk off plain text. In a prompt with blocks such text is a node, which [`crate::lower`] reads.
    pub(super) fn trim_plain(&mut self) -> Result<(), Stop> {
        if markup::first_tag(self.left()).is_some() {
            return Ok(());
        }
        self.cut_comments();
        self.cut_bare_title();
        let window = self.trimmed(self.window.clone());
        let text = &self.source.text[window.clone()];
        let first = text.lines().next().unwrap_or_default().len();
        if first < text.len() && phrases::is_title(&text[..first]) {
            let title = window.start..window.start + first;
            self.report(envelope_removed::talk(title.clone(), &self.source.text[title.clone()]));
            self.window = self.trimmed(title.end..window.end);
        }
        self.cut_greeting();
        self.cut_announcement();
        let window = self.trimmed(self.window.clone());
        self.window = self.without_talk(window);
        self.cut_rules();
        self.refuse_several()?;
        self.refuse_remarks()?;
        self.read_tag_page();
        let window = self.trimmed(self.window.clone());
        self.window = window.clone();
        self.read_list(&window);
        Ok(())
    }

    /// A negative prompt that is a list with a mark before each entry.
    pub(super) fn read_negative_list(&mut self) {
        let Some(negative) = self.negative.clone().map(|negative| self.trimmed(negative)) else { return };
        if markup::first_tag(&self.source.text[negative.clone()]).is_none() {
            self.negative = Some(negative.clone());
            self.read_list(&negative);
        }
    }

    /// Comments of XML, which belong to no prompt. A strict check reads them as they are.
    fn cut_comments(&mut self) {
        let text = self.left();
        if self.findings.is_strict() || !text.contains("<!--") {
            return;
        }
        let mut changes: Vec<Change> = Vec::new();
        for comment in markup::comments(text) {
            let is_blank_before = text[..comment.start].ends_with(' ') || comment.start == 0;
            let blank = usize::from(is_blank_before && text[comment.end..].starts_with(' '));
            let span = self.window.start + comment.start..self.window.start + comment.end + blank;
            changes.push((span, Cow::Borrowed("")));
        }
        for (span, _) in &changes {
            let written = self.source.text[span.clone()].to_owned();
            self.report(ignored_markup::finding(span.clone(), &written));
        }
        if !changes.is_empty() {
            self.replace(&changes);
        }
    }

    /// Lines of dashes above and below the text.
    fn cut_rules(&mut self) {
        let window = self.trimmed(self.window.clone());
        let text = &self.source.text[window.clone()];
        let (first, last) = (text.lines().next().unwrap_or_default(), text.lines().next_back().unwrap_or_default());
        if first.len() == text.len() {
            return;
        }
        let (above, below) = (is_rule(first.trim()), is_rule(last.trim()));
        let (start, end) = (window.start + first.len(), window.end - last.len());
        for rule in [above.then_some(window.start..start), below.then_some(end..window.end)].into_iter().flatten() {
            self.report(envelope_removed::talk(rule.clone(), &self.source.text[rule]));
        }
        let inside = if above { start } else { window.start }..if below { end } else { window.end };
        self.window = self.trimmed(inside);
    }

    /// A first line of nothing but the word `Prompt`, as pages have it above the text.
    fn cut_bare_title(&mut self) {
        const TITLES: &[&str] = &["prompt", "prompts", "positive", "positive prompt", "generation data"];
        let window = self.trimmed(self.window.clone());
        let line = self.source.text[window.clone()].lines().next().unwrap_or_default();
        let title = window.start..window.start + line.len();
        if title.end < window.end && TITLES.contains(&line.trim().to_ascii_lowercase().as_str()) {
            self.report(envelope_removed::label(title.clone(), &self.source.text[title.clone()]));
            self.window = self.trimmed(title.end..window.end);
        }
    }

    /// Refuses a text of several prompts, and one that a line of dashes divides: its second part may be the negative
    /// prompt.
    fn refuse_several(&mut self) -> Result<(), Stop> {
        let window = self.trimmed(self.window.clone());
        if let Some(second) = second_option(&self.source.text[window.clone()]) {
            self.report(envelope_removed::several_prompts(window.start + second.start..window.start + second.end));
            return Err(Stop);
        }
        let mut at = window.start;
        for (number, line) in self.source.text[window.clone()].split_inclusive('\n').enumerate() {
            let span = self.trimmed(at..at + line.len());
            at += line.len();
            if number == 0 {
                continue;
            }
            // The number of `Prompt 2: a girl` stands near its beginning.
            const NEAR: usize = 24;
            let is_title = line.trim().len() <= NEAR && phrases::announces_another(line.trim());
            let label = line.find([':', '：']).filter(|colon| (5..=NEAR).contains(colon)).map(|colon| &line[..colon]);
            if is_title || label.is_some_and(|label| phrases::announces_another(&format!("{label}:"))) {
                self.report(envelope_removed::several_prompts(span));
                return Err(Stop);
            }
            if is_rule(line.trim()) && span.end < window.end && self.document == Document::Prompt {
                self.report(negative_split::divided(span.clone(), &self.source.text[span]));
                return Err(Stop);
            }
        }
        Ok(())
    }

    /// A first paragraph of agreement: `Sure!`, `もちろんです！`.
    fn cut_greeting(&mut self) {
        let window = self.trimmed(self.window.clone());
        let text = &self.source.text[window.clone()];
        let Some(end) = text.find("\n\n").or_else(|| text.find("\r\n\r\n")) else { return };
        let is_announcement = || {
            const PROMPTS: &[&str] = &["prompt", "提示词", "提示詞", "プロンプト", "프롬프트", "промпт"];
            let lower = text[..end].to_lowercase();
            !lower.contains('\n') && phrases::is_announcement(&lower) && PROMPTS.iter().any(|word| lower.contains(word))
        };
        if phrases::is_greeting(&text[..end]) || is_announcement() {
            let talk = window.start..window.start + end;
            self.report(envelope_removed::talk(talk.clone(), &self.source.text[talk.clone()]));
            self.window = self.trimmed(talk.end..window.end);
        }
    }

    /// Talk before the prompt on the same line: `Here is the prompt: 1girl, solo`.
    fn cut_announcement(&mut self) {
        const LONGEST: usize = 120;
        let window = self.trimmed(self.window.clone());
        let text = &self.source.text[window.clone()];
        let line = text.lines().next().unwrap_or_default();
        let Some(end) = line.find([':', '：']).filter(|colon| *colon <= LONGEST) else { return };
        let end = end + line[end..].chars().next().map_or(0, char::len_utf8);
        if phrases::is_announcement(&line[..end]) && !text[end..].trim().is_empty() {
            let talk = window.start..window.start + end;
            self.report(envelope_removed::talk(talk.clone(), &self.source.text[talk.clone()]));
            self.window = self.trimmed(talk.end..window.end);
        }
    }

    /// A list with a mark before each entry. The entries are tags or sentences; a strict check keeps the marks.
    fn read_list(&mut self, window: &Range<usize>) {
        let text = &self.source.text[window.clone()];
        if self.findings.is_strict() || list_mark(text) == 0 {
            return;
        }
        let mut lines: Vec<Range<usize>> = Vec::new();
        let mut at = window.start;
        for line in text.split_inclusive('\n') {
            let span = self.trimmed(at..at + line.len());
            at += line.len();
            if !span.is_empty() {
                lines.push(span);
            }
        }
        let marks: Vec<usize> = lines.iter().map(|line| list_mark(&self.source.text[line.clone()])).collect();
        if lines.len() < 2 || marks.contains(&0) {
            return;
        }
        // `+ wanted` and `- unwanted`: only a person knows whether the second is a negative prompt.
        let begins = |mark: char| lines.iter().any(|line| self.source.text[line.clone()].starts_with(mark));
        if let (true, true, Some(first)) = (begins('+'), begins('-'), lines.first()) {
            let span = first.start..first.start + marks[0];
            return self.report(negative_split::signed(span));
        }
        let is_sentences = lines.iter().any(|line| self.source.text[line.clone()].ends_with(['.', '!', '?', '。']));
        let mut changes: Vec<Change> = Vec::with_capacity(lines.len());
        let mut end = window.start;
        for (line, mark) in lines.iter().zip(&marks) {
            let between = match line.start {
                start if start == window.start => "",
                _ if is_sentences => "\n",
                _ if self.source.text[..end].ends_with([',', '，', '、']) => " ",
                _ => ", ",
            };
            changes.push((end..line.start + mark, Cow::Borrowed(between)));
            end = line.end;
        }
        let written = &self.source.text[window.start..window.start + marks[0]];
        self.report(separator::plain_list(window.start..window.start + marks[0], written, &changes));
        self.replace(&changes);
    }
}

/// The second entry of a list that an announcement of several prompts begins: `Here are two options:`.
fn second_option(text: &str) -> Option<Range<usize>> {
    const SEVERAL: &[&str] = &["options", "versions", "variants", "variations", "alternatives", "prompts", "ideas"];
    let first = text.lines().next()?.trim_end().to_lowercase();
    let is_announcement = first.ends_with([':', '：']) && SEVERAL.iter().any(|word| first.contains(word));
    let mut at = 0;
    let starts = text.split_inclusive('\n').map(|line| {
        at += line.len();
        at - line.len()..at - line.len() + line.trim_end().len()
    });
    let mut entries = starts.filter(|line| list_mark(text[line.clone()].trim_start_matches(['*', '#', '_', ' '])) > 0);
    entries.nth(1).filter(|_| is_announcement)
}

/// Where an entity stands, and its text.
pub(crate) type Entity = (Range<usize>, String);

/// A plain text with its entities read, and the entities; `None` if there are none.
pub(crate) fn decode_entities(text: &str) -> Option<(String, Vec<Entity>)> {
    const LONGEST: usize = 36;
    let mut decoded = String::new();
    let mut found = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(offset) = text[at..].find('&') {
        let start = at + offset;
        match entity_at(text, start) {
            Some((mut character, mut end)) => {
                // `&amp;lt;` was escaped twice.
                while character == "&" {
                    let near = format!("&{}", &text[end..text.floor_char_boundary(end + LONGEST)]);
                    let Some((inner, length)) = entity_at(&near, 0) else { break };
                    (character, end) = (inner, end + length - 1);
                }
                decoded.push_str(&text[copied..start]);
                decoded.push_str(&character);
                found.push((start..end, character.into_owned()));
                (copied, at) = (end, end);
            }
            None => at = start + 1,
        }
    }
    if found.is_empty() {
        return None;
    }
    decoded.push_str(&text[copied..]);
    Some((decoded, found))
}
