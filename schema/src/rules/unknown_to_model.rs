//! `unknown-to-model`: a tag that the model of the prompt was not trained with.

use std::collections::{BTreeMap, HashSet};

use crate::findings::{Finding, Findings, excerpt};
use crate::outline::Outline;
use crate::rule::rule;
use crate::vocabulary::plain;

rule! {
    /// The model was not trained with the tag and will probably ignore it. The nearest tag that it was trained with is
    /// named, but never written in its place: that would be another picture. At most 16 tags of a prompt are named, and
    /// one more finding counts the others. Captions and prompts without markup are not checked. A server gives this
    /// advice if the folder of the model has a `vocabulary.json`, and `sakuga validate` with `--model FOLDER`. With the
    /// same code, as a warning, a server reports a size that is outside of those that the model was trained with. The
    /// examples are for a model that knows the tags `blue_hair` and `cat_ears`.
    "unknown-to-model", Advice;
    bad: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>teal_hair, cat_ears</appearance>\n</character_1>\n";
    good: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>blue_hair, cat_ears</appearance>\n</character_1>\n";
    messages: [
        Advice "the model was not trained with `…`; the nearest tag that it knows is `…`",
        Advice "the model was not trained with `…` and knows no tag like it",
        Advice "tags unknown to the model that are not named here: …, the last one `…`",
    ];
}

/// Most tags of one prompt that are named.
const MOST_NAMED: usize = 16;
/// Longer tags are not compared with others.
const LONGEST_BYTES: usize = 64;
/// The share of equal letters from which two tags are near if they end with the same word, such as `teal_hair` and `blue_hair`.
const SIMILAR_OF_A_KIND: f64 = 0.5;
/// The same for tags that end with other words: one is a misspelling or another form of the other.
const SIMILAR: f64 = 0.75;

/// Looks every tag up in those of the model, whatever the element.
pub(crate) fn check(outline: &Outline<'_>, tags: &BTreeMap<String, Vec<String>>, findings: &mut Findings) {
    let known: Vec<Known<'_>> = tags.iter().flat_map(|(element, tags)| Known::of(element, tags)).collect();
    let spellings: HashSet<&str> = known.iter().map(|known| known.spelling.as_str()).collect();
    let mut seen = HashSet::new();
    let (mut unnamed, mut last) = (0, None);
    for (block, field) in outline.tag_fields() {
        for tag in &field.tags {
            let spelling = plain(&tag.text);
            if spellings.contains(spelling.as_str()) || seen.contains(&spelling) {
                continue;
            }
            if seen.len() >= MOST_NAMED {
                unnamed += 1;
                last = Some((block, field, tag));
                continue;
            }
            let finding = |message: String| Finding::new(&RULE, tag.span.clone(), message).at(block.path_of(field));
            let unknown = format!("the model was not trained with `{}`", excerpt(&tag.text));
            findings.push(match nearest(&spelling, field.decl.name, &known) {
                Some(name) => finding(format!("{unknown}; the nearest tag that it knows is `{name}`"))
                    .help(format!("write `{name}` if that is meant")),
                None => finding(format!("{unknown} and knows no tag like it")),
            });
            seen.insert(spelling);
        }
    }
    if let Some((block, field, tag)) = last {
        let shown = excerpt(&tag.text);
        let message = format!("tags unknown to the model that are not named here: {unnamed}, the last one `{shown}`");
        findings.push(Finding::new(&RULE, tag.span.clone(), message).at(block.path_of(field)));
    }
}

/// A tag of the model.
struct Known<'t> {
    element: &'t str,
    tag: &'t str,
    /// Its plain spelling.
    spelling: String,
    /// Characters of the spelling.
    length: usize,
}

impl<'t> Known<'t> {
    fn of(element: &'t str, tags: &'t [String]) -> impl Iterator<Item = Self> {
        tags.iter().map(move |tag| {
            let spelling = plain(tag);
            Self { element, tag, length: spelling.chars().count(), spelling }
        })
    }
}

