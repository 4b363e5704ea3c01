//! The rules: one file each, with its explanation, a bad and a good example, and how its findings are worded.
//!
//! Where a fault can only be seen while the text is read (in the modules `syntax` and `lower`), the rule's file
//! holds what is said about it; the other rules look at the finished outline themselves.

use crate::findings::{Findings, too_many};
use crate::outline::{Block, Outline};
use crate::rule::RuleDoc;
use crate::vocabulary::Vocabulary;

pub(crate) mod bad_encoding;
pub(crate) mod count_mismatch;
pub(crate) mod duplicate_element;
pub(crate) mod duplicate_tag;
pub(crate) mod empty_element;
pub(crate) mod empty_prompt;
pub(crate) mod envelope_removed;
pub(crate) mod escaped_parenthesis;
pub(crate) mod escaped_twice;
pub(crate) mod forbidden_markup;
pub(crate) mod foreign_format;
pub(crate) mod foreign_syntax;
pub(crate) mod full_width;
pub(crate) mod gender_against_count;
pub(crate) mod ignored_markup;
pub(crate) mod invalid_value;
pub(crate) mod invisible_character;
pub(crate) mod markdown;
pub(crate) mod mismatched_tag;
pub(crate) mod missing_required;
pub(crate) mod negative_split;
pub(crate) mod not_well_formed;
pub(crate) mod numbering_gap;
pub(crate) mod over_long;
pub(crate) mod placeholder;
pub(crate) mod plain_text;
pub(crate) mod renamed_element;
pub(crate) mod same_character_twice;
pub(crate) mod separator;
pub(crate) mod stray_text;
pub(crate) mod system_prompt_split;
pub(crate) mod texts;
pub(crate) mod too_deep;
pub(crate) mod too_large;
pub(crate) mod too_many_characters;
pub(crate) mod two_hair_colours;
pub(crate) mod unescaped_markup;
pub(crate) mod unknown_attribute;
pub(crate) mod unknown_element;
pub(crate) mod unknown_tag;
pub(crate) mod unknown_to_model;
pub(crate) mod weight_syntax;
pub(crate) mod wrong_place;

/// Every rule, in the order of its code.
pub fn all() -> &'static [RuleDoc] {
    static ALL: [RuleDoc; 43] = [
        bad_encoding::RULE,
        count_mismatch::RULE,
        duplicate_element::RULE,
        duplicate_tag::RULE,
        empty_element::RULE,
        empty_prompt::RULE,
        envelope_removed::RULE,
        escaped_parenthesis::RULE,
        escaped_twice::RULE,
        forbidden_markup::RULE,
        foreign_format::RULE,
        foreign_syntax::RULE,
        full_width::RULE,
        gender_against_count::RULE,
        ignored_markup::RULE,
        invalid_value::RULE,
        invisible_character::RULE,
        markdown::RULE,
        mismatched_tag::RULE,
        missing_required::RULE,
        negative_split::RULE,
        not_well_formed::RULE,
        numbering_gap::RULE,
        over_long::RULE,
        placeholder::RULE,
        plain_text::RULE,
        renamed_element::RULE,
        same_character_twice::RULE,
        separator::RULE,
        stray_text::RULE,
        system_prompt_split::RULE,
        too_deep::RULE,
        too_large::RULE,
        too_many_characters::RULE,
        too_many::RULE,
        two_hair_colours::RULE,
        unescaped_markup::RULE,
        unknown_attribute::RULE,
        unknown_element::RULE,
        unknown_tag::RULE,
        unknown_to_model::RULE,
        weight_syntax::RULE,
        wrong_place::RULE,
    ];
    &ALL
}

