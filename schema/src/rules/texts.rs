//! The rules that look inside a text: a tag, a name, a caption, or plain text without markup.

use std::ops::Range;

use super::{escaped_parenthesis, escaped_twice, foreign_syntax, markdown, negative_split, weight_syntax};
use crate::findings::{Finding, Findings, excerpt, remove, replace};
use crate::outline::{Block, Field, Tag};
use crate::patterns::{self, Found, Pattern};
use crate::phrases::{self, Label};

/// A text and how its places lead to the text that is being read.
struct Passage<'a> {
    text: &'a str,
    /// Where it stands.
    span: Range<usize>,
    /// Whether it stands there as it is, so that every part of it has a place of its own.
    is_verbatim: bool,
    /// Whether `<` and `&` are escaped where it stands.
    is_escaped: bool,
    /// Whether it is one tag.
    is_tag: bool,
}

/// Looks at every text of a block.
pub(crate) fn check_block(block: &Block<'_>, source: &str, findings: &mut Findings) {
    for field in &block.fields {
        for tag in &field.tags {
            check(&of_tag(tag, source), source, || block.path_of(field), findings);
        }
        if !field.text.is_empty() && field.decl.name != "gender" {
            check(&of_field(field, source), source, || block.path_of(field), findings);
        }
    }
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
        let finding = finding(passage, &found, span.clone());
        findings.push(passage.with_fix(finding, span, found.plain.as_deref()).at(path()));
    }
    if passage.text.contains('\\')
        && let Some((finding, plain)) = escaped_parenthesis::check(passage.text, passage.span.clone())
    {
        findings.push(passage.with_fix(finding, passage.span.clone(), Some(&plain)).at(path()));
    }
    if passage.is_escaped && passage.text.contains('&') {
        // Around comments and sections of character data there is no simple edit.
        let can_edit = source.get(passage.span.clone()).is_some_and(|written| !written.contains('<'));
        escaped_twice::check(passage.text, &passage.span, can_edit, &path, findings);
    }
    if let Some(label) = negative_label(passage.text) {
        let span = passage.place(label.clone());
        findings.push(negative_split::label_in_text(span, &passage.text[label]).at(path()));
    }
}

fn finding(passage: &Passage<'_>, found: &Found, span: Range<usize>) -> Finding {
    let written = &passage.text[found.span.clone()];
    match found.pattern {
        Pattern::Weight => weight_syntax::finding(span, written),
        Pattern::Markdown => markdown::finding(span, written),
        Pattern::Instruction(instruction) => foreign_syntax::finding(span, written, instruction),
    }
}

/// The label of a negative prompt inside a text that is drawn.
fn negative_label(text: &str) -> Option<Range<usize>> {
    // `：` begins with the last of these bytes.
    if !text.bytes().any(|byte| matches!(byte, b':' | b'=' | 0xEF)) {
        return None;
    }
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let at = start;
        start += line.len();
        let line = line.trim_end();
        if let Some((Label::Negative, end)) = phrases::heading(line).filter(|(_, end)| *end < line.len()) {
            return Some(at..at + end);
        }
        if let Some(label) = phrases::inline_negative(line) {
            return Some(at + label.start..at + label.end);
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

    /// Adds what is written instead. A part of a text without places of its own can only be described.
    fn with_fix(&self, finding: Finding, span: Range<usize>, plain: Option<&str>) -> Finding {
        let Some(plain) = plain else { return finding };
        let is_part = span != self.span || plain.is_empty();
        if !self.is_verbatim && is_part {
            return finding;
        }
        if plain.is_empty() {
            let finding = if finding.has_help() { finding } else { finding.help("remove it") };
            return finding.with_edits([remove(span)]);
        }
        let written = match self.is_escaped {
            true => quick_xml::escape::partial_escape(plain).into_owned(),
            false => plain.to_owned(),
        };
        finding.fix(format!("write `{}`", excerpt(plain)), [replace(span, written)])
    }
}
