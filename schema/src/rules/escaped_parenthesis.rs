//! `escaped-parenthesis`: `\(`, which only other programs understand.

use crate::findings::{Finding, Findings, excerpt, replace};
use crate::outline::{Block, Field};
use crate::rule::rule;

rule! {
    /// Programs with weights want `rem_\(re:zero\)` where the name has parentheses. Here the text encoders read the
    /// backslashes too. Prompts of the model's authors have both forms, so this is only advice.
    "escaped-parenthesis", Advice;
    bad: "<general_tags>\n<style>watercolor_\\(medium\\)</style>\n</general_tags>\n";
    good: "<general_tags>\n<style>watercolor_(medium)</style>\n</general_tags>\n";
}

/// Looks for escaped parentheses in a field.
pub(crate) fn check(block: &Block<'_>, field: &Field<'_>, findings: &mut Findings) {
    for tag in field.tags.iter().filter(|tag| tag.text.contains('\\')) {
        if !tag.text.contains("\\(") && !tag.text.contains("\\)") {
            continue;
        }
        let plain = tag.text.replace("\\(", "(").replace("\\)", ")");
        let message = format!("the backslashes of `{}` are read literally", excerpt(&tag.text));
        let written = quick_xml::escape::partial_escape(plain.as_str()).into_owned();
        findings.push(
            Finding::new(&RULE, tag.span.clone(), message)
                .at(block.path_of(field))
                .fix(format!("write `{}`", excerpt(&plain)), [replace(tag.span.clone(), written)]),
        );
    }
}
