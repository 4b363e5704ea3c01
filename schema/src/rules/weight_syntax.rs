//! `weight-syntax`: `(tag:1.2)`, which only other programs understand.

use std::ops::Range;

use crate::findings::{Finding, excerpt, remove};
use crate::rule::rule;

rule! {
    /// Other programs read `(tag:1.2)`, `((tag))`, `[tag]`, `{{tag}}` or `1.3::tag::` as a weight. Here the text encoders
    /// read every character: the brackets and the number become words of the prompt. Write the tag alone; what matters
    /// most is described in more words.
    "weight-syntax", Warning;
    bad: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>(long_hair:1.2), blue_eyes</appearance>\n</character_1>\n";
    good: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>long_hair, blue_eyes</appearance>\n</character_1>\n";
    messages: [
        Warning "`…` is read literally: the encoders know no weights",
        Warning "`…` is read literally: the encoders know no weights, so it is asked for",
    ];
}

/// A weight that the encoders read literally.
pub(crate) fn finding(span: Range<usize>, written: &str) -> Finding {
    let message = format!("`{}` is read literally: the encoders know no weights", excerpt(written));
    Finding::new(&RULE, span, message).help("write it without the number and the brackets of the weight")
}

/// A weight of zero or less.
pub(crate) fn against(span: Range<usize>, written: &str) -> Finding {
    let message = format!("`{}` is read literally: the encoders know no weights, so it is asked for", excerpt(written));
    Finding::new(&RULE, span, message).help("remove it, and write what must not be drawn into the negative prompt")
}

/// One weight of several tags, with the edits that take it off.
pub(crate) fn group(span: Range<usize>, written: &str, [open, close]: [Range<usize>; 2]) -> Finding {
    finding(span, written).fix("write the tags alone", [remove(open), remove(close)])
}
