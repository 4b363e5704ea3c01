//! `duplicate-tag`: the same tag twice in one list.

use crate::findings::{Finding, Findings, excerpt, remove};
use crate::outline::{Block, Field};
use crate::rule::rule;

rule! {
    /// A tag that stands twice in the same element costs tokens, and the encoders do not take it for emphasis. Only
    /// equal spellings are compared.
    "duplicate-tag", Advice;
    bad: "<general_tags>\n<style>anime_style, watercolor, anime_style</style>\n</general_tags>\n";
    good: "<general_tags>\n<style>anime_style, watercolor</style>\n</general_tags>\n";
    messages: [
        Advice "`…` stands in this list already",
    ];
}

/// Looks for equal tags in a field.
pub(crate) fn check(block: &Block<'_>, field: &Field<'_>, findings: &mut Findings) {
    // A list is short, so comparing is faster than hashing; a long one is hashed.
    const SHORT: usize = 24;
    let tags = &field.tags;
    let mut seen = std::collections::HashSet::new();
    for (index, tag) in tags.iter().enumerate() {
        let is_again = if tags.len() <= SHORT {
            tags[..index].iter().any(|earlier| earlier.text == tag.text)
        } else {
            !seen.insert(tag.text.as_ref())
        };
        if !is_again {
            continue;
        }
        let finding =
            Finding::new(&RULE, tag.span.clone(), format!("`{}` stands in this list already", excerpt(&tag.text)))
                .at(block.path_of(field));
        // From the end of the tag before, so that its comma goes too. Lists that were put together from several
        // places are not in one piece.
        let is_behind = index > 0
            && tags[index - 1].span.end <= tag.span.start
            && field.content.start <= tags[index - 1].span.start
            && tag.span.end <= field.content.end;
        findings.push(if is_behind {
            finding.fix("remove it", [remove(tags[index - 1].span.end..tag.span.end)])
        } else {
            finding.help("remove it")
        });
    }
}
