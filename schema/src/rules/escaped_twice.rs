//! `escaped-twice`: text that was escaped once more than XML needs.

use std::borrow::Cow;
use std::ops::Range;

use crate::findings::{Finding, Findings, excerpt, replace};
use crate::rule::rule;
use crate::xml::entity_at;

rule! {
    /// A program that escapes text which is escaped already writes `&amp;amp;` for `&`, or `&lt;n&gt;` for the tag
    /// `<n>`. A prompt that is escaped as a whole is decoded. Inside a text the reading stays as XML has it: the encoders
    /// would read `&amp;`, which is hardly meant.
    "escaped-twice", Warning;
    bad: "<general_tags>\n<artists>ink_&amp;amp;_paper</artists>\n</general_tags>\n";
    good: "<general_tags>\n<artists>ink_&amp;_paper</artists>\n</general_tags>\n";
    messages: [
        Warning "the markup is escaped once too often, as in `&lt;n&gt;` for `<n>` or `\\n` for a line break; it is decoded",
        Error "`…` is text here, not markup: it is escaped or in a CDATA section",
        Warning "the tag `…` is text here: the encoders read its brackets too",
        Warning "`…` is escaped twice: the encoders read `…`, not `…`",
    ];
}

/// A prompt that is escaped as a whole; `canonical` is the prompt without its escapes.
pub(crate) fn whole(span: Range<usize>, whole: Range<usize>, canonical: Option<String>) -> Finding {
    let message =
        "the markup is escaped once too often, as in `&lt;n&gt;` for `<n>` or `\\n` for a line break; it is decoded";
    let finding = Finding::new(&RULE, span, message);
    match canonical {
        Some(canonical) => finding.fix("send the markup itself", [replace(whole, canonical)]),
        None => finding.help("send the markup itself"),
    }
}

/// Text between elements that holds markup once more: in references, or in a section of character data.
pub(crate) fn between_elements(span: Range<usize>, text: &str) -> Finding {
    let message = format!("`{}` is text here, not markup: it is escaped or in a CDATA section", excerpt(text));
    Finding::new(&RULE, span, message).into_error().help("write the markup itself, without references around it")
}

/// Looks for a tag that is text, since its brackets are references: `&lt;b&gt;blue hair&lt;/b&gt;`.
pub(crate) fn check_tags(text: &str, span: &Range<usize>, path: impl Fn() -> String, findings: &mut Findings) {
    if let Some(tag) = end_tag(text) {
        let message = format!("the tag `{}` is text here: the encoders read its brackets too", excerpt(tag));
        findings.push(Finding::new(&RULE, span.clone(), message).at(path()).help("leave the tag out"));
    }
}

/// Looks for references that are left after XML has resolved its own. `can_edit` says that `span` is the written text.
pub(crate) fn check(
    text: &str,
    span: &Range<usize>,
    can_edit: bool,
    path: impl Fn() -> String,
    findings: &mut Findings,
) {
    if !text.contains('&') {
        return;
    }
    let mut decoded = String::new();
    let mut copied = 0;
    let mut first = None;
    for (at, _) in text.match_indices('&') {
        if at < copied {
            continue;
        }
        if let Some((character, end)) = entity_through(text, at) {
            first.get_or_insert_with(|| (text[at..end].to_owned(), character.clone().into_owned()));
            decoded.push_str(&text[copied..at]);
            decoded.push_str(&character);
            copied = end;
        }
    }
    let Some((entity, character)) = first else { return };
    decoded.push_str(&text[copied..]);
    let message = format!("`{}` is escaped twice: the encoders read `{}`, not `{}`", excerpt(text), entity, character);
    let finding = Finding::new(&RULE, span.clone(), message).at(path());
    let written = quick_xml::escape::partial_escape(decoded.as_str()).into_owned();
    findings.push(match can_edit {
        true => finding.fix(format!("write `{}`", excerpt(&written)), [replace(span.clone(), written.clone())]),
        false => finding.help(format!("write `{}`", excerpt(&written))),
    });
}

/// The text of the entity at an offset, however often its `&` is escaped, and its end: `&amp;amp;lt;` is `<`.
fn entity_through(text: &str, at: usize) -> Option<(Cow<'static, str>, usize)> {
    const LEVELS_MAX: usize = 16;
    const LONGEST: usize = 36;
    let (mut character, mut end) = entity_at(text, at)?;
    for _ in 0..LEVELS_MAX {
        if character != "&" {
            break;
        }
        let near = format!("&{}", &text[end..text.floor_char_boundary(end + LONGEST)]);
        let Some((inner, length)) = entity_at(&near, 0) else { break };
        (character, end) = (inner, end + length - 1);
    }
    Some((character, end))
}

/// An end tag of markup inside a text: `</b>`.
fn end_tag(text: &str) -> Option<&str> {
    text.match_indices("</").find_map(|(at, _)| {
        let name = text[at + 2..].bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let end = at + 2 + name;
        (name > 0 && text[end..].starts_with('>')).then(|| &text[at..=end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_of_entities_are_read_at_once() {
        for (text, expected) in [
            ("&amp;", ("&", 5)),
            ("&amp;amp;lt;", ("<", 12)),
            ("&#38;#38;amp;", ("&", 13)),
            ("&amp;#60;b", ("<", 9)),
            ("&amp; b", ("&", 5)),
        ] {
            assert_eq!(entity_through(text, 0), Some((expected.0.into(), expected.1)), "{text}");
        }
    }

    #[test]
    fn end_tags_are_found() {
        assert_eq!(end_tag("<b>blue hair</b>"), Some("</b>"));
        assert_eq!(end_tag("</3 and </ b>"), None);
    }
}
