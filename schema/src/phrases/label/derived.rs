//! Labels of a negative prompt that are in no list: with other words, in other languages, or misspelt.

use std::ops::Range;

use super::label_with_colon;
use super::letters::latin_word;

/// Beginnings of the word for negative, in lower case.
const ROOTS: &[&str] = &[
    "negat",
    "négat",
    "negàt",
    "negát",
    "neikvæ",
    "neigiam",
    "olumsuz",
    "mənfi",
    "salbiy",
    "негатив",
    "отрицательн",
    "отрицател",
    "заперечн",
    "αρνητικ",
    "שליל",
    "سلبي",
    "السلبي",
    "سالب",
    "السالب",
    "منفی",
    "नकारात्मक",
    "নেতিবাচক",
    "எதிர்மறை",
    "უარყოფით",
    "բացասական",
    "теріс",
];

/// The word in languages that write no spaces.
const PARTS: &[&str] = &[
    "负面",
    "負面",
    "负向",
    "負向",
    "反向",
    "反面",
    "消极",
    "消極",
    "否定",
    "负prompt",
    "负提示",
    "ネガティブ",
    "ネガティヴ",
    "マイナス",
    "네거티브",
    "부정",
];

/// The word in Thai, which puts it behind the noun, and how the noun begins.
const THAI: &[&str] = &["เชิงลบ", "ด้านลบ"];
const THAI_NOUNS: &[&str] = &["พรอม", "พร้อม", "คำ", "แท็ก"];

/// Words for a prompt: next to a root they make a label, whatever other words it has.
const NOUNS: &[&str] = &[
    "prompt",
    "prompts",
    "promptul",
    "promptlar",
    "promt",
    "tag",
    "tags",
    "keyword",
    "keywords",
    "embedding",
    "embeddings",
    "kehote",
    "istem",
    "istemi",
    "istemler",
    "komut",
    "komutu",
    "monit",
    "výzva",
    "upit",
    "poziv",
    "uppmaning",
    "viip",
    "промпт",
    "промпты",
    "промт",
    "запрос",
    "запит",
    "подсказка",
    "подсказки",
    "προτροπή",
    "פרומפט",
    "הנחיה",
    "مطالبة",
    "المطالبة",
    "المطالبات",
    "موجه",
    "الموجه",
    "برومبت",
    "البرومبت",
    "النص",
    "الوصف",
    "پرامپت",
    "พรอมต์",
    "प्रॉम्प्ट",
    "प्रॉम्प्ट्स",
    "প্রম্পট",
    "프롬프트",
    "태그",
];

