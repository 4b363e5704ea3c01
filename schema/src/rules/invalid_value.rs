//! `invalid-value`: a word outside a closed list, or a value that could not be written.

use std::ops::Range;

use crate::findings::{Finding, excerpt, replace};
use crate::grammar::TextDecl;
use crate::outline::Field;
use crate::plain_form::plain_form;
use crate::rule::rule;

rule! {
    /// Some elements take one of a few words: a character's `<gender>` is `1girl`, `1boy` or `1other`. A lenient check
    /// understands `girl`, `female`, `1 girl` or `1girl, solo`, also in letters and digits of full width; a text that names
    /// two genders is an error. In a typed prompt the rule also names the tags that could not be read back: an empty one,
    /// one with a comma, one with spaces at its ends.
    "invalid-value", Warning, strict Error;
    bad: "<character_1>\n<n></n>\n<gender>female</gender>\n</character_1>\n";
    good: "<character_1>\n<n></n>\n<gender>1girl</gender>\n</character_1>\n";
    messages: [
        Warning "`…` is not a `<…>`; it is read as `…`",
        Error "`…` is not a `<…>`; it is one of …",
        Error "a tag is empty",
        Error "the tag `…` holds a comma, so it would be read as several",
        Error "the tag `…` holds a line break, or blanks that do not count",
        Error "the name `…` holds a line break, or blanks that do not count",
        Error "the caption has blanks at its ends, which do not count",
        Error "`…` holds the character U+…, which XML cannot",
        Error "the prompt would not be read back as it is",
    ];
}

/// Other words for a gender.
const MEANT: &[(&str, &str)] = &[
    ("girl", "1girl"),
    ("girls", "1girl"),
    ("woman", "1girl"),
    ("lady", "1girl"),
    ("female", "1girl"),
    ("f", "1girl"),
    ("女", "1girl"),
    ("女性", "1girl"),
    ("女孩", "1girl"),
    ("女生", "1girl"),
    ("女の子", "1girl"),
    ("少女", "1girl"),
    ("여자", "1girl"),
    ("여성", "1girl"),
    ("소녀", "1girl"),
    ("femme", "1girl"),
    ("fille", "1girl"),
    ("frau", "1girl"),
    ("mädchen", "1girl"),
    ("mujer", "1girl"),
    ("chica", "1girl"),
    ("девушка", "1girl"),
    ("девочка", "1girl"),
    ("женщина", "1girl"),
    ("boy", "1boy"),
    ("boys", "1boy"),
    ("man", "1boy"),
    ("guy", "1boy"),
    ("male", "1boy"),
    ("m", "1boy"),
    ("男", "1boy"),
    ("男性", "1boy"),
    ("男孩", "1boy"),
    ("男生", "1boy"),
    ("男の子", "1boy"),
    ("少年", "1boy"),
    ("남자", "1boy"),
    ("남성", "1boy"),
    ("소년", "1boy"),
    ("homme", "1boy"),
    ("garçon", "1boy"),
    ("mann", "1boy"),
    ("junge", "1boy"),
    ("hombre", "1boy"),
    ("chico", "1boy"),
    ("парень", "1boy"),
    ("мальчик", "1boy"),
    ("мужчина", "1boy"),
    ("other", "1other"),
    ("others", "1other"),
    ("nonbinary", "1other"),
    ("androgynous", "1other"),
    ("creature", "1other"),
];

/// Words that go with a gender and change nothing.
const WITH_IT: &[&str] = &["solo", "a", "an", "one", "single", "adult", "young", "gender", "character", "human"];

/// The gender that a text names: one of the closed list or another word for it, alone or among words that change
/// nothing. A text that names two says nothing.
pub(crate) fn meant(text: &str, values: &[&'static str]) -> Option<&'static str> {
    const MOST_WORDS: usize = 6;
    let lower = text
        .chars()
        .take(64)
        .map(plain_form)
        .flat_map(char::to_lowercase)
        .collect::<String>()
        .replace("non-binary", "nonbinary");
    let mut found: Option<&'static str> = None;
    let words = lower.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        if index >= MOST_WORDS {
            return None;
        }
        let bare = word.strip_prefix('1').unwrap_or(word);
        let known = MEANT.iter().find(|(other, _)| *other == bare).map(|(_, value)| *value);
        let value = values.iter().find(|value| known == Some(**value) || **value == word).copied();
        match (value, found) {
            (Some(value), None) => found = Some(value),
            (Some(value), Some(before)) if value == before => {}
            (Some(_), Some(_)) => return None,
            (None, _) if bare.is_empty() || WITH_IT.contains(&word) => {}
            (None, _) => return None,
        }
    }
    found
}

/// A word outside a closed list, and the one that is meant, if that is clear.
pub(crate) fn finding(field: &Field<'_>, decl: &TextDecl, meant: Option<&str>) -> Finding {
    let name = field.decl.name;
    let text = excerpt(&field.text);
    let words: Vec<String> = decl.values.iter().map(|value| format!("`{value}`")).collect();
    let words = words.join(", ");
    match meant {
        Some(meant) => {
            let message = format!("`{text}` is not a `<{name}>`; it is read as `{meant}`");
            Finding::new(&RULE, field.content.clone(), message)
                .fix(format!("write `{meant}`"), [replace(field.content.clone(), meant)])
        }
        None => {
            Finding::new(&RULE, field.content.clone(), format!("`{text}` is not a `<{name}>`; it is one of {words}"))
                .into_error()
                .help(format!("write one of {words}"))
        }
    }
}

/// A value of a typed prompt that the XML cannot hold.
pub(crate) fn unwritable(span: Range<usize>, fault: String) -> Finding {
    Finding::new(&RULE, span, fault).into_error()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_gender_is_understood_and_two_are_not() {
        let values = ["1girl", "1boy", "1other"];
        for (text, expected) in [
            ("1girl, solo", "1girl"),
            ("Female", "1girl"),
            ("1 girl", "1girl"),
            ("１girl", "1girl"),
            ("1ｇirl", "1girl"),
            ("１ｂｏｙ，ｓｏｌｏ", "1boy"),
            ("𝟏girl", "1girl"),
            ("１", ""),
            ("a woman", "1girl"),
            ("GENDER_1BOY", "1boy"),
            ("GENDER_BOY", "1boy"),
            ("男性", "1boy"),
            ("非", ""),
            ("1girl/1boy", ""),
            ("2girls", ""),
            ("1girl 1boy", ""),
            ("a tall fox", ""),
            ("solo", ""),
        ] {
            assert_eq!(meant(text, &values).unwrap_or_default(), expected, "{text}");
        }
    }
}
