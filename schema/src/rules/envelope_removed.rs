//! `envelope-removed`: what other tools put around the blocks.

use std::ops::Range;

use crate::findings::{Finding, excerpt, remove, replace};
use crate::rule::rule;
use crate::tree::Element;

rule! {
    /// Prompts travel in many wrappers: `<img>`, `<image>` or `<document>` around the blocks, braces, a JSON object
    /// with the XML in `tags`, a sentence behind `caption:`. All are understood; the blocks are taken out, and the
    /// canonical form has none of it. A member of a JSON wrapper that has no place in a prompt, such as a bounding box,
    /// is left out with a warning.
    "envelope-removed", Advice, strict Error;
    bad: "<img>\n<caption>A girl laughs.</caption>\n</img>\n";
    good: "<caption>A girl laughs.</caption>\n";
}

/// An element around the blocks.
pub(crate) fn element(element: &Element<'_>) -> Finding {
    let mut edits = vec![remove(element.open.clone())];
    edits.extend(element.close.as_ref().map(|close| remove(close.tag.clone())));
    Finding::new(&RULE, element.open.clone(), format!("the blocks are taken out of `<{}>`", excerpt(element.name)))
        .fix("remove its tags", edits)
}

/// A brace around the blocks.
pub(crate) fn brace(span: Range<usize>) -> Finding {
    Finding::new(&RULE, span.clone(), "the brace around the blocks is removed").fix("remove it", [remove(span)])
}

/// `caption:` and a sentence; `sentence` is escaped already.
pub(crate) fn trailing_caption(span: Range<usize>, label: &str, sentence: &str) -> Finding {
    let message = format!("the sentence behind `{}` is taken as the caption", excerpt(label));
    let element = format!("<caption>{sentence}</caption>");
    Finding::new(&RULE, span.clone(), message).fix("write it as `<caption>`", [replace(span, element)])
}

/// A JSON object; `canonical` is the prompt without it.
pub(crate) fn json(span: Range<usize>, whole: Range<usize>, canonical: Option<String>) -> Finding {
    let finding = Finding::new(&RULE, span, "the blocks are taken out of a JSON object");
    match canonical {
        Some(canonical) => finding.fix("send the blocks alone", [replace(whole, canonical)]),
        None => finding.help("send the blocks alone"),
    }
}

/// A member of the JSON object that is lost.
pub(crate) fn json_member(span: Range<usize>, path: &str) -> Finding {
    Finding::new(&RULE, span, format!("`{}` has no place in a prompt and is left out", excerpt(path))).into_warning()
}

/// A JSON object without anything to read.
pub(crate) fn json_without_tags(span: Range<usize>) -> Finding {
    Finding::new(&RULE, span, "the JSON object holds neither `tags` nor `caption`, at the top or in `image`")
        .into_error()
        .help("put the XML into a text member `tags`, or send it without the JSON")
}
