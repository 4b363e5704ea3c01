//! Labels: words before a colon that say what follows.

mod derived;
mod doubtful;
mod letters;
mod vague;
mod words;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::LazyLock;

use derived::{derived_negative, is_negative_words};
use doubtful::is_written;
pub(crate) use doubtful::{asks_for_less, bare_negative, is_doubtful_name, is_technical};
use letters::{latin, lower};
pub(crate) use vague::{orders_less, vague_negative};
use words::{NEGATIVE, PROMPT};

/// What a label announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    Prompt,
    /// The negative prompt.
    Negative,
}

/// Both lists by their first letter, each in its order: a text of 64 KiB may have 20 000 lines, and most begin with a letter
/// of no label.
static BY_LETTER: LazyLock<HashMap<char, Vec<(Label, &str)>>> = LazyLock::new(|| {
    let mut labels = HashMap::<char, Vec<(Label, &str)>>::new();
    for (label, list) in [(Label::Negative, NEGATIVE), (Label::Prompt, PROMPT)] {
        for words in list {
            let letter = words.chars().next().expect("a label has letters");
            labels.entry(letter).or_default().push((label, words));
        }
    }
    labels
});

/// The labels of a negative prompt in other scripts, as names of elements: with `_` for blanks.
static NEGATIVE_NAMES: LazyLock<HashSet<String>> =
    LazyLock::new(|| NEGATIVE.iter().filter(|words| !words.is_ascii()).map(|words| words.replace(' ', "_")).collect());

/// Marks that tools and people put around a label.
const MARKS: &[char] = &[
    '*', '#', '_', '-', '>', '[', ']', '(', ')', '【', '】', '`', '"', '\'', '“', '”', '‘', '’', '「', '」', ' ', '\t',
    '\u{3000}', '•',
];

/// Longest line that can be nothing but a label, and how far the mark behind a label is looked for, in bytes.
const LONGEST: usize = 80;

/// The label that a line begins with, and its length with its colon. A line of nothing but the label needs no colon if
/// marks set it off, as in `### Negative prompt`.
pub(crate) fn heading(line: &str) -> Option<(Label, usize)> {
    find_heading(line).filter(|(label, end)| *label != Label::Negative || !is_measure(&line[..*end], &line[*end..]))
}

fn find_heading(line: &str) -> Option<(Label, usize)> {
    let start = marks_end(line);
    let rest = &line[start..];
    // Nearly every line ends here. A dash or a bracket behind the label stands near it, however long the content is.
    let near = &line[..line.floor_char_boundary(LONGEST)];
    let may_be_label = line.len() <= LONGEST
        || line.contains([':', '：', '='])
        || near.contains(['-', '–', '—', ']', '】', '\t', '|']);
    if !may_be_label || !rest.starts_with(char::is_alphabetic) {
        return None;
    }
    // The words are in lower case.
    let first = rest.chars().next()?;
    let of_letter = |letter: char| BY_LETTER.get(&letter).map_or(&[][..], Vec::as_slice);
    let look_alike = Some(latin(first)).filter(|letter| *letter != lower(first)).map_or(&[][..], of_letter);
    for &(label, words) in of_letter(lower(first)).iter().chain(look_alike) {
        let Some(length) = prefix(rest, words) else { continue };
        let behind = without_remark(&rest[length..]);
        if let Some(content) = cell(words, behind) {
            return Some((label, line.len() - content.len()));
        }
        // `=== Negative ===`, `--- negative ---`
        let rule = behind.trim();
        if rule.len() > 1 && rule.trim_matches(['=', '~', '-', '*', '#', '/', '_']).is_empty() {
            return Some((label, line.len()));
        }
        let unmarked = behind.trim_start_matches(MARKS);
        let is_sign = |mark: char| {
            MARKS.contains(&mark) || u32::from(mark) >= 0x2190 && !mark.is_alphanumeric() && !is_wide_mark(mark)
        };
        if let Some(content) = behind.trim_start_matches(is_sign).strip_prefix([':', '：', '=']) {
            let content = content.trim_start_matches(['*', '_', '`', ' ', '\t']);
            return Some((label, line.len() - content.len()));
        }
        if let Some(content) = dashed(behind).or_else(|| bracketed(&line[..start], behind)) {
            return Some((label, line.len() - content.len()));
        }
        // `Negative prompt` on a line of its own needs no mark; `prompt` may be a word.
        let is_clear = words.contains(' ')
            || matches!(words, "negative" | "negatives" | "parameters")
            || words.contains("提示")
            || words.contains("プロンプト");
        if behind.trim().is_empty() && is_clear {
            return Some((label, line.len()));
        }
        let is_marked = start > 0 || behind.len() > unmarked.len();
        if unmarked.trim().is_empty() && is_marked {
            return Some((label, line.len()));
        }
        // `negative space` is a tag.
    }
    derived_negative(rest, line[..start].contains('#')).map(|length| (Label::Negative, start + length))
}

