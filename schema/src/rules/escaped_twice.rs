//! `escaped-twice`: text that was escaped once more than XML needs.

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
        if let Some((character, end)) = entity_at(text, at) {
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
