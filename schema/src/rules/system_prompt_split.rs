//! `system-prompt-split`: the instruction in front of the prompt.

use std::ops::Range;

use crate::findings::{Finding, excerpt, remove};
use crate::rule::rule;

rule! {
    /// Many tools put a system prompt in front, which ends in `<Prompt Start>`. It is no part of the prompt: it is
    /// split off and handed on beside it, and the rest is read as if it had not been there.
    "system-prompt-split", Advice, strict Error;
    bad: "You are an assistant designed to generate anime images. <Prompt Start> <caption>A girl laughs.</caption>";
    good: "<caption>A girl laughs.</caption>";
}

/// The system prompt; `until` is where the prompt begins.
pub(crate) fn finding(span: Range<usize>, until: usize, text: &str) -> Finding {
    let message = format!("the system prompt `{}` is split off", excerpt(text));
    Finding::new(&RULE, span.clone(), message).fix("hand it over separately", [remove(span.start..until.max(span.end))])
}
