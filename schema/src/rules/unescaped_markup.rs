//! `unescaped-markup`: a `<` or a `&` that is meant as itself.

use std::ops::Range;

use crate::findings::{Finding, excerpt, replace};

rule! {
    /// In XML a `<` begins a tag and a `&` a reference, so tags such as `>_<`, `<3` or `r&b` have to be escaped:
    /// `&gt;_&lt;`, `&lt;3`, `r&amp;b`. A lenient check reads the character as itself. The encoders never see the
    /// escapes: what they read is the unescaped text.
    "unescaped-markup", Warning, strict Error;
    bad: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<expression>>_<, blush</expression>\n</character_1>\n";
    good: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<expression>&gt;_&lt;, blush</expression>\n</character_1>\n";
}

/// A `<` that begins no markup; `rest` starts with it.
pub(crate) fn bracket(span: Range<usize>, rest: &str) -> Finding {
    let word: String = rest.chars().take_while(|character| !character.is_whitespace()).take(12).collect();
    Finding::new(&RULE, span.clone(), format!("`{}` begins no markup, so `<` has to be written `&lt;`", excerpt(&word)))
        .fix("write `&lt;`", [replace(span, "&lt;")])
}

/// A `&` that begins no reference.
pub(crate) fn ampersand(span: Range<usize>) -> Finding {
    Finding::new(&RULE, span.clone(), "`&` begins no reference, so it has to be written `&amp;`")
        .fix("write `&amp;`", [replace(span, "&amp;")])
}

/// A reference such as `&nbsp;` that XML does not define.
pub(crate) fn undefined(span: Range<usize>, written: &str) -> Finding {
    let message = format!("`{}` is no character that XML defines, so `&` has to be written `&amp;`", excerpt(written));
    Finding::new(&RULE, span.clone(), message).fix("write `&amp;`", [replace(span.start..span.start + 1, "&amp;")])
}

/// A `]]>` outside of a CDATA section.
pub(crate) fn section_end(span: Range<usize>) -> Finding {
    Finding::new(&RULE, span.clone(), "`]]>` ends no CDATA section, so it has to be written `]]&gt;`")
        .fix("write `]]&gt;`", [replace(span, "]]&gt;")])
}
