//! `numbering-gap`: a character number without the one before it.

use crate::diagnostic::Edit;
use crate::findings::{Finding, Findings, replace};
use crate::outline::Block;
use crate::rule::rule;

rule! {
    /// Characters are numbered from 1 without gaps, in any order in the text. A lenient check closes the gap: the
    /// characters keep their order and get the numbers that are free.
    "numbering-gap", Warning, strict Error;
    bad: "<character_1>\n<n></n>\n<gender>1girl</gender>\n</character_1>\n\n<character_3>\n<n></n>\n<gender>1boy</gender>\n</character_3>\n";
    good: "<character_1>\n<n></n>\n<gender>1girl</gender>\n</character_1>\n\n<character_2>\n<n></n>\n<gender>1boy</gender>\n</character_2>\n";
    messages: [
        Warning "`<…>` is read as `<character_…>`: …",
    ];
}

/// Most characters that a fix renames; beyond, there are too many anyway.
const MOST_RENAMED: usize = 16;

/// Looks for gaps in the numbers; the characters are in their order.
pub(crate) fn check(characters: &[Block<'_>], findings: &mut Findings) {
    let mut previous = 0;
    for (index, character) in characters.iter().enumerate() {
        let number = character.number;
        let is_next = number.checked_sub(1) == Some(previous);
        // A character without its own number has been reported already.
        let has_number = character.path.ends_with(|last: char| last.is_ascii_digit()) && !character.names.is_empty();
        if !is_next && has_number {
            findings.push(finding(characters, index, previous));
        }
        previous = number;
    }
}

fn finding(characters: &[Block<'_>], index: usize, previous: u32) -> Finding {
    let character = &characters[index];
    let before = if character.number == 0 {
        "the numbers begin with 1, so each later character has the next number".to_owned()
    } else if previous == 0 {
        "the numbers begin with 1".to_owned()
    } else {
        format!("the character before is number {previous}")
    };
    let message = format!("`<{}>` is read as `<character_{}>`: {before}", character.path, index + 1);
    let finding = Finding::new(&RULE, character.open.clone(), message).at(character.path.clone());
    if characters.len() > MOST_RENAMED {
        return finding.help("number the characters without gaps");
    }
    let mut edits: Vec<Edit> = Vec::new();
    for (position, other) in characters.iter().enumerate() {
        if usize::try_from(other.number) != Ok(position + 1) {
            edits.extend(other.names.iter().map(|name| replace(name.clone(), format!("character_{}", position + 1))));
        }
    }
    finding.fix("number the characters without gaps", edits)
}
