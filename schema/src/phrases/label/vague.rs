//! Words that may begin a negative prompt where no label of a list stands: `Please avoid:`, `1girl Negative: lowres`,
//! `negative prompt lowres`. They never make a negative prompt by themselves: the text is refused.

use std::ops::Range;

use super::words::LESS_STEMS;
use super::{announces_writing, is_measure, marks_end};

/// Parts of a label that ask for less, in lower case.
const PARTS: &[&str] = &[
    "must not",
    "do not",
    "don't",
    "should not",
    "not include",
    "not want",
    "leave out",
    "leaving out",
    "left out",
    "keep out",
    "get rid of",
    "逆向",
    "反向",
    "负面",
    "負面",
    "tiêu cực",
];

/// Names of a negative prompt that need no colon, in lower case.
const NAMES: &[&str] = &[
    "negative prompt",
    "negative_prompt",
    "negative-prompt",
    "neg prompt",
    "negative tags",
    "for negatives",
    "for the negatives",
    "as negatives",
    "negatives use",
];

/// Words that stand in front of a colon for a negative prompt, in lower case.
const WORDS: &[&str] = &["negatives", "negative", "neg", "ng", "avoid", "exclude", "unwanted", "undesired"];

/// Places of a line that are looked at: each look may go through the line.
const LOOKS_MAX: usize = 16;

/// Line breaks that were escaped.
const BREAKS: &[&str] = &["\\n", "\\r", "\\t", "%0a", "\\u000a", "&#10;", "&#10"];

/// The first words of a line that may begin a negative prompt. What stands in quotes belongs to the picture.
pub(crate) fn vague_negative(line: &str) -> Option<Range<usize>> {
    // Nearly every line ends here.
    let is_candidate = line.contains([':', '：']) || line.to_ascii_lowercase().contains("neg");
    if !is_candidate {
        return order(line);
    }
    order(line).or_else(|| word(line)).or_else(|| named(line)).or_else(|| label(line))
}

/// An order to the one who draws at the beginning of a line or a sentence: `Do not include any text.`
fn order(line: &str) -> Option<Range<usize>> {
    const NEAR: usize = 24;
    const ORDERS: &[&str] = &[
        "do not include ",
        "don't include ",
        "do not draw ",
        "don't draw ",
        "do not add ",
        "don't add ",
        "do not show ",
        "don't show ",
        "please avoid ",
        "please exclude ",
        "please do not ",
        "please don't ",
        "make sure there is no ",
        "make sure there are no ",
    ];
    let starts = [0].into_iter().chain(line.match_indices(". ").map(|(at, mark)| at + mark.len())).take(LOOKS_MAX);
    starts.into_iter().find_map(|at| {
        let start = at + (line[at..].len() - line[at..].trim_start_matches(['*', '-', '#', '(', ' ']).len());
        let near = &line[start..line.floor_char_boundary((start + NEAR).min(line.len())).max(start)];
        // Of one byte each, so that places stay.
        let near = near.to_ascii_lowercase().replace('’', "'");
        let order = ORDERS.iter().find(|order| near.starts_with(**order))?;
        let end =
            line[start..].char_indices().nth(order.chars().count()).map_or(line.len(), |(length, _)| start + length);
        (!is_quoted(line, start)).then_some(start..end)
    })
}

/// A label at the beginning of a line that has a word for less: `Tags to avoid:`, `For the negative prompt, use:`.
fn label(line: &str) -> Option<Range<usize>> {
    const LONGEST: usize = 80;
    const WORDS_MAX: usize = 10;
    const WORDS_BEFORE_CONTENT: usize = 4;
    let start = marks_end(line);
    let colon = line.find([':', '：']).filter(|colon| *colon >= start && *colon <= LONGEST)?;
    let words = line[start..colon].to_lowercase().replace('’', "'");
    let behind = line[colon..].trim_start_matches([':', '：']);
    let content = behind.trim_start_matches(['*', '_', '`', ' ', '\t']);
    let count = words.split_whitespace().count();
    let is_blank_behind = behind.is_empty() || behind.starts_with([' ', '\t', '*']) || line[colon..].starts_with('：');
    let is_short = count <= WORDS_BEFORE_CONTENT || (content.is_empty() && count <= WORDS_MAX);
    let is_words = !words.contains(['"', '“', '„', '「', '『', '«', '(', '<', '.', '{', '[']);
    let is_written = announces_writing(&line[..line.len() - behind.len()]) || words.contains("negative space");
    if !is_blank_behind || !is_short || !is_words || is_written || is_measure(&line[start..colon], content) {
        return None;
    }
    let has_stem = words
        .split(|mark: char| !mark.is_alphanumeric())
        .any(|word| LESS_STEMS.iter().any(|stem| word.starts_with(stem)));
    (has_stem || PARTS.iter().any(|part| words.contains(part))).then(|| start..line.len() - content.len())
}

