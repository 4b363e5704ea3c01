//! Words that may be the label of a negative prompt or a part of the picture: `A sign. Negative: dogs`.
//!
//! A label with a word for a prompt (`Negative prompt:`) is clear wherever it stands, and so is a known label at the
//! beginning of a line. A bare word (`Negative:`) behind a sentence or a list of tags on the same line is clear if nothing
//! before it speaks of writing and what follows is no sentence. In all other cases, and with everyday words
//! (`Avoid: dogs`), it may be either.

use std::ops::Range;

use super::words::{LESS_STEMS, NEGATIVE};
use super::{BY_LETTER, Label, MARKS, is_everyday, is_measure, lower, prefix};

/// What ends a sentence or an entry of a list.
const ENDS: &[char] = &['.', '!', '?', ';', '|', ',', '，', '。', '；', '、', '！', '？', '(', '[', '（', '【'];

/// Words at the beginning of a line that may ask for less, in lower case. They are labels of no prompt by themselves.
const LESS: &[&str] = &[
    "no",
    "not",
    "bad",
    "ng",
    "ban",
    "banned",
    "remove",
    "minus",
    "forbidden",
    "prohibited",
    "except",
    "don't",
    "none of",
    "less",
    "-",
    "(-)",
    "(negative)",
    "(neg)",
    "(bad)",
    "(avoid)",
    "[-]",
    "нет",
    "без",
    "кроме",
    "別",
    "禁止",
];

/// Signs at the beginning of a line that may ask for less.
const SIGNS: &[char] = &['🚫', '❌', '⛔', '👎', '✖', '❎', '🙅', '✗', '✘', '⊘', '🛑'];

/// Words that speak of writing in the picture, or of what may be negative itself, in lower case.
const WRITING: &[&str] = &[
    "sign",
    "signs",
    "text",
    "says",
    "say",
    "saying",
    "reads",
    "read",
    "reading",
    "writes",
    "written",
    "writing",
    "poster",
    "banner",
    "label",
    "labels",
    "title",
    "caption",
    "letters",
    "lettering",
    "board",
    "billboard",
    "blackboard",
    "whiteboard",
    "note",
    "notes",
    "book",
    "page",
    "screen",
    "speech",
    "bubble",
    "word",
    "words",
    "quote",
    "message",
    "newspaper",
    "letter",
    "test",
    "tests",
    "result",
    "results",
    "report",
    "review",
    "reviews",
    "feedback",
    "t-shirt",
    "shirt",
    "inscription",
    "schild",
    "panneau",
    "cartel",
    "табличка",
    "надпись",
    "вывеска",
];

/// Words of writing in languages without spaces.
const WRITING_PARTS: &[&str] =
    &["牌子", "招牌", "写着", "寫著", "文字", "标语", "看板", "標識", "書いて", "라고", "표지판", "간판"];

/// A bare label inside a line, and whether it is clear that it is the label of a negative prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bare {
    /// The label with its colon and the blanks behind it.
    pub(crate) span: Range<usize>,
    pub(crate) is_clear: bool,
}

/// The first bare label inside a line. Words in quotes are words of the picture.
pub(crate) fn bare_negative(line: &str) -> Option<Bare> {
    // Nearly every line ends here.
    if !line.contains([':', '：']) {
        return None;
    }
    let mut is_quoted = false;
    let mut may_begin = false;
    let mut end = None;
    for (at, character) in line.char_indices() {
        match character {
            '"' => is_quoted = !is_quoted,
            '“' | '「' | '『' | '«' => is_quoted = true,
            '”' | '」' | '』' | '»' => is_quoted = false,
            _ => {}
        }
        if ENDS.contains(&character) {
            (may_begin, end) = (true, Some((at, character)));
            continue;
        }
        if MARKS.contains(&character) {
            continue;
        }
        if may_begin
            && !is_quoted
            && let Some((label, span)) = bare_label(line, at)
        {
            let before = end.map_or("", |(end, _)| &line[..end]);
            let is_part = matches!(end, Some((_, ';' | '|' | '；')));
            let is_stop = matches!(end, Some((_, '.' | '!' | '?' | '。' | '！' | '？')));
            let is_known = matches!(label.as_str(), "negative" | "negatives");
            let is_clear =
                is_known && (is_part || (is_stop && !speaks_of_writing(before) && !is_prose(&line[span.end..])));
            return Some(Bare { span, is_clear });
        }
        may_begin = false;
    }
    None
}

