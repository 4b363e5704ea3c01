//! `too-many-findings`: the list was cut.

use crate::limits::Limits;
use crate::rule::rule;

rule! {
    /// So much is wrong that the list of findings was cut. Its severity is the highest among those left out, so that
    /// no error goes unnoticed.
    "too-many-findings", Advice;
    bad: "<caption>A girl & a cat & a dog & a bird.</caption>";
    good: "<caption>A girl, a cat, a dog and a bird.</caption>";
    limits: Limits { max_diagnostics: 2, ..Limits::DEFAULT };
    messages: [
        Advice "… more … not shown; fix the first ones and check again",
    ];
}

/// How many are not shown.
pub(crate) fn message(left_out: usize) -> String {
    let findings = if left_out == 1 { "finding is" } else { "findings are" };
    format!("{left_out} more {findings} not shown; fix the first ones and check again")
}
