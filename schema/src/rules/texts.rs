//! The rules that look inside a text: a tag, a name, a caption, or plain text without markup.

use std::ops::Range;

use super::{
    escaped_parenthesis, escaped_twice, foreign_syntax, full_width, markdown, negative_split, placeholder,
    weight_syntax,
};
use crate::findings::{Finding, Findings, excerpt, remove, replace};
use crate::names;
use crate::outline::{Block, Field, Tag};
use crate::patterns::{self, Found, Pattern};
use crate::phrases::{self, Label};

/// Tags of a field that may begin a group with one weight: looking for its end takes time.
const GROUPS_MAX: usize = 64;

/// A text and how its places lead to the text that is being read.
struct Passage<'a> {
    text: &'a str,
    /// Where it stands.
    span: Range<usize>,
    /// Whether it stands there as it is, so that every part of it has its own place.
    is_verbatim: bool,
    /// Whether `<` and `&` are escaped where it stands.
    is_escaped: bool,
    is_tag: bool,
}

/// Looks at every text of a block.
pub(crate) fn check_block(block: &Block<'_>, source: &str, findings: &mut Findings) {
    for field in &block.fields {
        let mut tags = field.tags.as_slice();
        let mut groups = 0;
        while let [tag, rest @ ..] = tags {
            groups += usize::from(tag.text.starts_with('('));
            let group = if groups <= GROUPS_MAX { weighted_group(tags, source) } else { None };
            match group {
                Some((finding, length)) => {
                    findings.push(finding.at(block.path_of(field)));
                    tags = &tags[length..];
                }
                None => {
                    check(&of_tag(tag, source), source, || block.path_of(field), findings);
                    tags = rest;
                }
            }
        }
        if !field.text.is_empty() && field.decl.name != "gender" {
            check(&of_field(field, source), source, || block.path_of(field), findings);
        }
    }
}

