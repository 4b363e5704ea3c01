//! `renamed-element`: another word, or another spelling, for an element.

use crate::diagnostic::Edit;
use crate::findings::{Finding, excerpt, insert, replace};
use crate::rule::rule;
use crate::tree::Element;

rule! {
    /// Tools have their own words for the same thing: `name` for `n`, `artist` for `artists`, `outfit` for `clothing`;
    /// some write `<character 1>` or `Character_1`, and some name a character's element after the character. The
    /// encoders have learnt the names of the XSD, so the element is read and written under that name.
    "renamed-element", Warning, strict Error;
    bad: "<character_1>\n<name>hatsune_miku</name>\n<gender>1girl</gender>\n<outfit>dress</outfit>\n</character_1>\n";
    good: "<character_1>\n<n>hatsune_miku</n>\n<gender>1girl</gender>\n<clothing>dress</clothing>\n</character_1>\n";
    messages: [
        Warning "`<…>` is read as `<…>`",
        Warning "there is no `<…>`; it is read as `<…>`",
        Warning "`<…>` is read as a character, because of what it holds",
    ];
}

/// An element under another name.
pub(crate) fn alias(element: &Element<'_>, name: &str) -> Finding {
    let message = format!("`<{}>` is read as `<{name}>`", excerpt(element.name));
    Finding::new(&RULE, element.open.clone(), message).fix(format!("write `<{name}>`"), rename(element, name))
}

/// An element under another name that is moved; the fix that moves it renames it.
pub(crate) fn moved(element: &Element<'_>, name: &str, is_misspelt: bool) -> Finding {
    let written = excerpt(element.name);
    let message = match is_misspelt {
        true => format!("there is no `<{written}>`; it is read as `<{name}>`"),
        false => format!("`<{written}>` is read as `<{name}>`"),
    };
    Finding::new(&RULE, element.open.clone(), message).help(format!("write `<{name}>`"))
}

/// A character whose element has the character's name.
pub(crate) fn named_character(element: &Element<'_>, has_name: bool) -> Finding {
    let name = excerpt(element.name);
    let message = format!("`<{name}>` is read as a character, because of what it holds");
    let description = if has_name {
        "write `<character_1>`, or the next free number".to_owned()
    } else {
        format!("write `<character_1>`, or the next free number, and `<n>{name}</n>` inside")
    };
    Finding::new(&RULE, element.open.clone(), message).help(description)
}

/// The edits that give an element another name.
pub(crate) fn rename(element: &Element<'_>, name: &str) -> Vec<Edit> {
    let mut edits: Vec<Edit> = element.names().map(|span| replace(span, name)).collect();
    // An element that was never closed, or whose tag was a single one, keeps what it has.
    edits.sort_by_key(|edit| edit.span.start);
    edits
}

/// An element that is put around a range.
pub(crate) fn surround(start: usize, end: usize, name: &str) -> [Edit; 2] {
    [insert(start, format!("<{name}>")), insert(end, format!("</{name}>"))]
}
