//! Letters of other alphabets and widths that look like Latin ones.

/// A character in lower case.
pub(super) fn lower(character: char) -> char {
    character.to_lowercase().next().unwrap_or(character)
}

/// The lower-case ASCII character that a character looks like; the character in lower case if it looks like none.
///
/// Knows full width (U+FF01 to U+FF5E), the mathematical alphabets (U+1D400 to U+1D6A3) and the letters of Greek and
/// Cyrillic that common fonts draw like Latin ones.
pub(super) fn latin(character: char) -> char {
    const WIDE: u32 = 0xFEE0;
    const MATHEMATICAL: u32 = 0x1D400;
    const LETTERS: u32 = 26;
    let code = u32::from(character);
    let ascii = |code: u32| char::from_u32(code).unwrap_or(character).to_ascii_lowercase();
    match character {
        '\u{FF01}'..='\u{FF5E}' => ascii(code - WIDE),
        '\u{1D400}'..='\u{1D6A3}' => ascii(u32::from('a') + (code - MATHEMATICAL) % LETTERS),
        // In circles.
        'Ⓐ'..='Ⓩ' => ascii(u32::from('a') + code - u32::from('Ⓐ')),
        'ⓐ'..='ⓩ' => ascii(u32::from('a') + code - u32::from('ⓐ')),
        '\u{A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{3000}' => ' ',
        'а' | 'А' | 'α' | 'Α' => 'a',
        'В' | 'Β' => 'b',
        'с' | 'С' | 'ϲ' => 'c',
        'ԁ' => 'd',
        'е' | 'Е' | 'ε' | 'Ε' => 'e',
        'ɡ' => 'g',
        'Н' | 'Η' | 'һ' => 'h',
        'і' | 'І' | 'ι' | 'Ι' | 'ı' => 'i',
        'ј' | 'Ј' => 'j',
        'К' | 'к' | 'Κ' | 'κ' => 'k',
        'М' | 'м' | 'Μ' => 'm',
        'Ν' | 'ո' => 'n',
        'о' | 'О' | 'ο' | 'Ο' => 'o',
        'р' | 'Р' | 'ρ' | 'Ρ' => 'p',
        'ѕ' | 'Ѕ' => 's',
        'т' | 'Т' | 'τ' | 'Τ' => 't',
        'υ' | 'ս' => 'u',
        'ν' | 'ѵ' => 'v',
        'х' | 'Х' | 'χ' | 'Χ' => 'x',
        'у' | 'У' | 'Υ' => 'y',
        'Ζ' => 'z',
        other => lower(other),
    }
}

/// A word in the Latin letters that it looks like.
pub(super) fn latin_word(word: &str) -> String {
    word.chars().map(latin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_as_what_they_look_like() {
        for word in ["Ｎｅｇａｔｉｖｅ", "Nеgаtіvе", "Νεgative", "𝐍𝐞𝐠𝐚𝐭𝐢𝐯𝐞", "𝙉egative", "Ⓝⓔⓖⓐⓣⓘⓥⓔ"]
        {
            assert_eq!(latin_word(word), "negative", "{word}");
        }
        assert_eq!(latin_word("Ж猫"), "ж猫");
    }
}