/// The bare label at an offset, in lower case, and its place.
fn bare_label(line: &str, at: usize) -> Option<(String, Range<usize>)> {
    let rest = &line[at..];
    let first = rest.chars().next()?;
    if !first.is_alphabetic() {
        return None;
    }
    let known = BY_LETTER.get(&lower(first))?.iter().filter(|(label, _)| *label == Label::Negative);
    for (_, words) in known {
        let Some(length) = prefix(rest, words) else { continue };
        let behind = rest[length..].trim_start_matches(MARKS);
        let Some(behind) = behind.strip_prefix([':', '：']) else { continue };
        let content = behind.trim_start_matches(['*', '_', '`', ' ', '\t']);
        let span = at..line.len() - content.len();
        // `(negative:1.2)` is a weight, and a label of nothing says nothing.
        let is_content = !content.is_empty() && !content.starts_with(|first: char| first.is_ascii_digit());
        let is_address = behind.starts_with("//") || behind.starts_with(':');
        return (is_content && !is_address && !is_measure(&line[span.clone()], content))
            .then(|| ((*words).to_owned(), span));
    }
    None
}

/// A word or a sign at the beginning of a line that may ask for less: `No: hats`, `🚫 hats`.
pub(crate) fn asks_for_less(line: &str) -> Option<Range<usize>> {
    let rest = line.trim_start_matches(['*', '#', '_', '`', '>', ' ', '\t']);
    let start = line.len() - rest.len();
    let first = rest.chars().next()?;
    if SIGNS.contains(&first) {
        let behind = rest[first.len_utf8()..].trim_start_matches('\u{FE0F}');
        let content = behind.trim_start();
        let is_label = behind.starts_with([' ', ':', '：']) && content.contains(char::is_alphabetic);
        return is_label.then(|| start..line.len() - content.len());
    }
    let is_word = first.is_alphabetic() && line.contains([':', '：']);
    if !is_word && !matches!(first, '-' | '(' | '[') {
        return None;
    }
    LESS.iter().find_map(|words| {
        let behind = &rest[prefix(rest, words)?..];
        let colon = behind.trim_start_matches(['*', '_', '`', ' ']).strip_prefix([':', '：']);
        let behind = match words.starts_with(['(', '[']) {
            true => colon.or_else(|| behind.strip_prefix(' ')),
            false => colon,
        }?;
        let content = behind.trim_start_matches(['*', '_', '`', ' ', '\t']);
        let is_content = content.starts_with(|first: char| first.is_alphabetic() || first == '(');
        is_content.then(|| start..line.len() - content.len())
    })
}

/// Whether a word of an element's, a member's or an attribute's name says that what it holds may be unwanted: `not`,
/// `tags_to_remove`, `nprompt`, `NGWords`.
pub(crate) fn is_doubtful_name(name: &str) -> bool {
    const WORDS: &[&str] = &["no", "not", "dont", "never", "ng", "minus", "anti", "bad", "ban", "nprompt", "neg", "uc"];
    /// Of names, besides [`LESS_STEMS`]: in prose these words are too common.
    const NAME_STEMS: &[&str] = &["without", "remov", "reject", "denylist", "uncond"];
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return false;
    }
    let mut spaced = String::with_capacity(name.len() + 4);
    let mut before = '_';
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        // `tagsToAvoid`, `NGWords`
        let begins = letter.is_uppercase()
            && (before.is_lowercase()
                || (before.is_uppercase() && letters.peek().is_some_and(|next| next.is_lowercase())));
        if begins || !letter.is_alphabetic() {
            spaced.push(' ');
        }
        spaced.extend(letter.to_lowercase());
        before = letter;
    }
    let has_stem = |word: &str| LESS_STEMS.iter().chain(NAME_STEMS).any(|stem| word.starts_with(stem));
    let is_word = |word: &str| WORDS.contains(&word) || has_stem(word);
    spaced.split(|mark: char| !mark.is_alphabetic()).any(is_word)
}

/// Whether a label stands with its colon inside of quotes, behind words that speak of writing: `a sign says “Avoid: dogs”`.
pub(super) fn is_written(line: &str, label: &Range<usize>) -> bool {
    const PAIRS: &[(char, char)] =
        &[('“', '”'), ('„', '“'), ('「', '」'), ('『', '』'), ('«', '»'), ('"', '"'), ('‘', '’')];
    let before = &line[..label.start];
    let opened = PAIRS.iter().filter_map(|(open, close)| {
        let at = before.rfind(*open)?;
        let is_open = match open == close {
            true => before.matches(*open).count() % 2 == 1,
            false => !before[at..].contains(*close),
        };
        (is_open && !line[label.clone()].contains(*close) && line[label.end..].contains(*close)).then_some(at)
    });
    opened.max().is_some_and(|at| speaks_of_writing(&line[..at]))
}

