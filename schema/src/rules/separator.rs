//! `separator`: tags that are not separated by commas.

use std::ops::Range;

use crate::diagnostic::Edit;
use crate::findings::{Finding, excerpt, remove, replace};
use crate::rule::rule;
use crate::source::Change;

rule! {
    /// Tags are separated by commas. Chinese and Japanese keyboards write `，` and `、`, lists have one tag a line, other
    /// programs take semicolons; to the encoders the whole list would be one tag. A lenient check reads these as
    /// commas. A strict check reads the text as the XSD does, and only reports them. A line break inside a tag of two
    /// or three words, in a list with commas, counts as a space.
    "separator", Warning;
    bad: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>long_hair，red_eyes、smile</appearance>\n</character_1>\n";
    good: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>long_hair, red_eyes, smile</appearance>\n</character_1>\n";
    messages: [
        Warning "`…` between tags is …",
        Warning "a line break or tab between tags is …",
        Warning "the list mark `…` is a part of the tag",
        Warning "the list mark `…` is left out",
        Advice "the line break inside a tag is read as a space; if it separates two tags, write a comma",
        Warning "the list marks, such as `…`, are left out",
        Warning "the counts, marks and headings of a page of tags are left out",
    ];
}

/// What separates tags instead of a comma.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A comma of another script.
    WideComma,
    Semicolon,
    /// A bar or a dot.
    Bar,
    /// A line break or a tab.
    LineBreak,
    /// The mark before an entry of a list.
    Marker,
    /// A line break inside a tag.
    Wrapped,
}

/// Separators of one kind in one text.
pub(crate) fn finding(kind: Kind, spans: &[Range<usize>], source: &str, can_edit: bool, is_strict: bool) -> Finding {
    let first = spans.first().cloned().unwrap_or_default();
    let written = source.get(first.clone()).unwrap_or_default();
    let read = if is_strict { "not a comma, so the tags around it are one tag" } else { "read as a comma" };
    let message = match kind {
        Kind::WideComma | Kind::Semicolon | Kind::Bar => format!("`{}` between tags is {read}", excerpt(written)),
        Kind::LineBreak => format!("a line break or tab between tags is {read}"),
        Kind::Marker if is_strict => format!("the list mark `{}` is a part of the tag", excerpt(written)),
        Kind::Marker => format!("the list mark `{}` is left out", excerpt(written)),
        Kind::Wrapped => {
            "the line break inside a tag is read as a space; if it separates two tags, write a comma".to_owned()
        }
    };
    let edit = |span: &Range<usize>| -> Edit {
        match kind {
            Kind::WideComma | Kind::Semicolon | Kind::Bar => {
                let is_spaced = source.get(span.end..).is_some_and(|behind| behind.starts_with(char::is_whitespace));
                replace(span.clone(), if is_spaced { "," } else { ", " })
            }
            Kind::LineBreak => replace(span.clone(), ","),
            Kind::Marker => remove(span.clone()),
            Kind::Wrapped => replace(span.clone(), " "),
        }
    };
    let edits: Vec<Edit> = if can_edit { spans.iter().map(edit).collect() } else { Vec::new() };
    let description = match kind {
        Kind::Marker => "remove it, and separate tags with commas",
        Kind::Wrapped => "write the tag on one line",
        _ => "separate tags with commas",
    };
    let finding = Finding::new(&RULE, first, message).fix(description, edits);
    if kind == Kind::Wrapped { finding.into_advice() } else { finding }
}

/// A plain text that is a list with marks; `changes` make it a text without them.
pub(crate) fn plain_list(span: Range<usize>, written: &str, changes: &[Change]) -> Finding {
    let edits: Vec<Edit> =
        changes.iter().map(|(span, replacement)| replace(span.clone(), replacement.as_ref())).collect();
    Finding::new(&RULE, span, format!("the list marks, such as `{}`, are left out", excerpt(written)))
        .fix("remove them, and separate tags with commas", edits)
}

/// A plain text of tags with counts; `changes` make it a list of tags.
pub(crate) fn tag_page(changes: &[Change]) -> Finding {
    let first = changes.first().map(|(span, _)| span.clone()).unwrap_or_default();
    let edits: Vec<Edit> =
        changes.iter().map(|(span, replacement)| replace(span.clone(), replacement.as_ref())).collect();
    Finding::new(&RULE, first, "the counts, marks and headings of a page of tags are left out")
        .fix("remove them, and separate tags with commas", edits)
}
