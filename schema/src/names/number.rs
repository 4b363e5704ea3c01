//! Numbers of character blocks in the spellings that occur.

use super::Certainty;

/// Words for a character in the names of blocks, in lower case; the longer one of two with the same beginning first.
const WORDS: &[&str] = &[
    "characters",
    "character",
    "charakter",
    "chara",
    "char",
    "person",
    "subject",
    "figure",
    "personnage",
    "personaje",
    "personagem",
    "personaggio",
    "персонаж",
    "角色",
    "人物",
    "キャラクター",
    "キャラ",
    "캐릭터",
    "인물",
];

const NUMBER_WORDS: &[&str] =
    &["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];

const NUMERALS: &[&str] = &["一", "二", "三", "四", "五", "六", "七", "八", "九", "十"];

/// The number of a character block: `character_2`, and in other spellings `character 2`, `Character-2`, `char_2`.
pub(super) fn character_number(name: &str) -> Option<(u32, Certainty)> {
    const SEPARATORS: &[char] = &['_', '-', ' ', '\t', '\n', '\r', ':', '.', '#'];
    let first = name.chars().next()?;
    // Nearly every name ends here.
    if first.is_ascii() && !matches!(first.to_ascii_lowercase(), 'c' | 'p' | 's' | 'f') {
        return None;
    }
    // A number ends the name: a digit, a word or a numeral.
    let words = WORDS.iter().filter(|word| word.is_ascii() == first.is_ascii() && word.len() < name.len());
    let (word, rest) = words.into_iter().find_map(|word| {
        let written = name.get(..word.len())?;
        let rest = &name[word.len()..];
        let is_word = written.eq_ignore_ascii_case(word) || (!word.is_ascii() && written.to_lowercase() == *word);
        (is_word && !rest.is_empty()).then_some((written, rest))
    })?;
    let digits = rest.trim_start_matches(SEPARATORS);
    let is_ascii = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_ascii {
        return spelt_number(digits).map(|number| (number, Certainty::Alias));
    }
    let number = digits.parse().unwrap_or(u32::MAX);
    let is_padded = digits.len() > 1 && digits.starts_with('0');
    let is_exact = word == "character" && rest.strip_prefix('_') == Some(digits) && !is_padded;
    Some((number, if is_exact { Certainty::Exact } else { Certainty::Alias }))
}

/// Whether a name is a word for a character without a number: `character`, `character_A`, `character_II`.
pub(crate) fn is_character_word(name: &str) -> bool {
    let lower = name.to_lowercase();
    WORDS.iter().any(|word| {
        let Some(rest) = lower.strip_prefix(word) else { return false };
        let mark = rest.trim_start_matches(['_', '-', ' ', '.']);
        let is_roman = mark.len() <= 4 && mark.bytes().all(|byte| matches!(byte, b'i' | b'v' | b'x'));
        mark.is_empty() || (rest.len() > mark.len() && (is_roman || mark.len() == 1))
    })
}

/// A number in words, in Chinese numerals or in wide digits.
fn spelt_number(text: &str) -> Option<u32> {
    let place = |list: &[&str]| list.iter().position(|word| text.eq_ignore_ascii_case(word)).map(|index| index + 1);
    if let Some(number) = place(NUMBER_WORDS).or_else(|| place(NUMERALS)) {
        return u32::try_from(number).ok();
    }
    let wide = |digit: char| ('０'..='９').contains(&digit).then(|| u32::from(digit) - u32::from('０'));
    let digits: Option<Vec<u32>> = text.chars().take(4).map(wide).collect();
    digits.filter(|digits| !digits.is_empty()).map(|digits| digits.iter().fold(0, |number, digit| number * 10 + digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_a_character_are_no_names() {
        for name in ["character", "Character", "characters", "character_A", "char-ii", "角色"] {
            assert!(is_character_word(name), "{name}");
        }
        for name in ["miku", "charlotte", "persona", "character_miku", "figurehead", "chara_lost"] {
            assert!(!is_character_word(name), "{name}");
        }
    }
}