/// The nearest tag: one whose words are a part of the unknown one, as `smile` of `light_smile`, else the most similar one. Of two
/// equally near ones, that of the same element.
fn nearest<'t>(spelling: &str, element: &str, known: &[Known<'t>]) -> Option<&'t str> {
    if spelling.len() > LONGEST_BYTES {
        return None;
    }
    let length = spelling.chars().count();
    let mut best: Option<(f64, bool, &str)> = None;
    for known in known.iter().filter(|known| known.tag.len() <= LONGEST_BYTES) {
        let is_same = known.element == element;
        let is_better = |nearness: f64| best.is_none_or(|(most, same, _)| (nearness, is_same) > (most, same));
        // The lengths alone bound the similarity: most tags are left out without counting edits.
        let shared = length.min(known.length) as f64 / length.max(known.length).max(1) as f64;
        let nearness = if has_words(spelling, &known.spelling) {
            1.0 + shared
        } else {
            let least = if last_word(spelling) == last_word(&known.spelling) { SIMILAR_OF_A_KIND } else { SIMILAR };
            if shared < least || !is_better(shared) {
                continue;
            }
            let similarity = strsim::normalized_damerau_levenshtein(&known.spelling, spelling);
            if similarity < least {
                continue;
            }
            similarity
        };
        if is_better(nearness) {
            best = Some((nearness, is_same, known.tag));
        }
    }
    best.map(|(_, _, tag)| tag)
}

/// Whether a spelling contains these words next to each other, and others.
fn has_words(spelling: &str, words: &str) -> bool {
    !words.is_empty()
        && spelling.match_indices(words).any(|(start, found)| {
            let (before, after) = (&spelling[..start], &spelling[start + found.len()..]);
            (before.is_empty() || before.ends_with('_')) && (after.is_empty() || after.starts_with('_'))
        })
}

fn last_word(spelling: &str) -> &str {
    spelling.rsplit('_').next().unwrap_or(spelling)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check as check_text;
    use crate::diagnostic::{Diagnostic, Severity};
    use crate::options::CheckOptions;

    fn found(appearance: &str) -> Vec<Diagnostic> {
        let list = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect();
        let tags = BTreeMap::from([
            ("appearance".to_owned(), list(&["blue_hair", "long_hair", "cat_ears"])),
            ("clothing".to_owned(), list(&["red_dress"])),
        ]);
        let text =
            format!("<character_1><n></n><gender>1girl</gender><appearance>{appearance}</appearance></character_1>");
        let checked = check_text(&text, &CheckOptions { model_tags: Some(&tags), ..CheckOptions::default() });
        assert!(checked.is_valid(), "advice never makes a prompt invalid");
        checked.diagnostics.into_iter().filter(|finding| finding.code == RULE.code).collect()
    }

    #[test]
    fn the_nearest_tag_of_the_model_is_named_and_nothing_is_replaced() {
        let findings = found("Blue Hair, red_dress, red_dresses, teal_hair, xylophone");
        let messages: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(messages.len(), 3, "{messages:?}");
        assert!(messages[0].contains("`red_dresses`") && messages[0].ends_with("`red_dress`"), "{messages:?}");
        assert!(messages[1].ends_with("`blue_hair`"), "{messages:?}");
        assert!(messages[2].ends_with("knows no tag like it"), "{messages:?}");
        assert!(findings.iter().all(|finding| finding.severity == Severity::Advice));
        assert!(findings.iter().filter_map(|finding| finding.fix.as_ref()).all(|fix| fix.edits.is_empty()));
    }

    #[test]
    fn a_tag_is_near_by_its_words_or_by_its_letters() {
        let list = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
        let expression = list(&["smile", "open_mouth", "night", "standing", "day"]);
        let background = list(&["city", "red_dress", "blue_hair"]);
        let known: Vec<Known<'_>> =
            Known::of("expression", &expression).chain(Known::of("background", &background)).collect();
        for (unknown, expected) in [
            ("light_smile", Some("smile")),
            ("city_at_night", Some("night")),
            ("smiley", Some("smile")),
            ("opn_mouth", Some("open_mouth")),
            ("long_red_dress", Some("red_dress")),
            ("teal_hair", Some("blue_hair")),
            ("sitting", None),
            ("daylight", None),
            ("open_book", None),
            ("", None),
        ] {
            assert_eq!(nearest(unknown, "expression", &known), expected, "{unknown}");
        }
    }

    #[test]
    fn the_number_of_findings_is_bounded() {
        let tags: Vec<String> = (0..2000).map(|number| format!("unknown{number}")).collect();
        let findings = found(&tags.join(", "));
        assert_eq!(findings.len(), MOST_NAMED + 1);
        let last = &findings.last().expect("findings").message;
        assert_eq!(last, "tags unknown to the model that are not named here: 1984, the last one `unknown1999`");
        assert_eq!(found("zzz, zzz, zzz").len(), 1, "a tag is named once");
    }
}
