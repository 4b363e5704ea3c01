//! `full-width`: letters and digits of full width in a tag.

use std::ops::Range;

use crate::findings::{Finding, excerpt};
use crate::rule::rule;

rule! {
    /// Chinese and Japanese keyboards write letters and digits of full width, such as `１girl` or `ｌｏｎｇ＿ｈａｉｒ`. They
    /// look like the plain ones, but to the encoders they are other characters, which the model has hardly seen.
    "full-width", Warning;
    bad: "<general_tags>\n<other>ｌｏｎｇ＿ｈａｉｒ</other>\n</general_tags>\n";
    good: "<general_tags>\n<other>long_hair</other>\n</general_tags>\n";
    messages: [
        Warning "`…` has letters or digits of full width or of a mathematical alphabet, which are other characters to the encoders",
    ];
}

/// A tag with such characters.
pub(crate) fn finding(span: Range<usize>, written: &str) -> Finding {
    let message = format!(
        "`{}` has letters or digits of full width or of a mathematical alphabet, which are other characters to the encoders",
        excerpt(written)
    );
    Finding::new(&RULE, span, message).help("write plain letters and digits")
}
