//! `plain-text`: a prompt without markup.

use std::ops::Range;

use crate::findings::{Finding, replace};
use crate::rule::rule;

rule! {
    /// Plain tags or sentences work: they are taken as the caption and reach the encoders as they are written. The
    /// model was trained on blocks, though, and keeps two characters apart better with them. The XSD has no such
    /// form, so a strict check refuses it. In the `tags` of a JSON object they are taken in the same way, with the
    /// object's own caption as another line.
    "plain-text", Advice, strict Error;
    bad: "1girl, silver hair, blue eyes, standing in the rain";
    good: "<caption>1girl, silver hair, blue eyes, standing in the rain</caption>";
    messages: [
        Advice "there is no markup, so the text is taken as the caption",
        Advice "there is no markup, so the text is taken as the caption, and the object's own as its next line",
    ];
}

/// The text as a whole; `text` is what it is read as.
pub(crate) fn finding(text: &str, span: Range<usize>) -> Finding {
    let caption = format!("<caption>{}</caption>", quick_xml::escape::partial_escape(text));
    Finding::new(&RULE, span.clone(), "there is no markup, so the text is taken as the caption")
        .fix("say so with `<caption>`", [replace(span, caption)])
}

/// The tags of a JSON object that has a caption as well.
pub(crate) fn with_caption(span: Range<usize>) -> Finding {
    let message = "there is no markup, so the text is taken as the caption, and the object's own as its next line";
    Finding::new(&RULE, span, message).help("write the tags inside blocks")
}
