//! `count-mismatch`: the count words and the characters do not add up.

use crate::findings::{Finding, Findings, excerpt};
use crate::outline::{Outline, Tally, WrittenCount};
use crate::rule::rule;

rule! {
    /// `<count>` says how many are in the picture, and there are as many character blocks, or none. When the two
    /// disagree, the model draws something between. A crowd (`6+girls`, `crowd`, `group`) may have any number of blocks.
    "count-mismatch", Warning;
    bad: "<character_1>\n<n></n>\n<gender>1girl</gender>\n</character_1>\n\n<general_tags>\n<count>2girls</count>\n</general_tags>\n";
    good: "<character_1>\n<n></n>\n<gender>1girl</gender>\n</character_1>\n\n<general_tags>\n<count>1girl</count>\n</general_tags>\n";
    messages: [
        Warning "the count says `…`, but there …",
    ];
}

/// Compares the sum of the count words with the number of characters.
pub(crate) fn check(outline: &Outline<'_>, findings: &mut Findings) {
    let characters = outline.characters.len();
    let Some(general) = outline.general.as_ref().filter(|_| characters > 0) else { return };
    let written = WrittenCount::read(general.tags("count"));
    let Some(span) = written.span.clone() else { return };
    let total = usize::try_from(written.tally.total()).unwrap_or(usize::MAX);
    let tally = Tally::of_characters(&outline.characters);
    let is_wrong = if written.is_nobody {
        // An animal can be `1other`.
        tally.girls > 0 || tally.boys > 0
    } else if written.is_crowd {
        false
    } else if written.has_numbers {
        total != characters
    } else if written.is_solo {
        characters != 1
    } else {
        total > characters
    };
    if !is_wrong {
        return;
    }
    let blocks = match characters {
        1 => "is 1 character block".to_owned(),
        _ => format!("are {characters} character blocks"),
    };
    let is_known = usize::try_from(tally.total()) == Ok(characters);
    // Only a person knows which of the two is right.
    let help = match is_known {
        true => format!("write `{}`, or add or remove characters", tally.words()),
        false => "change the count, or add or remove characters".to_owned(),
    };
    let message = format!("the count says `{}`, but there {blocks}", excerpt(&written.words));
    findings.push(Finding::new(&RULE, span, message).at(format!("{}/count", general.path)).help(help));
}