/// The name of a negative prompt without a colon: `(Negative prompt) lowres`, `1girl Negative prompt lowres`.
fn named(line: &str) -> Option<Range<usize>> {
    let lower = line.to_ascii_lowercase();
    NAMES.iter().flat_map(|name| lower.match_indices(name)).take(LOOKS_MAX).find_map(|(at, name)| {
        let end = at + name.len();
        let is_whole = !lower[end..].trim_start_matches('s').starts_with(|next: char| next.is_alphanumeric());
        let has_content = lower[end..].contains(char::is_alphanumeric);
        // `soloNegative prompt: lowres` has lost what stood between.
        let is_glued = line[at..].starts_with('N') && line[..at].ends_with(|last: char| last.is_lowercase());
        let is_start = is_start(&lower, at) || is_glued;
        (is_whole && has_content && is_start && !is_quoted(&lower, at)).then_some(at..end)
    })
}

/// A bare word and a colon inside a line: behind a mark, or with a capital letter behind other words.
fn word(line: &str) -> Option<Range<usize>> {
    let lower = line.to_ascii_lowercase();
    let words = line.match_indices([':', '：']).filter_map(|(colon, mark)| {
        let word = WORDS.iter().find(|word| lower[..colon].ends_with(**word))?;
        Some((colon, mark, word))
    });
    words.take(LOOKS_MAX).find_map(|(colon, mark, word)| {
        let at = colon - word.len();
        let behind = &line[colon + mark.len()..];
        let content = behind.trim_start();
        let before = lower[..at].trim_end();
        let is_behind_mark = before.is_empty()
            || !before.ends_with(char::is_alphanumeric)
            || BREAKS.iter().any(|end| before.ends_with(end));
        let is_capital = line[at..].starts_with(|first: char| first.is_ascii_uppercase());
        let is_content = content.starts_with(|first: char| first.is_alphabetic() || first == '(');
        let is_label = (behind.starts_with(' ') || mark == "：") && is_content && is_start(&lower, at);
        let is_label = is_label && (is_behind_mark || is_capital) && !is_quoted(line, at);
        is_label.then(|| at..line.len() - content.len())
    })
}

/// The length of the first word of a list of tags that orders to leave them out: `Avoid lowres, bad hands`.
pub(crate) fn orders_less(text: &str) -> Option<usize> {
    const ORDERS: &[&str] =
        &["avoid ", "exclude ", "omit ", "remove ", "do not ", "don't ", "don’t ", "never ", "not "];
    let lower = text.trim_start().to_ascii_lowercase();
    ORDERS.iter().find(|order| lower.starts_with(**order)).map(|order| order.trim_end().len())
}

/// Whether a word begins at an offset of a text in lower case; a line break before it may be escaped.
fn is_start(lower: &str, at: usize) -> bool {
    let before = &lower[..at];
    !before.ends_with(|last: char| last.is_alphanumeric() || last == '_')
        || BREAKS.iter().any(|end| before.ends_with(end))
}

/// Whether quotes are open at an offset.
fn is_quoted(line: &str, at: usize) -> bool {
    let before = &line[..at];
    let opened = |open, close| before.matches(open).count() > before.matches(close).count();
    before.matches('"').count() % 2 == 1
        || opened('“', '”')
        || opened('「', '」')
        || opened('『', '』')
        || opened('«', '»')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_may_begin_a_negative_prompt_are_found() {
        for (line, words) in [
            ("Tags to avoid: lowres", "Tags to avoid: "),
            ("Please avoid:", "Please avoid:"),
            ("Blacklist: lowres", "Blacklist: "),
            ("Must not contain: hats", "Must not contain: "),
            ("And here are the things to avoid:", "And here are the things to avoid:"),
            ("For the negative prompt, use:", "negative prompt"),
            ("逆向提示詞：lowres", "逆向提示詞："),
            ("Lời nhắc tiêu cực: lowres", "Lời nhắc tiêu cực: "),
            ("negative prompt lowres", "negative prompt"),
            ("1girl, solo. NEGATIVE PROMPT lowres", "NEGATIVE PROMPT"),
            ("(Negative prompt) lowres", "Negative prompt"),
            ("1girl\\nNegative prompt: lowres", "Negative prompt"),
            ("1girl, solo Negative: lowres", "Negative: "),
            ("1girl, NG: lowres", "NG: "),
            ("1girl%0ANegative: lowres", "Negative: "),
            ("1girl // negative: lowres", "negative: "),
            ("1girl, soloNegative prompt: lowres", "Negative prompt"),
            ("Here is what to leave out:", "Here is what to leave out:"),
            ("For negatives use lowres", "For negatives"),
            ("Don’t include a hat.", "Don’t include "),
            ("1girl, solo. Do not include any text.", "Do not include "),
        ] {
            assert_eq!(vague_negative(line).map(|span| &line[span]), Some(words), "{line}");
        }
    }

    #[test]
    fn words_of_the_picture_stay() {
        for line in [
            "A sign says: Avoid the dog",
            "no humans",
            "negative space, night",
            "A composition with negative space: a fox on snow",
            "The test came back negative: she smiles",
            "A sign reads \"Negative: dogs\"",
            "A sign with the words \"negative prompt\" on it",
            "negative: -40 degrees",
            "1girl, (negative:1.2)",
            "She tries to avoid the puddles and says: wait",
            "nier:automata, re:zero",
            "She does not include him.",
            "A sign says \"Do not draw here\"",
        ] {
            assert_eq!(vague_negative(line), None, "{line}");
        }
    }
}