/// Whether a mark is punctuation of full width, and no emoji.
fn is_wide_mark(mark: char) -> bool {
    matches!(mark, '\u{3001}'..='\u{303F}' | '\u{FF01}'..='\u{FF65}')
}

/// The content of the next cell of a table without rules: `Negative prompt\tlowres`, `Negative prompt | lowres`.
fn cell<'l>(words: &str, behind: &'l str) -> Option<&'l str> {
    const LABELS: &[&str] = &["prompt", "提示", "プロンプト", "프롬프트", "промпт"];
    let is_clear = words == "negative" || words == "positive" || LABELS.iter().any(|label| words.contains(label));
    let is_prompt = words != "negative" && words != "positive";
    let is_bar = behind.trim_start_matches(' ').starts_with("| ");
    let is_cell = behind.starts_with('\t') || (is_prompt && (is_bar || behind.starts_with("  ")));
    let content = behind.trim_start_matches(['\t', ' ', '|']);
    (is_clear && is_cell && !content.is_empty() && !content.starts_with([':', '：', '='])).then_some(content)
}

/// Whether a label is that of a measured value, and no negative prompt: `Negative: -40 degrees`.
pub(crate) fn is_measure(label: &str, content: &str) -> bool {
    let Some(number) = content.strip_prefix(['-', '−']) else { return false };
    let behind = number.trim_start_matches(|digit: char| digit.is_ascii_digit() || digit == '.');
    // `-1::hat::` is a weight.
    behind.len() < number.len() && !behind.starts_with("::") && !label.to_lowercase().contains("prompt")
}

/// Whether a label is made of everyday words, which a sign in the picture may bear: `Avoid: dogs`.
pub(crate) fn is_everyday(label: &str) -> bool {
    const WORDS: &[&str] = &[
        "avoid",
        "to avoid",
        "things to avoid",
        "exclude",
        "excluded",
        "without",
        "unwanted",
        "do not include",
        "don't include",
        "do not draw",
        "don't draw",
        "do not want",
        "don't want",
        "i don't want",
    ];
    let label = label.trim_matches(|mark: char| MARKS.contains(&mark) || matches!(mark, ':' | '：' | '='));
    WORDS.contains(&label.to_lowercase().replace('’', "'").as_str())
}

/// Whether a line announces words that are written in the picture: `The sign says:`.
pub(crate) fn announces_writing(line: &str) -> bool {
    const VERBS: &[&str] = &[
        "says",
        "say",
        "saying",
        "reads",
        "read",
        "reading",
        "written",
        "states",
        "stating",
        "labelled",
        "labeled",
        "titled",
        "lettering",
        "inscription",
        "words",
    ];
    let Some(words) = line.trim().strip_suffix([':', '：']) else { return false };
    let last = words.rsplit(|mark: char| !mark.is_alphabetic()).find(|word| !word.is_empty());
    last.is_some_and(|last| VERBS.contains(&last.to_lowercase().as_str()))
}

/// The length of the marks in front of a label: `### `, `[`, `🚫 `, the number in `2. Negative: lowres`.
fn marks_end(line: &str) -> usize {
    const RULES: &[char] = &['=', '~', '/', '|'];
    let is_mark =
        |mark: char| MARKS.contains(&mark) || RULES.contains(&mark) || (!mark.is_ascii() && !mark.is_alphanumeric());
    let start = line.len() - line.trim_start_matches(is_mark).len();
    let rest = &line[start..];
    let behind_number = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let numbered = behind_number.strip_prefix(['.', ')']).filter(|_| behind_number.len() < rest.len());
    match numbered.and_then(|behind| behind.strip_prefix(' ')) {
        Some(behind) => line.len() - behind.trim_start_matches(is_mark).len(),
        None => start,
    }
}

