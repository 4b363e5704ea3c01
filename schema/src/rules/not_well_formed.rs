//! `not-well-formed`: markup that is broken in itself.

use std::ops::Range;

use crate::findings::{Finding, excerpt, insert, remove};
use crate::rule::rule;

rule! {
    /// The markup is broken: a tag without its `>`, malformed attributes, a comment that never ends, a JSON wrapper
    /// that is not JSON. What can still be understood is read; the rest is an error, because nobody knows what was
    /// meant.
    "not-well-formed", Warning, strict Error;
    bad: "<character_1>\n<n>miku</n>\n<gender kind=girl>1girl</gender>\n</character_1>\n";
    good: "<character_1>\n<n>miku</n>\n<gender>1girl</gender>\n</character_1>\n";
    messages: [
        Warning "`…` is not an attribute and is left out",
        Warning "an attribute cannot be read and is left out: …",
        Warning "the tag `…` lacks its `>`",
        Error "this … has no end, so everything behind it belongs to it",
        Warning "a comment may not hold `--`; it is left out",
        Warning "an XML declaration reads `<?xml version=\"1.0\"?>` and stands at the very beginning; this one is left out",
        Warning "a processing instruction needs a plain name behind `<?`; this one is left out",
        Error "this begins like a JSON wrapper, but it is not JSON: …",
        Warning "a JSON string may not hold a line break or another control character as such; it is read as it stands",
    ];
}

/// A tag with something after its name that is not an attribute.
pub(crate) fn attributes(tag: Range<usize>, junk: Range<usize>, source: &str) -> Finding {
    let message = format!("`{}` is not an attribute and is left out", excerpt(&source[junk.clone()]));
    Finding::new(&RULE, tag, message).fix("remove it", [remove(junk)])
}

/// A start tag with an attribute that cannot be read.
pub(crate) fn attribute(tag: Range<usize>, fault: &str) -> Finding {
    Finding::new(&RULE, tag, format!("an attribute cannot be read and is left out: {fault}"))
        .help("remove the attribute: a prompt needs none")
}

/// A tag without `>`.
pub(crate) fn unfinished(tag: Range<usize>, source: &str) -> Finding {
    let message = format!("the tag `{}` lacks its `>`", excerpt(&source[tag.clone()]));
    Finding::new(&RULE, tag.clone(), message).fix("add the `>`", [insert(tag.end, ">")])
}

/// A comment, CDATA section or processing instruction without end; `rest` starts with it.
pub(crate) fn endless(span: Range<usize>, rest: &str) -> Finding {
    let (what, end) = match rest.as_bytes().get(1..4) {
        Some(b"!--") => ("comment", "-->"),
        Some(b"![C") => ("CDATA section", "]]>"),
        _ => ("processing instruction", "?>"),
    };
    Finding::new(&RULE, span.clone(), format!("this {what} has no end, so everything behind it belongs to it"))
        .into_error()
        .help(format!("end the {what} with `{end}`"))
}

/// A comment with `--` inside, a processing instruction without a valid name, an XML declaration in the middle.
pub(crate) fn malformed(span: Range<usize>, written: &str) -> Finding {
    let message = if written.starts_with("<!--") {
        "a comment may not hold `--`; it is left out"
    } else if written.len() > 4
        && written[2..].trim_start().get(..3).is_some_and(|name| name.eq_ignore_ascii_case("xml"))
    {
        "an XML declaration reads `<?xml version=\"1.0\"?>` and stands at the very beginning; this one is left out"
    } else {
        "a processing instruction needs a plain name behind `<?`; this one is left out"
    };
    Finding::new(&RULE, span.clone(), message).fix("remove it", [remove(span)])
}

/// A JSON wrapper that is not JSON.
pub(crate) fn json(span: Range<usize>, fault: &str) -> Finding {
    Finding::new(&RULE, span, format!("this begins like a JSON wrapper, but it is not JSON: {fault}"))
        .into_error()
        .help("fix the JSON, or send the XML without it")
}

/// A line break inside a JSON string, which JSON wants as `\n`.
pub(crate) fn json_line_break(span: Range<usize>) -> Finding {
    Finding::new(
        &RULE,
        span,
        "a JSON string may not hold a line break or another control character as such; it is read as it stands",
    )
    .help("write `\\n`, or send the XML without the JSON")
}
