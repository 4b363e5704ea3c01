//! `gender-against-count`: as many as the count says, but not the same.

use crate::findings::{Finding, Findings, excerpt};
use crate::outline::{Outline, Tally, WrittenCount};
use crate::prompt::Gender;
use crate::rule::rule;

rule! {
    /// The count words also say who is in the picture: `2girls` needs two characters whose `<gender>` is `1girl`.
    "gender-against-count", Warning;
    bad: "<character_1>\n<n></n>\n<gender>1boy</gender>\n</character_1>\n\n<general_tags>\n<count>1girl, solo</count>\n</general_tags>\n";
    good: "<character_1>\n<n></n>\n<gender>1boy</gender>\n</character_1>\n\n<general_tags>\n<count>1boy, solo</count>\n</general_tags>\n";
    messages: [
        Warning "the count says `…`, but `…` makes it `…`",
    ];
}

/// Compares the count of each gender, where the sum is right.
pub(crate) fn check(outline: &Outline<'_>, findings: &mut Findings) {
    let Some(general) = outline.general.as_ref() else { return };
    let written = WrittenCount::read(general.tags("count"));
    let Some(span) = written.span.clone() else { return };
    let tally = Tally::of_characters(&outline.characters);
    let is_comparable = written.has_numbers
        && !written.is_crowd
        && usize::try_from(tally.total()) == Ok(outline.characters.len())
        && tally.total() == written.tally.total();
    if !is_comparable || tally == written.tally {
        return;
    }
    let wrong = Gender::ALL.into_iter().find(|gender| tally.of(*gender) > written.tally.of(*gender));
    let example = outline.characters.iter().rev().find(|character| wrong.is_some() && character.gender() == wrong);
    let who = example.map_or("the characters", |character| character.path.as_str());
    let message = format!("the count says `{}`, but `{who}` makes it `{}`", excerpt(&written.words), tally.words());
    let finding = Finding::new(&RULE, span, message).at(format!("{}/count", general.path));
    let words = if written.is_solo { format!("{}, solo", tally.words()) } else { tally.words() };
    // Only a person knows which of the two is right.
    findings.push(finding.help(format!("write `{words}`, or change the gender")));
}