/// What ends a label, apart from `:`.
const COLONS: &[&str] = &["：", "﹕", "∶", "=>", "->", "→", ">>", "="];

/// A few words and a colon at the beginning of a text: the words, and the length with the colon and the blanks behind it.
fn label_with_colon(text: &str, words_max: usize) -> Option<(&str, usize)> {
    const LONGEST: usize = 64;
    let near = &text[..text.floor_char_boundary(LONGEST)];
    let near = near.lines().next().unwrap_or_default();
    let is_colon =
        |at: &usize| near[*at..].starts_with(':') || COLONS.iter().any(|colon| near[*at..].starts_with(colon));
    let at = near.char_indices().map(|(at, _)| at).find(is_colon)?;
    let label = near[..at].trim_end_matches(['*', '_', '`', ']', '】', '"', ' ', '\u{3000}']);
    let is_word = |character: char| match character {
        ' ' | '_' | '-' | '.' | '\'' => true,
        '，' | '、' | '。' | '“' | '”' | '„' | '「' | '」' | '『' | '』' | '«' | '»' => false,
        other => other.is_alphanumeric() || !other.is_ascii(),
    };
    let is_label = label.starts_with(char::is_alphabetic)
        && label.split_whitespace().count() <= words_max
        && label.chars().all(is_word);
    let behind = match near[at..].strip_prefix(':') {
        // `artist:name` and `re:zero` are tags.
        Some(behind) => {
            Some(behind).filter(|behind| behind.is_empty() || behind.starts_with([' ', '\t', '*', '\u{a0}']))
        }
        None => COLONS.iter().find_map(|colon| near[at..].strip_prefix(colon)),
    }?;
    let length = near.len() - behind.trim_start_matches(['*', '_', '`', ' ', '\t']).len();
    is_label.then_some((label, length))
}

/// The words of a label that a text begins with, whatever they are: `Lighting: soft`.
pub(crate) fn any_label(text: &str) -> Option<&str> {
    const WORDS_MAX: usize = 4;
    let text = text.trim_start();
    label_with_colon(&text[marks_end(text)..], WORDS_MAX).map(|(label, _)| label)
}

/// The text after a remark in brackets: `Negative tags (danbooru): lowres`, `### Negative prompt (what to avoid)`.
fn without_remark(behind: &str) -> &str {
    const LONGEST: usize = 40;
    let inside = behind.trim_start_matches([' ', '*', '_']);
    let remark = |(open, close)| inside.strip_prefix(open)?.split_once(close);
    let rest = [('(', ')'), ('（', '）'), ('[', ']')].into_iter().find_map(remark);
    let rest = rest.filter(|(remark, _)| remark.len() <= LONGEST).map(|(_, rest)| rest);
    let ends = |rest: &str| {
        let rest = rest.trim_start_matches(['*', '_', ' ', '\t']);
        rest.is_empty() || rest.starts_with([':', '：'])
    };
    rest.filter(|rest| ends(rest)).unwrap_or(behind)
}

/// The content behind a label and a dash, as in `Negative - lowres`.
fn dashed(behind: &str) -> Option<&str> {
    let dash = behind.strip_prefix(' ')?.trim_start();
    let content = dash.strip_prefix(['-', '–', '—'])?.strip_prefix(' ')?.trim_start();
    (!content.is_empty()).then_some(content)
}

/// The content after a label in brackets, as in `[Negative] lowres`.
fn bracketed<'l>(before: &str, behind: &'l str) -> Option<&'l str> {
    const PAIRS: &[(char, char)] = &[('[', ']'), ('【', '】')];
    let (_, close) = PAIRS.iter().find(|(open, _)| before.ends_with(*open))?;
    let content = behind.strip_prefix(*close)?.trim_start();
    (!content.is_empty()).then_some(content)
}

/// The label of a negative prompt inside a line that is not a part of words in the picture, such as `a sign says “Negative
/// prompt: …”`.
pub(crate) fn inline_negative(line: &str) -> Option<Range<usize>> {
    // Each look goes through the rest of the line.
    const LOOKS_MAX: usize = 8;
    let mut from = 0;
    for _ in 0..LOOKS_MAX {
        let found = next_inline_negative(&line[from..])?;
        let label = from + found.start..from + found.end;
        if !is_written(line, &label) {
            return Some(label);
        }
        from = label.end;
    }
    None
}

