//! `missing-required`: a character without gender.

use crate::findings::{Finding, insert};
use crate::outline::Block;
use crate::prompt::Gender;
use crate::rule::rule;

rule! {
    /// Every character needs its `<gender>`: `1girl`, `1boy` or `1other`. Where the count words or the character's own
    /// tags leave only one answer, a lenient check takes it; otherwise only a person can say.
    "missing-required", Warning, strict Error;
    bad: "<character_1>\n<n></n>\n<appearance>long_hair</appearance>\n</character_1>\n\n<general_tags>\n<count>1girl</count>\n</general_tags>\n";
    good: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>long_hair</appearance>\n</character_1>\n\n<general_tags>\n<count>1girl</count>\n</general_tags>\n";
    messages: [
        Error "`<…>` has no `<gender>`",
        Warning "`<…>` has no `<gender>`; from the other tags it must be `…`",
    ];
}

/// A character without gender, and the one that it must have, if there is only one.
pub(crate) fn gender(character: &Block<'_>, inferred: Option<Gender>) -> Finding {
    let finding = |message: String| Finding::new(&RULE, character.open.clone(), message).at(character.path.clone());
    let name = &character.path;
    let Some(gender) = inferred else {
        return finding(format!("`<{name}>` has no `<gender>`"))
            .into_error()
            .help("add `<gender>1girl</gender>`, `<gender>1boy</gender>` or `<gender>1other</gender>`");
    };
    let finding = finding(format!("`<{name}>` has no `<gender>`; from the other tags it must be `{gender}`"));
    let element = format!("<gender>{gender}</gender>");
    match character.inside_end {
        Some(_) => finding.fix(format!("add `{element}`"), [insert(character.open.end, element)]),
        None => finding.help(format!("add `{element}`")),
    }
}

/// The gender that a character's own tags name.
pub(crate) fn gender_in_tags(character: &Block<'_>) -> Option<Gender> {
    let mut named = character.fields.iter().flat_map(|field| &field.tags).filter_map(|tag| tag.text.parse().ok());
    let first: Gender = named.next()?;
    named.all(|other| other == first).then_some(first)
}
