//! `weight-syntax`: `(tag:1.2)`, which only other programs understand.

use crate::findings::{Finding, Findings, excerpt, replace};
use crate::outline::{Block, Field};
use crate::rule::rule;

rule! {
    /// Other programs read `(tag:1.2)`, `((tag))` or `[tag]` as a weight. Here the text encoders read every
    /// character: the brackets and the number become words of the prompt.
    "weight-syntax", Warning;
    bad: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>(long_hair:1.2), blue_eyes</appearance>\n</character_1>\n";
    good: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>long_hair, blue_eyes</appearance>\n</character_1>\n";
}

/// Looks for weights in a field.
pub(crate) fn check(block: &Block<'_>, field: &Field<'_>, findings: &mut Findings) {
    for tag in &field.tags {
        let Some(plain) = unweighted(&tag.text) else { continue };
        let message = format!("`{}` is read literally: the encoders know no weights", excerpt(&tag.text));
        let finding = Finding::new(&RULE, tag.span.clone(), message).at(block.path_of(field));
        findings.push(if plain.is_empty() {
            finding.help("remove it")
        } else {
            let written = quick_xml::escape::partial_escape(plain).into_owned();
            finding.fix(format!("write `{}`", excerpt(plain)), [replace(tag.span.clone(), written)])
        });
    }
}

/// The tag without its weight, if it has one.
fn unweighted(tag: &str) -> Option<&str> {
    let last = *tag.as_bytes().last()?;
    let may_have_one = matches!(last, b')' | b']' | b'0'..=b'9') || tag.starts_with(['(', '[']);
    if !may_have_one {
        return None;
    }
    let opened = tag.trim_start_matches(['(', '[']);
    let openings = tag.len() - opened.len();
    let (stem, closings) = without_closings(opened);
    let (plain, has_number) = match stem.rsplit_once(':') {
        Some((plain, number)) if is_weight(number, closings > 0) && plain.chars().any(char::is_alphabetic) => {
            (plain.trim_end(), true)
        }
        _ => (stem, false),
    };
    if has_number {
        return Some(plain);
    }
    // `((tag))` and `[tag]` are weights as well; `(tag)` and `tag_(series)` are not.
    let is_emphasis = openings > 0 && closings == openings && (openings > 1 || tag.starts_with('['));
    (is_emphasis && !stem.is_empty() && !stem.ends_with('\\')).then_some(stem)
}

/// The text without the brackets at its end, and how many there were; an escaped one stays.
fn without_closings(text: &str) -> (&str, usize) {
    let mut stem = text;
    let mut count = 0;
    while let Some(shorter) = stem.strip_suffix([')', ']']).filter(|shorter| !shorter.ends_with('\\')) {
        stem = shorter;
        count += 1;
    }
    (stem, count)
}

/// Whether a text is `1.2` or, inside brackets, `2`.
fn is_weight(text: &str, is_bracketed: bool) -> bool {
    let text = text.trim();
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let points = text.bytes().filter(|byte| *byte == b'.').count();
    digits > 0 && digits + points == text.len() && points <= 1 && (points == 1 || is_bracketed) && text.len() <= 6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_taken_off() {
        for (tag, plain) in [
            ("(long_hair:1.2)", "long_hair"),
            ("long_hair:1.2", "long_hair"),
            ("((long_hair))", "long_hair"),
            ("[long_hair]", "long_hair"),
            ("((smile:2))", "smile"),
            ("blue_eyes:1.1)", "blue_eyes"),
            ("(rem_\\(re:zero\\):1.2)", "rem_\\(re:zero\\)"),
        ] {
            assert_eq!(unweighted(tag), Some(plain), "{tag}");
        }
    }

    #[test]
    fn other_colons_and_brackets_are_no_weights() {
        for tag in [
            "16:9",
            "artist:name",
            ":3",
            ">:(",
            "(medium)",
            "rem_\\(re:zero\\)",
            "saber_(fate)",
            "no.7",
            "x:3",
            "",
            "version_1.5",
        ] {
            assert_eq!(unweighted(tag), None, "{tag}");
        }
    }
}