/// The first label of a negative prompt inside a line: `negative prompt:` is clear wherever it stands, a bare word where
/// [`bare_negative`] says so.
fn next_inline_negative(line: &str) -> Option<Range<usize>> {
    const WORDS: &[&str] = &["negative prompt", "负面提示词", "反向提示词", "ネガティブプロンプト", "부정 프롬프트"];
    let has_dash = || [" - ", " – ", " — "].iter().any(|dash| line.contains(dash));
    if !line.contains([':', '：']) && !has_dash() {
        return None;
    }
    let listed = line.char_indices().find_map(|(at, character)| {
        if !matches!(character, 'n' | 'N' | 'Ｎ' | 'ｎ' | 'Ν' | '负' | '反' | 'ネ' | '부') {
            return None;
        }
        let is_start =
            line[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric() || !before.is_ascii());
        if !is_start {
            return None;
        }
        let length = WORDS.iter().find_map(|words| prefix(&line[at..], words))?;
        let behind = &line[at + length..];
        let colon = behind.trim_start_matches(MARKS).strip_prefix([':', '：']);
        let content = colon.map(|content| content.trim_start_matches(['*', '_', '`', ' ', '\t']));
        let content = content.or_else(|| dashed(behind))?;
        let end = line.len() - content.len();
        (!is_measure(&line[at..end], content)).then_some(at..end)
    });
    let bare = || bare_negative(line).filter(|bare| bare.is_clear).map(|bare| bare.span);
    listed.or_else(|| derived::inline(line)).or_else(bare)
}

/// The length of `words` at the beginning of a text, whatever its case, its width and the alphabet of its letters.
fn prefix(text: &str, words: &str) -> Option<usize> {
    let mut characters = text.char_indices();
    for expected in words.chars() {
        let (_, character) = characters.next()?;
        let is_same = character.to_ascii_lowercase() == expected
            || (!character.is_ascii() && (lower(character) == expected || latin(character) == expected))
            || (expected == '\'' && character == '’');
        if !is_same {
            return None;
        }
    }
    Some(characters.next().map_or(text.len(), |(at, _)| at))
}

/// Whether an element or a member of that name holds a negative prompt: `negative_prompt`, `neg`, `负面提示词`.
pub(crate) fn is_negative_name(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "neg",
        "neg_prompt",
        "uc",
        "unwanted",
        "undesired",
        "undesired_content",
        "avoid",
        "to_avoid",
        "things_to_avoid",
        "exclude",
        "excluded",
        "exclusions",
        "do_not_draw",
        "do_not_include",
        "dont_draw",
        "dont_include",
        "do_not_want",
        "dont_want",
        "do_not_show",
        "dont_show",
        "not_wanted",
        "without",
        "antiprompt",
        "anti_prompt",
        "uncond",
        "unconditional",
        "unwanted_tags",
        "neg_tags",
        "negs",
        "bad",
        "bad_tags",
    ];
    const LONGEST: usize = 64;
    if name.is_empty() || name.len() > LONGEST {
        return false;
    }
    // Nearly every name ends here.
    if name.is_ascii() {
        let has_word = name.as_bytes().windows(7).any(|part| part.eq_ignore_ascii_case(b"negativ"));
        let is_same = |(known, written): (u8, u8)| {
            known == written.to_ascii_lowercase() || (known == b'_' && matches!(written, b'-' | b' ' | b'.'))
        };
        let is_name = |known: &&str| known.len() == name.len() && known.bytes().zip(name.bytes()).all(is_same);
        if !has_word {
            return NAMES.iter().any(is_name) || is_negative_words(name);
        }
    }
    let plain: String = name
        .chars()
        .map(|character| if matches!(character, '-' | ' ' | '.') { '_' } else { character })
        .flat_map(char::to_lowercase)
        .collect();
    let is_word = |word: &str| plain.starts_with(word) || plain.ends_with(word);
    NAMES.contains(&plain.as_str())
        || is_word("negative")
        || plain.starts_with("negativ")
        || NEGATIVE_NAMES.contains(&plain)
        || is_negative_words(name)
}

/// Whether an element of that name holds a prompt in words: `positive`, `positive_prompt`.
pub(crate) fn is_positive_name(name: &str) -> bool {
    let plain = name.to_lowercase().replace('-', "_");
    matches!(plain.as_str(), "positive" | "positive_prompt" | "prompt_positive" | "正面提示词" | "正面" | "提示词")
}

#[cfg(test)]
mod tests;