/// `(long_hair, blue_eyes:1.2)` at the beginning of a list: its finding, and how many tags it holds.
fn weighted_group(tags: &[Tag<'_>], source: &str) -> Option<(Finding, usize)> {
    let first = tags.first().filter(|tag| tag.text.starts_with('('))?;
    let text = source.get(first.span.start..tags.last()?.span.end)?;
    let group = patterns::weighted_group(text).filter(|group| !text[..group.end].contains(['<', '&']))?;
    let (end, inside) = (group.end, group.inside);
    let start = first.span.start;
    let length = tags.iter().take_while(|tag| tag.span.end <= start + end).count();
    // Nothing else may stand in the last tag, such as `_hair` after the group.
    let is_whole = tags.get(length.checked_sub(1)?)?.span.end == start + end;
    let (span, written) = (start..start + end, &text[..end]);
    let edits = [start..start + inside.start, start + inside.end..start + end];
    let finding = match group.is_against {
        true => weight_syntax::against(span, written),
        false => weight_syntax::group(span, written, edits),
    };
    is_whole.then_some((finding, length))
}

/// Looks at a caption.
pub(crate) fn check_caption(field: &Field<'_>, source: &str, findings: &mut Findings) {
    check(&of_field(field, source), source, || field.decl.name.to_owned(), findings);
}

/// Looks at plain text without markup, which stands at `span`.
pub(crate) fn check_plain(text: &str, span: Range<usize>, findings: &mut Findings) {
    let passage = Passage { text, span, is_verbatim: true, is_escaped: false, is_tag: false };
    check(&passage, "", String::new, findings);
}

fn of_tag<'a>(tag: &'a Tag<'_>, source: &str) -> Passage<'a> {
    let is_verbatim = source.get(tag.span.clone()) == Some(tag.text.as_ref());
    Passage { text: &tag.text, span: tag.span.clone(), is_verbatim, is_escaped: true, is_tag: true }
}

fn of_field<'a>(field: &'a Field<'_>, source: &str) -> Passage<'a> {
    let content = source.get(field.content.clone()).unwrap_or_default();
    let start = field.content.start + (content.len() - content.trim_start().len());
    let span = start..start + content.trim().len();
    let is_verbatim = content.trim() == field.text;
    Passage { text: &field.text, span, is_verbatim, is_escaped: true, is_tag: field.decl.name == "n" }
}

fn check(passage: &Passage<'_>, source: &str, path: impl Fn() -> String, findings: &mut Findings) {
    for found in patterns::scan(passage.text, passage.is_tag) {
        let span = passage.place(found.span.clone());
        let finding = finding(passage, &found, span);
        findings.push(passage.with_fix(finding, found.span, found.plain.as_deref()).at(path()));
    }
    if passage.text.contains('\\')
        && let Some((finding, plain)) = escaped_parenthesis::check(passage.text, passage.span.clone())
    {
        findings.push(passage.with_fix(finding, 0..passage.text.len(), Some(&plain)).at(path()));
    }
    if passage.is_escaped && passage.text.contains('&') {
        // Around comments and sections of character data there is no simple edit.
        let can_edit = source.get(passage.span.clone()).is_some_and(|written| !written.contains('<'));
        escaped_twice::check(passage.text, &passage.span, can_edit, &path, findings);
    }
    if passage.is_escaped && passage.text.contains("</") {
        escaped_twice::check_tags(passage.text, &passage.span, &path, findings);
    }
    if let Some(tag) = negative_tag(passage.text) {
        let span = passage.place(tag.clone());
        findings.push(negative_split::label_in_text(span, &passage.text[tag]).at(path()));
    } else if let Some(label) = negative_label(passage.text) {
        let span = passage.place(label.clone());
        findings.push(negative_split::label_in_text(span, &passage.text[label]).at(path()));
    } else if let Some(label) = doubtful_label(passage.text) {
        let span = passage.place(label.clone());
        findings.push(negative_split::perhaps(span, &passage.text[label]).at(path()));
    }
}

fn finding(passage: &Passage<'_>, found: &Found, span: Range<usize>) -> Finding {
    let written = &passage.text[found.span.clone()];
    match found.pattern {
        Pattern::Weight => weight_syntax::finding(span, written),
        Pattern::Against => weight_syntax::against(span, written),
        Pattern::Without => negative_split::label_in_text(span, written),
        Pattern::Placeholder => placeholder::finding(span, written),
        Pattern::Markdown => markdown::finding(span, written),
        Pattern::Wide => full_width::finding(span, written),
        Pattern::Instruction(instruction) => foreign_syntax::finding(span, written, instruction),
    }
}

/// The start tag of a negative prompt that is text, since its brackets are references: `&lt;negative&gt;`.
fn negative_tag(text: &str) -> Option<Range<usize>> {
    const CLEAR: usize = 6;
    text.match_indices('<').find_map(|(at, _)| {
        let inside = &text[at + 1..];
        let name = &inside[..inside.find(|end: char| !end.is_alphanumeric() && !matches!(end, '_' | '-'))?];
        // `<bad>` alone may be a face.
        let is_clear = || name.len() >= CLEAR || inside.contains(&format!("</{name}>"));
        let is_negative = phrases::is_negative_name(name) || names::is_perhaps_negative(name);
        let is_tag = inside[name.len()..].starts_with('>') && is_negative && is_clear();
        is_tag.then(|| at..at + 1 + name.len() + 1)
    })
}

/// The label of a negative prompt inside a text that is drawn.
fn negative_label(text: &str) -> Option<Range<usize>> {
    // `–`, `】` and `：` begin with the last three.
    if !text.bytes().any(|byte| matches!(byte, b':' | b'=' | b'-' | b']' | b'|' | b'\t' | 0xE2 | 0xE3 | 0xEF)) {
        return None;
    }
    find_in_lines(text, |line, is_written| {
        let heading = phrases::heading(line).filter(|(_, end)| *end < line.len());
        match heading {
            Some((Label::Negative, end)) if !(is_written && phrases::is_everyday(&line[..end])) => Some(0..end),
            _ => phrases::inline_negative(line),
        }
    })
}

/// Words that may be the label of a negative prompt inside a text that is drawn.
fn doubtful_label(text: &str) -> Option<Range<usize>> {
    find_in_lines(text, |line, is_written| {
        let found = phrases::bare_negative(line).map(|bare| bare.span);
        let found = found.or_else(|| phrases::asks_for_less(line)).or_else(|| phrases::vague_negative(line));
        found.filter(|_| !is_written)
    })
}

/// The first range that `find` returns, in the text. It gets each line without its end, and whether the line before announces
/// words that are written in the picture.
fn find_in_lines(text: &str, find: impl Fn(&str, bool) -> Option<Range<usize>>) -> Option<Range<usize>> {
    let mut start = 0;
    let mut is_written = false;
    for line in text.split_inclusive('\n') {
        let at = start;
        start += line.len();
        let line = line.trim_end();
        if let Some(label) = find(line, is_written) {
            return Some(at + label.start..at + label.end);
        }
        if !line.is_empty() {
            is_written = phrases::announces_writing(line);
        }
    }
    None
}

impl Passage<'_> {
    /// Where a part of the text stands; the whole text if its parts have no places of their own.
    fn place(&self, part: Range<usize>) -> Range<usize> {
        match self.is_verbatim {
            true => self.span.start + part.start..self.span.start + part.end,
            false => self.span.clone(),
        }
    }

    /// A part of a sentence with the comma or the blank that it leaves over when it is removed.
    fn with_comma(&self, part: Range<usize>) -> Range<usize> {
        if self.is_tag {
            return part;
        }
        let at = self.span.start;
        let (before, behind) = (&self.text[..part.start - at], &self.text[part.end - at..]);
        let (kept, rest) = (before.trim_end(), behind.trim_start());
        let is_first = kept.is_empty() || kept.ends_with([',', '，', '\n']);
        if let Some(rest) = rest.strip_prefix([',', '，']).filter(|_| is_first) {
            let rest = rest.trim_start_matches(' ');
            return part.start..part.end + behind.len() - rest.len();
        }
        if rest.is_empty() {
            let kept = kept.strip_suffix([',', '，']).unwrap_or(kept).trim_end();
            return at + kept.len()..part.end;
        }
        let blanks = if before.ends_with(' ') { behind.len() - behind.trim_start_matches(' ').len() } else { 0 };
        part.start..part.end + blanks
    }

    /// Adds what is written instead of a part of the text. In a text whose parts have no places of their own, the whole
    /// text is written again; what would only be removed from it can only be described.
    fn with_fix(&self, finding: Finding, part: Range<usize>, plain: Option<&str>) -> Finding {
        let Some(plain) = plain else { return finding };
        let span = self.place(part.clone());
        if plain.is_empty() && !self.is_verbatim {
            return finding;
        }
        if plain.is_empty() {
            let finding = if finding.has_help() { finding } else { finding.help("remove it") };
            return finding.with_edits([remove(self.with_comma(span))]);
        }
        let text = match self.is_verbatim {
            true => plain.to_owned(),
            false => [&self.text[..part.start], plain, &self.text[part.end..]].concat(),
        };
        let written = match self.is_escaped {
            true => quick_xml::escape::partial_escape(&text).into_owned(),
            false => text,
        };
        finding.fix(format!("write `{}`", excerpt(plain)), [replace(span, written)])
    }
}
