//! `empty-prompt`: nothing to draw.

use crate::findings::Finding;
use crate::rule::rule;

rule! {
    /// The prompt is empty. That is valid: the picture is drawn without any condition and can be anything.
    "empty-prompt", Warning;
    bad: "<prompt></prompt>";
    good: "<prompt><caption>A girl laughs.</caption></prompt>";
    messages: [
        Warning "the prompt is empty: the picture will be unconditioned",
    ];
}

/// The text as a whole.
pub(crate) fn finding(span: std::ops::Range<usize>) -> Finding {
    Finding::new(&RULE, span, "the prompt is empty: the picture will be unconditioned")
        .help("add at least a `<caption>` or a `<character_1>`")
}