fn speaks_of_writing(text: &str) -> bool {
    let lower = text.to_lowercase();
    let is_end = |mark: char| !mark.is_alphabetic() && mark != '-';
    lower.split(is_end).any(|word| WRITING.contains(&word)) || WRITING_PARTS.iter().any(|part| lower.contains(part))
}

/// Whether a text has the stop of a sentence.
fn is_prose(text: &str) -> bool {
    let text = text.trim_end();
    text.ends_with(['.', '!', '?', '。', '！', '？']) || text.contains(". ")
}

/// Whether a label is one that a person writes for a negative prompt only, and no everyday word.
pub(crate) fn is_technical(label: &str) -> bool {
    let plain = label.trim_end_matches(|mark: char| MARKS.contains(&mark) || matches!(mark, ':' | '：'));
    let lower = plain.to_lowercase();
    !is_everyday(label) && NEGATIVE.contains(&lower.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_label_is_clear_where_nothing_speaks_of_writing() {
        for (line, label, is_clear) in [
            ("1girl, solo. Negative: bad hands", "Negative: ", true),
            ("A girl in the rain. Negative: dogs, cats", "Negative: ", true),
            ("A girl; negative: dogs", "negative: ", true),
            ("A sign. Negative: dogs", "Negative: ", false),
            ("The test is back. Negative: she smiles.", "Negative: ", false),
            ("A girl in the rain. Avoid: dogs", "Avoid: ", false),
            ("1girl, solo, negative: bad hands", "negative: ", false),
            ("1girl | neg: hat", "neg: ", false),
            ("一个女孩。避免：帽子", "避免：", false),
        ] {
            let found = bare_negative(line).map(|bare| (line[bare.span].to_owned(), bare.is_clear));
            assert_eq!(found, Some((label.to_owned(), is_clear)), "{line}");
        }
        for line in [
            "A sign reads: \"Stop. Negative: dogs\"",
            "1girl, (negative:1.2)",
            "negative space, night",
            "She says: avoid",
            "Negative: dogs",
            "A girl. Negative: -40 degrees",
        ] {
            assert_eq!(bare_negative(line), None, "{line}");
        }
    }

    #[test]
    fn words_in_quotes_that_a_sign_bears_belong_to_the_picture() {
        for (line, is_of_picture) in [
            ("A sign says “Negative prompt: dogs”", true),
            ("A sign says \"Negative prompt: dogs\"", true),
            ("看板「Negative prompt: 犬」", true),
            ("\"prompt\": \"a sign\", \"negative prompt\": \"dogs\"", false),
            ("A sign says “stop”. Negative prompt: dogs", false),
            ("A girl, “Negative prompt: dogs”", false),
            ("A sign says “Negative prompt: dogs", false),
        ] {
            let start = line.to_lowercase().find("negative prompt").expect("a label");
            let end = start + line[start..].find(':').expect("a colon") + 1;
            assert_eq!(is_written(line, &(start..end)), is_of_picture, "{line}");
        }
    }

    #[test]
    fn names_of_elements_may_ask_for_less() {
        for name in
            ["not", "no", "remove", "tags_to_remove", "tagsToAvoid", "NGWords", "ng_words", "nprompt", "Blacklist"]
        {
            assert!(is_doubtful_name(name), "{name}");
        }
        for name in ["note", "notes", "nose", "ngo", "novel", "style", "answer", "background", "banner", "saber"] {
            assert!(!is_doubtful_name(name), "{name}");
        }
    }

    #[test]
    fn words_and_signs_may_ask_for_less() {
        for (line, label) in [
            ("No: hats", "No: "),
            ("**Bad**: hats", "**Bad**: "),
            ("🚫 hats", "🚫 "),
            ("❌ hats", "❌ "),
            ("[-] hats", "[-] "),
            ("Без: шляпы", "Без: "),
        ] {
            assert_eq!(
                asks_for_less(line).map(|span| &line[span.end - label.trim_start_matches('*').len()..span.end]),
                Some(label.trim_start_matches('*')),
                "{line}"
            );
        }
        for line in ["No hats", "not: ", "- hats", "bad:1.2", "🚫", "A 🚫 sign", "no.7: x"] {
            assert_eq!(asks_for_less(line), None, "{line}");
        }
    }
}
