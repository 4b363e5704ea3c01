//! `markdown`: marks of a formatted answer inside a text.

use crate::findings::Finding;
use crate::rule::rule;

rule! {
    /// Language models answer in Markdown. Here the encoders read every character, so the marks of `**bold**`, `` `code` ``
    /// or `~~strikethrough~~` become words of the prompt.
    "markdown", Warning;
    bad: "<general_tags>\n<style>**soft_watercolour**, `paper_grain`</style>\n</general_tags>\n";
    good: "<general_tags>\n<style>soft_watercolour, paper_grain</style>\n</general_tags>\n";
    messages: [
        Warning "the Markdown marks of `…` are read literally",
    ];
}

/// Marks that the encoders would read.
pub(crate) fn finding(span: std::ops::Range<usize>, written: &str) -> Finding {
    let written = crate::findings::excerpt(written);
    Finding::new(&RULE, span, format!("the Markdown marks of `{written}` are read literally"))
}
