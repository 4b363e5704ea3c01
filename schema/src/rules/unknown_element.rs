//! `unknown-element`: an element that the language does not have.

use super::renamed_element::rename;
use crate::diagnostic::Edit;
use crate::findings::{Finding, excerpt, remove, replace};
use crate::rule::rule;
use crate::source::Change;
use crate::tree::Element;

rule! {
    /// The XSD lists the elements of a character, of the general tags and of the prompt; there are no others. A lenient
    /// check reads a slip of the pen as the element that is nearest, keeps the tags of an unknown one as `appearance`
    /// (in a character) or as `other` (elsewhere), and takes an unknown element inside text for its text.
    "unknown-element", Warning, strict Error;
    bad: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<apperance>long_hair</apperance>\n</character_1>\n";
    good: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>long_hair</appearance>\n</character_1>\n";
    messages: [
        Warning "there is no `<…>`; it is read as `<…>`",
        Warning "there is no `<…>`…; it holds nothing and is left out",
        Warning "there is no `<…>`…; its tags are read as `…`",
        Warning "there is no `<…>` inside text; only its text is read",
        Warning "`…` is HTML, which a prompt does not have; it is …",
        Warning "`…`, like … more …, is HTML, which a prompt does not have; it is …",
    ];
}

/// A name that is nearly one of the language.
pub(crate) fn similar(element: &Element<'_>, name: &str) -> Finding {
    let message = format!("there is no `<{}>`; it is read as `<{name}>`", excerpt(element.name));
    Finding::new(&RULE, element.open.clone(), message).fix(format!("did you mean `<{name}>`?"), rename(element, name))
}

/// A name that is nothing of the language; its tags go to the field `fallback` of the block `home`.
pub(crate) fn moved(element: &Element<'_>, parent: &str, home: &str, fallback: &str, is_empty: bool) -> Finding {
    let name = excerpt(element.name);
    let inside = if parent.is_empty() { String::new() } else { format!(" in `<{parent}>`") };
    let path = if parent.is_empty() { name.clone().into_owned() } else { format!("{parent}/{name}") };
    let finding = if is_empty {
        let message = format!("there is no `<{name}>`{inside}; it holds nothing and is left out");
        Finding::new(&RULE, element.open.clone(), message).fix("remove it", [remove(element.span())])
    } else {
        let target = if home.is_empty() { fallback.to_owned() } else { format!("{home}/{fallback}") };
        let message = format!("there is no `<{name}>`{inside}; its tags are read as `{target}`");
        Finding::new(&RULE, element.open.clone(), message).help(format!("write its tags into `<{fallback}>`"))
    };
    finding.at(path)
}

/// An unknown element inside text. In a list of tags it separates them, as its fix does.
pub(crate) fn unwrapped(element: &Element<'_>, source: &str, is_list: bool) -> Finding {
    let is_apart = |side: &str, is_before: bool| {
        let side = side.trim();
        let edge = if is_before { side.chars().next_back() } else { side.chars().next() };
        edge.is_none_or(|edge| matches!(edge, ',' | '<' | '>'))
    };
    let separator = |is_needed: bool| if is_list && is_needed { ", " } else { "" };
    let before = source.get(..element.open.start).is_some_and(|before| !is_apart(before, true));
    let mut edits = vec![replace(element.open.clone(), separator(before))];
    edits.extend(element.close.as_ref().map(|close| {
        let behind = source.get(close.tag.end..).is_some_and(|behind| !is_apart(behind, false));
        replace(close.tag.clone(), separator(behind))
    }));
    let message = format!("there is no `<{}>` inside text; only its text is read", excerpt(element.name));
    Finding::new(&RULE, element.open.clone(), message).fix("remove its tags", edits)
}

/// Marks of HTML, and what each is read as. They are one finding: without its other end a mark would be text.
pub(crate) fn html(changes: &[Change], source: &str) -> Finding {
    let edits: Vec<Edit> =
        changes.iter().map(|(span, replacement)| replace(span.clone(), replacement.as_ref())).collect();
    let first = changes.first().map(|(span, _)| span.clone()).unwrap_or_default();
    let written = excerpt(source.get(first.clone()).unwrap_or_default());
    let has_break = changes.iter().any(|(_, replacement)| !replacement.is_empty());
    let has_rest = changes.iter().any(|(_, replacement)| replacement.is_empty());
    let (read, fix) = match (has_break, has_rest) {
        (true, true) => ("left out, or read as a line break", "remove it, or write a line break"),
        (true, false) => ("read as a line break", "write a line break"),
        _ => ("left out", "remove it"),
    };
    let subject = match changes.len() {
        0 | 1 => format!("`{written}` is HTML"),
        2 => format!("`{written}`, like one more tag, is HTML"),
        count => format!("`{written}`, like {} more tags, is HTML", count - 1),
    };
    Finding::new(&RULE, first, format!("{subject}, which a prompt does not have; it is {read}")).fix(fix, edits)
}
