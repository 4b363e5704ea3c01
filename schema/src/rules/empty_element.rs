//! `empty-element`: an element with nothing in it.

use crate::findings::{Finding, remove};
use crate::rule::rule;
use crate::tree::Element;

rule! {
    /// An element with nothing to say is left out; only `<n>` may be empty. A lenient check leaves it out.
    "empty-element", Warning, strict Error;
    bad: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<clothing></clothing>\n</character_1>\n";
    good: "<character_1>\n<n></n>\n<gender>1girl</gender>\n</character_1>\n";
    messages: [
        Warning "`<…>` is empty",
        Warning "the caption is empty",
    ];
}

/// An element of text without text.
pub(crate) fn finding(element: &Element<'_>, name: &str) -> Finding {
    Finding::new(&RULE, element.span(), format!("`<{name}>` is empty"))
        .fix("remove it, or fill it", [remove(element.span())])
}

/// A typed caption without text.
pub(crate) fn typed_caption(span: std::ops::Range<usize>) -> Finding {
    Finding::new(&RULE, span, "the caption is empty").help("leave it out, or fill it")
}
