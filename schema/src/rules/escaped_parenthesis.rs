//! `escaped-parenthesis`: `\(`, which only other programs understand.

use std::ops::Range;

use crate::findings::{Finding, excerpt};
use crate::rule::rule;

rule! {
    /// Programs with weights want `rem_\(re:zero\)` where the name has parentheses. Here the text encoders read the
    /// backslashes too. Prompts of the model's authors have both forms, so this is only advice.
    "escaped-parenthesis", Advice;
    bad: "<general_tags>\n<style>watercolor_\\(medium\\)</style>\n</general_tags>\n";
    good: "<general_tags>\n<style>watercolor_(medium)</style>\n</general_tags>\n";
    messages: [
        Advice "the backslashes of `…` are read literally",
    ];
}

/// A text with escaped parentheses, and the same without.
pub(crate) fn check(text: &str, span: Range<usize>) -> Option<(Finding, String)> {
    if !text.contains("\\(") && !text.contains("\\)") {
        return None;
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let behind = rest[at..].trim_start_matches('\\');
        // A program that escapes twice writes `\\\\(`.
        let kept = if behind.starts_with(['(', ')']) { at } else { rest.len() - behind.len() };
        plain.push_str(&rest[..kept]);
        rest = behind;
    }
    plain.push_str(rest);
    let message = format!("the backslashes of `{}` are read literally", excerpt(text));
    Some((Finding::new(&RULE, span, message), plain))
}
