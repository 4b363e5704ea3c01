//! `same-character-twice`: two blocks for one character.

use crate::findings::{Finding, Findings};
use crate::outline::{Block, Outline};
use crate::rule::rule;

rule! {
    /// Two blocks that say the same, but for where the character stands, are usually a copy that was not changed. The
    /// model then draws twins, or one character.
    "same-character-twice", Warning;
    bad: "<character_1>\n<n>hatsune_miku</n>\n<gender>1girl</gender>\n</character_1>\n\n<character_2>\n<n>hatsune_miku</n>\n<gender>1girl</gender>\n</character_2>\n";
    good: "<character_1>\n<n>hatsune_miku</n>\n<gender>1girl</gender>\n</character_1>\n\n<character_2>\n<n>kagamine_rin</n>\n<gender>1girl</gender>\n</character_2>\n";
    messages: [
        Warning "`…` says the same as `…`",
    ];
}

/// Compares each character with the ones before it.
pub(crate) fn check(outline: &Outline<'_>, findings: &mut Findings) {
    // Beyond the number that the language has there is an error already.
    const MOST: usize = 16;
    let characters = &outline.characters[..outline.characters.len().min(MOST)];
    for (index, character) in characters.iter().enumerate() {
        let Some(earlier) = characters[..index].iter().find(|earlier| are_one(earlier, character)) else { continue };
        let message = format!("`{}` says the same as `{}`", character.path, earlier.path);
        findings.push(
            Finding::new(&RULE, character.open.clone(), message)
                .at(character.path.clone())
                .help("remove one of them, or say how they differ"),
        );
    }
}

fn are_one(left: &Block<'_>, right: &Block<'_>) -> bool {
    let says_something = left.fields.iter().any(|field| field.decl.name != "gender" && !field.text.is_empty())
        || left.fields.iter().any(|field| !field.tags.is_empty());
    says_something && left.gender() == right.gender() && is_part(left, right) && is_part(right, left)
}

/// Whether everything that `left` says, but for the position, `right` says too.
fn is_part(left: &Block<'_>, right: &Block<'_>) -> bool {
    left.fields.iter().filter(|field| field.decl.name != "position").all(|field| match right.field(field.decl.name) {
        None => field.tags.is_empty() && field.text.is_empty(),
        Some(other) => {
            let same_tags = field.tags.iter().map(|tag| &tag.text).eq(other.tags.iter().map(|tag| &tag.text));
            field.text == other.text && same_tags
        }
    })
}
