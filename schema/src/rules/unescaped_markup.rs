//! `unescaped-markup`: a `<` or a `&` that is meant as itself.

use std::ops::Range;

use crate::findings::{Finding, excerpt, remove, replace};
use crate::rule::rule;

rule! {
    /// In XML a `<` begins a tag and a `&` a reference, so tags such as `>_<`, `<3` or `r&b` have to be escaped:
    /// `&gt;_&lt;`, `&lt;3`, `r&amp;b`. A lenient check reads the character as itself. The encoders never see the
    /// escapes: what they read is the unescaped text.
    "unescaped-markup", Warning, strict Error;
    bad: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<expression>>_<, blush</expression>\n</character_1>\n";
    good: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<expression>&gt;_&lt;, blush</expression>\n</character_1>\n";
    messages: [
        Warning "`…` begins no markup, so `<` has to be written `&lt;`",
        Warning "`&` begins no reference, so it has to be written `&amp;`",
        Warning "`…` is a name of HTML, which XML does not define; it is …",
        Warning "`…` is read as `…`: plain text needs no escapes",
        Warning "`…` begins no markup and is read as text",
        Warning "`…` is not a character that XML defines, so `&` has to be written `&amp;`",
        Warning "`]]>` ends no CDATA section, so it has to be written `]]&gt;`",
    ];
}

/// A `<` that begins no markup; `rest` starts with it.
pub(crate) fn bracket(span: Range<usize>, rest: &str) -> Finding {
    let message = format!("`{}` begins no markup, so `<` has to be written `&lt;`", excerpt(literal(rest)));
    Finding::new(&RULE, span.clone(), message).fix("write `&lt;`", [replace(span, "&lt;")])
}

/// What a reader takes for one piece with the `<` at the beginning of `rest`: `<lora:x:1>` and `<Prompt Start>` up to
/// their ends, else a word up to the next blank, comma or tag.
fn literal(rest: &str) -> &str {
    const FAR: usize = 160;
    let near = &rest[..rest.floor_char_boundary(FAR)];
    let inside = near.strip_prefix('<').unwrap_or(near);
    let bound = inside.find(['<', '>', ',', '\n']);
    let is_closed = bound.is_some_and(|at| at > 0 && inside[at..].starts_with('>'));
    match bound {
        Some(at) if is_closed => &near[..near.len() - inside.len() + at + 1],
        _ => {
            let end = inside.find(|character: char| character.is_whitespace() || "<,".contains(character));
            &near[..near.len() - inside.len() + end.unwrap_or(inside.len())]
        }
    }
}

/// A `&` that begins no reference.
pub(crate) fn ampersand(span: Range<usize>) -> Finding {
    Finding::new(&RULE, span.clone(), "`&` begins no reference, so it has to be written `&amp;`")
        .fix("write `&amp;`", [replace(span, "&amp;")])
}

/// A name of HTML such as `&eacute;`; it is read as its character.
pub(crate) fn entity(span: Range<usize>, written: &str, character: &str) -> Finding {
    let written = excerpt(written);
    let replacement = quick_xml::escape::partial_escape(character).into_owned();
    let (read, fix) = match character {
        "" => ("left out".to_owned(), "remove it".to_owned()),
        " " => ("read as a space".to_owned(), "write a space".to_owned()),
        _ => (format!("read as `{character}`"), format!("write `{replacement}`")),
    };
    let message = format!("`{written}` is a name of HTML, which XML does not define; it is {read}");
    Finding::new(&RULE, span.clone(), message).fix(fix, [replace(span, replacement)])
}

/// An entity of HTML in plain text; it is read as its character.
pub(crate) fn entity_in_plain_text(span: Range<usize>, written: &str, character: &str) -> Finding {
    let message = format!("`{}` is read as `{character}`: plain text needs no escapes", excerpt(written));
    Finding::new(&RULE, span.clone(), message).fix(format!("write `{character}`"), [replace(span, character)])
}

/// A `<` that begins an instruction of another program, which is kept as text.
pub(crate) fn adapter(span: Range<usize>, written: &str) -> Finding {
    Finding::new(&RULE, span.clone(), format!("`{}` begins no markup and is read as text", excerpt(written)))
        .fix("remove it", [remove(span)])
}

/// A reference such as `&unknown;` that XML does not define.
pub(crate) fn undefined(span: Range<usize>, written: &str) -> Finding {
    let message =
        format!("`{}` is not a character that XML defines, so `&` has to be written `&amp;`", excerpt(written));
    Finding::new(&RULE, span.clone(), message).fix("write `&amp;`", [replace(span.start..span.start + 1, "&amp;")])
}

/// A `]]>` outside of a CDATA section.
pub(crate) fn section_end(span: Range<usize>) -> Finding {
    Finding::new(&RULE, span.clone(), "`]]>` ends no CDATA section, so it has to be written `]]&gt;`")
        .fix("write `]]&gt;`", [replace(span, "]]&gt;")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_and_end_before_the_next() {
        for (rest, piece) in [
            ("<</expression>", "<"),
            ("<3, smile", "<3"),
            ("<, smile", "<"),
            ("<> smile", "<>"),
            ("< b and c", "<"),
            ("<3</expression>", "<3"),
            ("<lora:style:0.8> 1girl", "<lora:style:0.8>"),
            ("<Prompt Start> aloud", "<Prompt Start>"),
            ("<猫", "<猫"),
        ] {
            assert_eq!(literal(rest), piece, "{rest}");
        }
        assert!(literal(&format!("<{}", "猫".repeat(1000))).len() < 200);
    }
}
