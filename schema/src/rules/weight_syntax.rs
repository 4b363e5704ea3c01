//! `weight-syntax`: `(tag:1.2)`, which only other programs understand.

use std::ops::Range;

use crate::findings::{Finding, excerpt};
use crate::rule::rule;

rule! {
    /// Other programs read `(tag:1.2)`, `((tag))`, `[tag]`, `{{tag}}` or `1.3::tag::` as a weight. Here the text encoders
    /// read every character: the brackets and the number become words of the prompt. Write the tag alone; what matters
    /// most is described in more words.
    "weight-syntax", Warning;
    bad: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>(long_hair:1.2), blue_eyes</appearance>\n</character_1>\n";
    good: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>long_hair, blue_eyes</appearance>\n</character_1>\n";
}

/// A weight that the encoders read literally.
pub(crate) fn finding(span: Range<usize>, written: &str) -> Finding {
    let message = format!("`{}` is read literally: the encoders know no weights", excerpt(written));
    Finding::new(&RULE, span, message)
}
