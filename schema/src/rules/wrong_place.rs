//! `wrong-place`: an element of the language that stands where it does not belong.

use std::ops::Range;

use crate::diagnostic::Edit;
use crate::findings::{Finding, insert, remove, replace};
use crate::outline::Field;
use crate::rule::rule;
use crate::tree::Element;

rule! {
    /// `<style>`, `<lighting>`, `<resolution>` and their like stand inside `<general_tags>`, a character's fields
    /// inside the character, the blocks and the caption inside nothing. A lenient check moves the element to where it
    /// belongs. A character's field outside of all characters goes to the only character; if there are several, its
    /// tags are kept as `other`, and a name or a gender is an error.
    "wrong-place", Warning, strict Error;
    bad: "<general_tags>\n<count>no_humans</count>\n</general_tags>\n\n<style>watercolor</style>\n";
    good: "<general_tags>\n<count>no_humans</count>\n<style>watercolor</style>\n</general_tags>\n";
    messages: [
        Warning "`<…>` belongs … and is moved there",
        Warning "`<…>` stands inside `<…>`, which holds text; it is moved out",
        Warning "`<…>` belongs in a character; its tags are read as `other`",
        Error "`<…>` belongs in a character, and nobody knows in which one",
    ];
}

/// Where an element belongs.
pub(crate) struct Home<'a> {
    /// The block; empty for the top.
    pub(crate) name: &'a str,
    /// The end of that block's content, if it is written.
    pub(crate) inside_end: Option<usize>,
    /// The end of the block in which the element was found.
    pub(crate) outside: Option<usize>,
}

/// A field outside of its block.
pub(crate) fn element(field: &Field<'_>, names: &[Range<usize>], home: &Home<'_>, source: &str) -> Finding {
    let name = field.decl.name;
    let block = home.name;
    let belongs = if block.is_empty() { "outside of all blocks".to_owned() } else { format!("in `<{block}>`") };
    let raw = source.get(field.content.clone()).unwrap_or_default();
    let written = format!("<{name}>{raw}</{name}>");
    let span = field.span.clone();
    let edits: Vec<Edit> = match (home.inside_end, home.outside) {
        (Some(end), _) if end <= span.start || end >= span.end => vec![insert(end, written), remove(span.clone())],
        (_, Some(end)) if block.is_empty() => vec![remove(span.clone()), insert(end, written)],
        (_, Some(end)) => vec![remove(span.clone()), insert(end, format!("<{block}>{written}</{block}>"))],
        (_, None) if block.is_empty() => Vec::new(),
        (_, None) => {
            let mut edits = vec![insert(span.start, format!("<{block}>"))];
            edits.extend(names.iter().map(|span| replace(span.clone(), name)));
            edits.push(insert(span.end, format!("</{block}>")));
            edits
        }
    };
    Finding::new(&RULE, span, format!("`<{name}>` belongs {belongs} and is moved there")).fix(
        format!(
            "move it {}",
            if block.is_empty() { "out of the block".to_owned() } else { format!("into `<{block}>`") }
        ),
        edits,
    )
}

/// A block inside another one that ends at `outside`.
pub(crate) fn block(element: &Element<'_>, name: &str, outside: usize, source: &str) -> Finding {
    let raw = source.get(element.span()).unwrap_or_default().to_owned();
    Finding::new(&RULE, element.open.clone(), format!("`<{name}>` belongs outside of all blocks and is moved there"))
        .fix("move it out", [remove(element.span()), insert(outside, raw)])
}

/// An element inside an element of text.
pub(crate) fn nested(inner: &Element<'_>, outer: &Element<'_>, source: &str) -> Finding {
    let raw = source.get(inner.span()).unwrap_or_default().to_owned();
    let message = format!("`<{}>` stands inside `<{}>`, which holds text; it is moved out", inner.name, outer.name);
    Finding::new(&RULE, inner.open.clone(), message).fix("move it out", [remove(inner.span()), insert(outer.end, raw)])
}

/// A character's field outside of all characters, with several to choose from or none.
pub(crate) fn homeless(span: Range<usize>, name: &str, has_tags: bool) -> Finding {
    let help = format!("move `<{name}>` into the character that it is about");
    if has_tags {
        Finding::new(&RULE, span, format!("`<{name}>` belongs in a character; its tags are read as `other`")).help(help)
    } else {
        let message = format!("`<{name}>` belongs in a character, and nobody knows in which one");
        Finding::new(&RULE, span, message).into_error().help(help)
    }
}
