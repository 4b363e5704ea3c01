//! `placeholder`: a part of a template that was not filled in.

use std::ops::Range;

use crate::findings::{Finding, excerpt};
use crate::rule::rule;

rule! {
    /// Templates mark what has to be filled in: `{name}`, `[hair color]`, `$gender$`, `...`, `TODO`. What is left of them is
    /// read like any other text. `$character_1$` as a name is meant so: the model was trained with it.
    "placeholder", Warning;
    bad: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>[hair color], long_hair</appearance>\n</character_1>\n";
    good: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>blue_hair, long_hair</appearance>\n</character_1>\n";
    messages: [
        Warning "`…` looks like a part of a template that was not filled in",
    ];
}

/// A part that was left as it was.
pub(crate) fn finding(span: Range<usize>, written: &str) -> Finding {
    let message = format!("`{}` looks like a part of a template that was not filled in", excerpt(written));
    Finding::new(&RULE, span, message).help("fill it in, or remove it")
}
