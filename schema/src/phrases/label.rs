//! Labels: words before a colon that say what follows.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

/// What a label announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    Prompt,
    /// The negative prompt.
    Negative,
}

/// Labels of a negative prompt, in lower case, the longer one of two with the same beginning first.
const NEGATIVE: &[&str] = &[
    "negative prompts",
    "negative prompt",
    "negative_prompt",
    "negative tags",
    "negative_tags",
    "negatives",
    "negative",
    "neg prompt",
    "neg. prompt",
    "neg_prompt",
    "neg",
    "undesired content",
    "undesired",
    "unwanted",
    "things to avoid",
    "to avoid",
    "avoid",
    "exclude",
    "do not include",
    "don't include",
    "do not draw",
    "don't draw",
    "do not want",
    "don't want",
    "i don't want",
    "without",
    "excluded",
    "exclusions",
    "anti prompt",
    "antiprompt",
    "uc",
    "负面提示词",
    "负面提示",
    "负面词",
    "负面",
    "负向提示词",
    "负向",
    "反向提示词",
    "反向提示",
    "反向词",
    "反向",
    "負面提示詞",
    "負面提示",
    "負面",
    "反向提示詞",
    "反向提示",
    "ネガティブプロンプト",
    "ネガティブ",
    "ネガ",
    "除外",
    "反面提示词",
    "负面标签",
    "負面標籤",
    "不包含",
    "排除",
    "避けたいもの",
    "避けたい要素",
    "避ける",
    "描かない",
    "含めない",
    "不要出现",
    "不要出現",
    "不要",
    "避免",
    "네거티브 프롬프트",
    "네거티브",
    "부정 프롬프트",
    "부정적 프롬프트",
    "부정",
    "제외",
    "prompt négatif",
    "négatif",
    "prompt negativo",
    "negativo",
    "negativer prompt",
    "negativprompt",
    "negativ-prompt",
    "negativ",
    "негативный промпт",
    "негативный промт",
    "негативный",
    "негатив",
    "negatywny prompt",
    "negatif prompt",
    "prompt negatif",
    "negatif",
    "negatieve prompt",
    "prompt tiêu cực",
    "prompt âm",
    "prompt negatywny",
    "negatywny",
    "negativní prompt",
    "negatív prompt",
    "negatiivinen kehote",
    "отрицательный промпт",
    "исключить",
    "αρνητικό prompt",
    "سلبي",
    "नकारात्मक प्रॉम्प्ट",
    "à éviter",
    "éviter",
    "evitar",
    "evitare",
    "vermeiden",
    "unerwünscht",
    "à exclure",
    "exclure",
    "excluir",
    "escludere",
    "uncond",
    "unconditional",
];

