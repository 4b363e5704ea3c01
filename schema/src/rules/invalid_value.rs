//! `invalid-value`: a word outside a closed list, or a value that could not be written.

use std::ops::Range;

use crate::findings::{Finding, excerpt, replace};
use crate::grammar::TextDecl;
use crate::outline::Field;
use crate::rule::rule;

rule! {
    /// Some elements take one of a few words: a character's `<gender>` is `1girl`, `1boy` or `1other`. A lenient check
    /// understands `girl`, `female` or `1 girl`. In a typed prompt the rule also says which tags could not be read
    /// back: an empty one, one with a comma, one with blanks at its ends.
    "invalid-value", Warning, strict Error;
    bad: "<character_1>\n<n></n>\n<gender>female</gender>\n</character_1>\n";
    good: "<character_1>\n<n></n>\n<gender>1girl</gender>\n</character_1>\n";
}

/// Other words for a gender, each with the number of the gender in the grammar.
const MEANT: &[(&str, &str)] = &[
    ("girl", "1girl"),
    ("woman", "1girl"),
    ("female", "1girl"),
    ("f", "1girl"),
    ("boy", "1boy"),
    ("man", "1boy"),
    ("male", "1boy"),
    ("m", "1boy"),
    ("other", "1other"),
    ("nonbinary", "1other"),
    ("androgynous", "1other"),
    ("creature", "1other"),
];

/// The lawful word that another one means.
pub(crate) fn meant(text: &str, values: &[&'static str]) -> Option<&'static str> {
    let plain: String =
        text.chars().take(32).filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let word = plain.strip_prefix('1').unwrap_or(&plain);
    let known = MEANT.iter().find(|(other, _)| *other == word).map(|(_, lawful)| *lawful);
    values.iter().find(|value| known == Some(**value) || **value == plain).copied()
}

/// A word outside a closed list, and the one that is meant, if that is clear.
pub(crate) fn finding(field: &Field<'_>, decl: &TextDecl, meant: Option<&str>) -> Finding {
    let name = field.decl.name;
    let text = excerpt(&field.text);
    let words: Vec<String> = decl.values.iter().map(|value| format!("`{value}`")).collect();
    let words = words.join(", ");
    match meant {
        Some(meant) => {
            let message = format!("`{text}` is no `<{name}>`; it is read as `{meant}`");
            Finding::new(&RULE, field.content.clone(), message)
                .fix(format!("write `{meant}`"), [replace(field.content.clone(), meant)])
        }
        None => Finding::new(&RULE, field.content.clone(), format!("`{text}` is no `<{name}>`; it is one of {words}"))
            .into_error()
            .help(format!("write one of {words}")),
    }
}

/// A value of a typed prompt that the XML cannot hold.
pub(crate) fn unwritable(span: Range<usize>, fault: String) -> Finding {
    Finding::new(&RULE, span, fault).into_error()
}