/// Applies the rules that look at the meaning of a prompt.
pub(crate) fn check_meaning(outline: &Outline<'_>, source: &str, vocabulary: &Vocabulary, findings: &mut Findings) {
    count_mismatch::check(outline, findings);
    gender_against_count::check(outline, findings);
    same_character_twice::check(outline, findings);
    two_hair_colours::check(outline, findings);
    for (block, field) in outline.tag_fields() {
        duplicate_tag::check(block, field, findings);
    }
    for block in outline.blocks() {
        texts::check_block(block, source, findings);
    }
    if let Some(caption) = &outline.caption {
        texts::check_caption(caption, source, findings);
    }
    unknown_tag::check(outline, vocabulary, findings);
}

/// Applies the rules for lists of tags to a negative prompt.
pub(crate) fn check_list_meaning(block: &Block<'_>, source: &str, findings: &mut Findings) {
    for field in &block.fields {
        duplicate_tag::check(block, field, findings);
    }
    texts::check_block(block, source, findings);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::check::check;
    use crate::diagnostic::{Diagnostic, Edit, Severity, apply_edits};
    use crate::options::{CheckOptions, Strictness};

    fn diagnostics(text: &str, rule: &RuleDoc, strictness: Strictness) -> Vec<Diagnostic> {
        let tags = BTreeMap::from([("appearance".to_owned(), vec!["blue_hair".to_owned(), "cat_ears".to_owned()])]);
        // Every prompt has tags outside of this list, so only the rule about them gets it.
        let model_tags = (rule.code == unknown_to_model::RULE.code).then_some(&tags);
        let options = CheckOptions { strictness, limits: rule.limits, vocabulary: None, model_tags };
        check(text, &options).diagnostics
    }

    #[test]
    fn the_list_is_in_order_and_every_rule_is_documented() {
        assert!(all().windows(2).all(|pair| pair[0].code < pair[1].code));
        for rule in all() {
            assert!(rule.documentation.len() > 80, "{} needs a longer explanation", rule.code);
            assert!(rule.strict_severity >= rule.severity, "{}", rule.code);
        }
    }

    #[test]
    fn bad_examples_are_found_with_the_severity_that_is_documented() {
        for rule in all() {
            let lenient = diagnostics(rule.bad, rule, Strictness::Lenient);
            let found = lenient.iter().find(|diagnostic| diagnostic.code == rule.code);
            let Some(found) = found else { panic!("{}: not found among {lenient:#?}", rule.code) };
            // The last note takes the severity of what it stands for.
            if rule.code != too_many::RULE.code {
                assert_eq!(found.severity, rule.severity, "{}: {found:#?}", rule.code);
                let strict = diagnostics(rule.bad, rule, Strictness::Strict);
                let found = strict.iter().find(|diagnostic| diagnostic.code == rule.code);
                assert_eq!(found.map(|found| found.severity), Some(rule.strict_severity), "{}", rule.code);
            }
        }
    }

    #[test]
    fn good_examples_are_free_of_their_fault_and_of_errors() {
        for rule in all() {
            let found = diagnostics(rule.good, rule, Strictness::Strict);
            assert!(found.iter().all(|diagnostic| diagnostic.code != rule.code), "{}: {found:#?}", rule.code);
            assert!(found.iter().all(|diagnostic| diagnostic.severity < Severity::Error), "{}: {found:#?}", rule.code);
        }
    }

    #[test]
    fn the_edits_of_a_rule_remove_its_findings() {
        for rule in all() {
            let found = diagnostics(rule.bad, rule, Strictness::Lenient);
            let own = found.iter().filter(|diagnostic| diagnostic.code == rule.code);
            let mut edits: Vec<Edit> =
                own.filter_map(|diagnostic| diagnostic.fix.as_ref()).flat_map(|fix| fix.edits.clone()).collect();
            if edits.is_empty() {
                continue;
            }
            edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
            edits.dedup();
            let fixed = apply_edits(rule.bad, &edits);
            let left = diagnostics(&fixed, rule, Strictness::Lenient);
            assert!(left.iter().all(|diagnostic| diagnostic.code != rule.code), "{}: {fixed}\n{left:#?}", rule.code);
        }
    }
}