/// Labels of a prompt, in lower case.
const PROMPT: &[&str] = &[
    "positive prompts",
    "positive prompt",
    "positive_prompt",
    "positive tags",
    "positives",
    "positive",
    "final prompt",
    "image prompt",
    "imagine prompt",
    "pos prompt",
    "pos",
    "parameters",
    "assistant",
    "final answer",
    "answer",
    "output",
    "response",
    "newbie prompt",
    "xml prompt",
    "prompt xml",
    "prompt",
    "正面提示词",
    "正面提示",
    "正面",
    "正向提示词",
    "正向",
    "提示词",
    "正面提示詞",
    "提示詞",
    "ポジティブプロンプト",
    "ポジティブ",
    "プロンプト",
    "긍정 프롬프트",
    "프롬프트",
    "prompt positif",
    "prompt positivo",
    "positiver prompt",
    "позитивный промпт",
    "промпт",
];

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
    let start = marks_end(line);
    let rest = &line[start..];
    // Nearly every line ends here. A dash or a bracket behind the label stands near it, however long the content is.
    let near = &line[..line.floor_char_boundary(LONGEST)];
    let may_be_label =
        line.len() <= LONGEST || line.contains([':', '：', '=']) || near.contains(['-', '–', '—', ']', '】']);
    if !may_be_label || !rest.starts_with(char::is_alphabetic) {
        return None;
    }
    // The words are in lower case.
    let first = rest.chars().next()?.to_lowercase().next()?;
    for &(label, words) in BY_LETTER.get(&first).map_or(&[][..], Vec::as_slice) {
        let Some(length) = prefix(rest, words) else { continue };
        let behind = without_remark(&rest[length..]);
        // `=== Negative ===`, `--- negative ---`
        let rule = behind.trim();
        if rule.len() > 1 && rule.trim_matches(['=', '~', '-', '*', '#', '/', '_']).is_empty() {
            return Some((label, line.len()));
        }
        let unmarked = behind.trim_start_matches(MARKS);
        if let Some(content) = unmarked.strip_prefix([':', '：', '=']) {
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
    derived_negative(rest).map(|length| (Label::Negative, start + length))
}

/// The length of the marks in front of a label: `### `, `[`, `🚫 `, the number in `2. Negative: lowres`.
fn marks_end(line: &str) -> usize {
    const RULES: &[char] = &['=', '~', '/'];
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

/// Recognises the label of a negative prompt that is in no list by its words, such as `Negativt prompt:`. Returns its length with
/// the colon. Every word must belong to such a label, so `negative space:` is not one.
fn derived_negative(text: &str) -> Option<usize> {
    /// Beginnings of the word in the languages that share it.
    const ROOTS: &[&str] = &["negat", "négat", "негатив", "отрицательн", "заперечн"];
    /// The word in languages that write no spaces.
    const PARTS: &[&str] = &[
        "负面",
        "負面",
        "负向",
        "負向",
        "反向",
        "反面",
        "负prompt",
        "负提示",
        "ネガティブ",
        "ネガティヴ",
        "マイナス",
        "네거티브",
        "부정",
    ];
    /// What stands next to it.
    const OTHERS: &[&str] = &[
        "prompt",
        "prompts",
        "promptul",
        "tag",
        "tags",
        "word",
        "words",
        "term",
        "terms",
        "keyword",
        "keywords",
        "embedding",
        "embeddings",
        "conditioning",
        "list",
        "text",
        "input",
        "kehote",
        "istem",
        "quality",
        "промпт",
        "промт",
        "запрос",
        "프롬프트",
        "태그",
        "the",
        "my",
        "le",
        "el",
        "o",
        "il",
    ];
    /// What ends a compound in languages without spaces.
    const ENDINGS: &[&str] = &[
        "プロンプト",
        "・プロンプト",
        "タグ",
        "ワード",
        "キーワード",
        "要素",
        "指定",
        "提示词",
        "提示詞",
        "提示",
        "词",
        "詞",
        "关键词",
        "標籤",
        "标签",
        "咒语",
        "prompt",
        "tag",
        "tags",
        "프롬프트",
        "태그",
        "적",
    ];
    let (label, length) = label_with_colon(text)?;
    let is_candidate = !label.is_ascii() || label.as_bytes().windows(5).any(|part| part.eq_ignore_ascii_case(b"negat"));
    if !is_candidate {
        return None;
    }
    let label = label.to_lowercase();
    let is_root = |word: &str| {
        let is_compound = PARTS
            .iter()
            .any(|part| word.strip_prefix(part).is_some_and(|ending| ending.is_empty() || ENDINGS.contains(&ending)));
        is_compound || ROOTS.iter().any(|root| word.starts_with(root) && !word.starts_with("negation"))
    };
    let words = || label.split([' ', '_', '-', '.', '\u{a0}', '\u{3000}']).filter(|word| !word.is_empty());
    (words().any(is_root) && words().all(|word| is_root(word) || OTHERS.contains(&word))).then_some(length)
}

/// What ends a label, apart from `:`.
const COLONS: &[&str] = &["：", "﹕", "∶", "=>", "->", "→", ">>", "="];

/// A few words and a colon at the beginning of a text: the words, and the length with the colon and the blanks behind it.
fn label_with_colon(text: &str) -> Option<(&str, usize)> {
    const LONGEST: usize = 64;
    const WORDS_MAX: usize = 4;
    let near = &text[..text.floor_char_boundary(LONGEST)];
    let near = near.lines().next().unwrap_or_default();
    let is_colon =
        |at: &usize| near[*at..].starts_with(':') || COLONS.iter().any(|colon| near[*at..].starts_with(colon));
    let at = near.char_indices().map(|(at, _)| at).find(is_colon)?;
    let label = near[..at].trim_end_matches(['*', '_', '`', ']', '】', '"', ' ', '\u{3000}']);
    let is_word = |character: char| match character {
        ' ' | '_' | '-' | '.' | '\'' => true,
        '，' | '、' | '。' => false,
        other => other.is_alphanumeric() || !other.is_ascii(),
    };
    let is_label = label.starts_with(char::is_alphabetic)
        && label.split_whitespace().count() <= WORDS_MAX
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
    let text = text.trim_start();
    label_with_colon(&text[marks_end(text)..]).map(|(label, _)| label)
}

/// The text after a remark in brackets: `Negative tags (danbooru): lowres`.
fn without_remark(behind: &str) -> &str {
    const LONGEST: usize = 40;
    let inside = behind.strip_prefix(' ').and_then(|behind| behind.strip_prefix('('));
    let rest = inside.and_then(|inside| inside.split_once(')')).filter(|(remark, _)| remark.len() <= LONGEST);
    rest.map(|(_, rest)| rest).filter(|rest| rest.trim_start().starts_with([':', '：'])).unwrap_or(behind)
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

/// The label of a negative prompt inside a line: `negative prompt:` is clear wherever it stands.
pub(crate) fn inline_negative(line: &str) -> Option<Range<usize>> {
    const WORDS: &[&str] = &["negative prompt", "负面提示词", "反向提示词", "ネガティブプロンプト", "부정 프롬프트"];
    /// Clear only after the end of a sentence or a part: `…; Negative: lowres`.
    const SHORT: &[&str] = &["negatives", "negative"];
    if !line.contains([':', '：']) {
        return None;
    }
    line.char_indices().find_map(|(at, character)| {
        if !matches!(character, 'n' | 'N' | '负' | '反' | 'ネ' | '부') {
            return None;
        }
        let is_start =
            line[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric() || !before.is_ascii());
        if !is_start {
            return None;
        }
        let is_part = line[..at].trim_end().ends_with([';', '|', '.', '；', '。', '!', '(', '[', '{', '（', '【']);
        let words = WORDS.iter().chain(if is_part { SHORT } else { &[] });
        let length = words.into_iter().find_map(|words| prefix(&line[at..], words))?;
        let behind = line[at + length..].trim_start_matches(MARKS);
        let content = behind.strip_prefix([':', '：'])?.trim_start_matches(['*', '_', '`', ' ', '\t']);
        Some(at..line.len() - content.len())
    })
}

/// The length of `words` at the beginning of a text, whatever its case.
fn prefix(text: &str, words: &str) -> Option<usize> {
    let mut characters = text.char_indices();
    for expected in words.chars() {
        let (_, character) = characters.next()?;
        let is_same = character.to_ascii_lowercase() == expected
            || (!character.is_ascii() && character.to_lowercase().eq([expected]))
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
            return NAMES.iter().any(is_name);
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
        || NEGATIVE.iter().any(|words| !words.is_ascii() && plain == words.replace(' ', "_"))
}

/// Whether an element of that name holds a prompt in words: `positive`, `positive_prompt`.
pub(crate) fn is_positive_name(name: &str) -> bool {
    let plain = name.to_lowercase().replace('-', "_");
    matches!(plain.as_str(), "positive" | "positive_prompt" | "prompt_positive" | "正面提示词" | "正面" | "提示词")
}

#[cfg(test)]
mod tests;
