//! `ignored-markup`: comments and processing instructions.

use std::ops::Range;

use crate::findings::{Finding, excerpt, remove};
use crate::rule::rule;

rule! {
    /// Comments and processing instructions are valid XML, but the encoders never see them, and the canonical form
    /// does not keep them.
    "ignored-markup", Advice;
    bad: "<caption>A girl.</caption>\n<!-- try red hair next -->\n";
    good: "<caption>A girl.</caption>\n";
    messages: [
        Advice "the … `…` is not part of the prompt",
    ];
}

/// A comment or processing instruction.
pub(crate) fn finding(span: Range<usize>, written: &str) -> Finding {
    let what = if written.starts_with("<!--") { "comment" } else { "processing instruction" };
    Finding::new(&RULE, span.clone(), format!("the {what} `{}` is not part of the prompt", excerpt(written)))
        .fix("remove it if it is not needed", [remove(span)])
}
