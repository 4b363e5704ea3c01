//! `too-many-characters`: a crowd.

use crate::findings::{Finding, Findings};
use crate::names::Place;
use crate::outline::Block;
use crate::rule::rule;

rule! {
    /// The language has sixteen numbered characters, so more are an error. The model was hardly trained on more than
    /// six at once and mixes them up; a crowd is better said by `<count>6+girls</count>` and described as a whole.
    "too-many-characters", Warning;
    bad: concat!(
        "<character_1><gender>1girl</gender></character_1>\n<character_2><gender>1girl</gender></character_2>\n",
        "<character_3><gender>1girl</gender></character_3>\n<character_4><gender>1girl</gender></character_4>\n",
        "<character_5><gender>1girl</gender></character_5>\n<character_6><gender>1girl</gender></character_6>\n",
        "<character_7><gender>1girl</gender></character_7>\n",
    );
    good: "<character_1><gender>1girl</gender></character_1>\n<general_tags><count>6+girls</count></general_tags>\n";
    messages: [
        Error "… characters; the language has …",
        Warning "… characters; the model mixes up more than …",
    ];
}

/// Most characters that the model tells apart.
const COMFORTABLE: usize = 6;

/// Counts the characters.
pub(crate) fn check(characters: &[Block<'_>], findings: &mut Findings) {
    let most = Place::Top.decl().children().iter().filter(|decl| !decl.attributes.is_empty()).count();
    let count = characters.len();
    if let Some(first) = characters.get(most) {
        let message = format!("{count} characters; the language has {most}");
        findings.push(finding(first, message).into_error());
    } else if let Some(first) = characters.get(COMFORTABLE) {
        findings.push(finding(first, format!("{count} characters; the model mixes up more than {COMFORTABLE}")));
    }
}

fn finding(character: &Block<'_>, message: String) -> Finding {
    Finding::new(&RULE, character.open.clone(), message)
        .at(character.path.clone())
        .help("describe the crowd in `<general_tags>` instead")
}