/// Other words of a label that has nothing but them and a root.
const OTHERS: &[&str] = &[
    "word",
    "words",
    "term",
    "terms",
    "conditioning",
    "list",
    "text",
    "input",
    "quality",
    "the",
    "my",
    "le",
    "el",
    "o",
    "il",
    "is",
    "are",
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

/// Recognises a label by its words, such as `Negativt prompt:` or `The negative prompt is:`. Returns its length with the
/// colon. In a title (`is_title`) the end of the line stands for the colon.
pub(super) fn derived_negative(text: &str, is_title: bool) -> Option<usize> {
    const WORDS_MAX: usize = 8;
    const LONGEST: usize = 64;
    if let Some((label, length)) = label_with_colon(text, WORDS_MAX) {
        return is_negative_words(label).then_some(length);
    }
    let is_short = is_title && text.len() <= LONGEST && !text.contains([',', '，', '.', ':', '：']);
    let label = text.trim_end_matches(['#', '*', ' ']);
    (is_short && named_at(label).is_some()).then_some(text.len())
}

/// The label of a negative prompt inside a line, with its colon: a root next to a word for a prompt.
pub(super) fn inline(line: &str) -> Option<Range<usize>> {
    const LONGEST: usize = 64;
    const ENDS: &[char] = &[
        ',', '.', ';', '|', '!', '?', '(', '[', '{', ')', ']', '}', '<', '>', ':', '，', '。', '；', '、', '：', '！',
    ];
    line.match_indices([':', '：']).find_map(|(colon, mark)| {
        let near = line.ceil_char_boundary(colon.saturating_sub(LONGEST));
        let piece = &line[near..colon];
        let start = near + piece.rfind(ENDS).map_or(0, |end| piece.ceil_char_boundary(end + 1));
        let label = start + named_at(&line[start..colon])?;
        let content = line[colon + mark.len()..].trim_start_matches(['*', '_', '`', ' ', '\t']);
        Some(label..line.len() - content.len())
    })
}

/// Whether words are the label of a negative prompt: nothing but a root and what belongs to it, so that `negative space`
/// is not one, or a root next to a word for a prompt.
pub(super) fn is_negative_words(label: &str) -> bool {
    const SHORT: usize = 4;
    if !may_hold_root(label) {
        return false;
    }
    let words = words(label);
    let is_short = words.len() <= SHORT;
    let belongs = |word: &str| is_root(word) || is_noun(word) || OTHERS.contains(&word);
    let all_belong = || words.iter().all(|(_, word)| belongs(word));
    (is_short && words.iter().any(|(_, word)| is_root(word)) && all_belong()) || named_at(label).is_some()
}

/// Where a root and a word for a prompt stand next to each other, if the words name no other prompt.
fn named_at(label: &str) -> Option<usize> {
    if !may_hold_root(label) {
        return None;
    }
    let words = words(label);
    let is_other = |word: &str| {
        ["positiv", "позитив", "положительн"].iter().any(|root| word.starts_with(root))
            || ["正面", "正向", "ポジティブ", "긍정"].iter().any(|part| word.contains(part))
    };
    if words.iter().any(|(_, word)| is_other(word)) {
        return None;
    }
    let has_root = |word: &str| is_root(word) || is_nearly_root(word);
    let is_pair = |left: &str, right: &str| (has_root(left) && is_noun(right)) || (is_noun(left) && has_root(right));
    let pair = words.windows(2).position(|pair| is_pair(&pair[0].1, &pair[1].1)).map(|pair| {
        let before = words[..pair].iter().rev().take_while(|(_, word)| OTHERS.contains(&word.as_str())).count();
        words[pair - before].0
    });
    let is_one = words.iter().filter(|(_, word)| is_noun(word)).count() == 1;
    pair.filter(|_| is_one).or_else(|| compound_at(label))
}

/// Whether a label may hold a root. Nearly every one ends here.
fn may_hold_root(label: &str) -> bool {
    let begins =
        |word: &str| matches!(word.as_bytes().first(), Some(b'n' | b'N' | b'e' | b'E' | b'o' | b'O' | b's' | b'S'));
    const SHORTEST: usize = 6;
    !label.is_ascii() || label.split([' ', '_', '-', '.']).any(|word| word.len() >= SHORTEST && begins(word))
}

/// The words in lower case; letters that look like Latin ones are Latin in a word that is a root or a noun then.
fn words(label: &str) -> Vec<(usize, String)> {
    let spelt = |word: &str| {
        let plain = word.to_lowercase();
        if plain.is_ascii() || is_root(&plain) || is_noun(&plain) {
            return plain;
        }
        let latin = latin_word(word);
        if is_root(&latin) || is_noun(&latin) { latin } else { plain }
    };
    let is_between = |mark: char| matches!(mark, ' ' | '_' | '-' | '.' | '\u{a0}' | '\u{3000}' | '\t');
    let mut words = Vec::new();
    let mut at = 0;
    for word in label.split(is_between) {
        if !word.is_empty() {
            words.push((at, spelt(word)));
        }
        at += word.len();
        at += label[at..].chars().next().map_or(0, char::len_utf8);
    }
    words
}

fn is_root(word: &str) -> bool {
    const SLIPS: usize = 1;
    let is_compound = || {
        let after = |part: &str| word.strip_prefix(part).is_some_and(|end| end.is_empty() || ENDINGS.contains(&end));
        let is_thai_noun = |noun: &str| noun.is_empty() || THAI_NOUNS.iter().any(|start| noun.starts_with(start));
        let is_thai = |part: &str| word.strip_suffix(part).is_some_and(is_thai_noun);
        PARTS.iter().any(|part| after(part)) || THAI.iter().any(|part| is_thai(part))
    };
    (ROOTS.iter().any(|root| word.starts_with(root)) && !word.starts_with("negation"))
        || (!word.is_ascii() && is_compound())
        || is_near(word, "negative", SLIPS)
}

/// A word with two slips, which is clear only next to a word for a prompt.
fn is_nearly_root(word: &str) -> bool {
    const SLIPS: usize = 2;
    word.starts_with('n') && is_near(word, "negative", SLIPS) || word == "neg"
}

fn is_noun(word: &str) -> bool {
    const SLIPS: usize = 1;
    NOUNS.contains(&word) || is_near(word, "prompt", SLIPS)
}

/// Whether a word of about the same length differs from a known one by at most so many slips of the pen.
fn is_near(word: &str, known: &str, most: usize) -> bool {
    let is_candidate = word.is_ascii() && word.len() >= known.len() - 1 && word.len() <= known.len() + most;
    is_candidate && strsim::osa_distance(word, known) <= most
}

/// Where a compound such as `负面提示词` stands in a label that names no other prompt: `以下是负面提示词`.
fn compound_at(label: &str) -> Option<usize> {
    const PROMPTS: &[&str] = &["プロンプト", "提示", "프롬프트"];
    if label.is_ascii() || PROMPTS.iter().map(|prompt| label.matches(prompt).count()).sum::<usize>() != 1 {
        return None;
    }
    let is_compound = |end: usize| {
        let behind = label[end..].trim_start_matches(['・', ' ']);
        PROMPTS.iter().any(|prompt| behind.starts_with(prompt))
    };
    let places = PARTS.iter().flat_map(|part| label.match_indices(part));
    places.filter(|(at, part)| is_compound(at + part.len())).map(|(at, _)| at).min()
}
