//! `unknown-tag`: a tag that looks like another one misspelt.

use crate::findings::{Finding, Findings, excerpt, replace};
use crate::outline::Outline;
use crate::rule::rule;
use crate::vocabulary::{Known, Vocabulary};

rule! {
    /// The model knows tags by their spelling. A tag that is another word for a known one, or one letter away from it,
    /// is pointed out. About a quarter of the tags in good prompts are in no list (`center_left`,
    /// `holographic_displays`), so a tag that is merely unknown is left alone.
    "unknown-tag", Advice;
    bad: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>lnog_hair, bleu_eyes</appearance>\n</character_1>\n";
    good: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>long_hair, blue_eyes, holographic_eyes</appearance>\n</character_1>\n";
    messages: [
        Advice "`…` is another word for `…`",
        Advice "`…` is not known; did you mean `…`?",
    ];
}

/// Most tags of one prompt for which a similar one is looked for, so that a text of nothing but unknown words costs
/// little.
const MOST_LOOKUPS: usize = 128;

/// Looks every tag up. Names of artists are in no list, and count words are another rule's business.
pub(crate) fn check(outline: &Outline<'_>, vocabulary: &Vocabulary, findings: &mut Findings) {
    let mut lookup = vocabulary.lookup(MOST_LOOKUPS);
    for (block, field) in outline.tag_fields() {
        if field.tags.is_empty() || ["artists", "count"].contains(&field.decl.name) {
            continue;
        }
        for tag in &field.tags {
            let (tag_name, reason) = match lookup.find(&tag.text) {
                Known::Yes | Known::No => continue,
                Known::Alias(name) => (name, "is another word for"),
                Known::Near(name) => (name, "is not known; did you mean"),
            };
            let name = if tag.text.contains(' ') { tag_name.replace('_', " ") } else { tag_name.to_owned() };
            let mark = if reason.ends_with("mean") { "?" } else { "" };
            let message = format!("`{}` {reason} `{name}`{mark}", excerpt(&tag.text));
            let written = quick_xml::escape::partial_escape(name.as_str()).into_owned();
            findings.push(
                Finding::new(&RULE, tag.span.clone(), message)
                    .at(block.path_of(field))
                    .fix(format!("write `{name}`"), [replace(tag.span.clone(), written)]),
            );
        }
    }
}
