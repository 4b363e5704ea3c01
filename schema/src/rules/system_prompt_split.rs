//! `system-prompt-split`: the instruction in front of the prompt.

use std::ops::Range;

use crate::findings::{Finding, excerpt, remove};
use crate::rule::rule;

rule! {
    /// Many tools put a system prompt in front, which ends in `<Prompt Start>`. It is not a part of the prompt: it is split
    /// off, and the rest is read without it. It is used as the system prompt of that prompt unless the request has one;
    /// so is the system prompt of a negative prompt, for the negative prompt.
    "system-prompt-split", Advice, strict Error;
    bad: "You are an assistant designed to generate anime images. <Prompt Start> <caption>A girl laughs.</caption>";
    good: "<caption>A girl laughs.</caption>";
    messages: [
        Advice "the system prompt `…` is split off",
        Advice "the system prompt `…` of the negative prompt is split off",
    ];
}

/// The system prompt; `until` is where the prompt begins.
pub(crate) fn finding(span: Range<usize>, until: usize, text: &str) -> Finding {
    let message = format!("the system prompt `{}` is split off", excerpt(text));
    Finding::new(&RULE, span.clone(), message)
        .fix("give it separately (`--system-prompt`)", [remove(span.start..until.max(span.end))])
}

/// The system prompt of a negative prompt.
pub(crate) fn of_negative(span: Range<usize>, until: usize, text: &str) -> Finding {
    let message = format!("the system prompt `{}` of the negative prompt is split off", excerpt(text));
    Finding::new(&RULE, span.clone(), message)
        .fix("give it separately (`--negative-system-prompt`)", [remove(span.start..until.max(span.end))])
}

/// A system prompt in a JSON object.
pub(crate) fn member(span: Range<usize>, text: &str) -> Finding {
    Finding::new(&RULE, span, format!("the system prompt `{}` is split off", excerpt(text)))
        .help("give it separately (`--system-prompt`)")
}
