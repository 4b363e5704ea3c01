//! Invisible characters and unusual spaces.

use std::borrow::Cow;

use crate::source::Change;

/// The invisible characters from an offset on, and what each is read as: nothing, or a blank.
pub(crate) fn changes(text: &str, from: usize) -> Vec<Change> {
    // All of them but one are beyond ASCII, and begin with one of these bytes.
    let is_suspicious =
        text.bytes().any(|byte| matches!(byte, 0x7F | 0xC2 | 0xCD | 0xD8 | 0xE1..=0xE3 | 0xEF | 0xF0 | 0xF3));
    if !is_suspicious {
        return Vec::new();
    }
    let mut changes = Vec::new();
    let mut before = None;
    let mut rest = text[from..].char_indices().peekable();
    while let Some((offset, character)) = rest.next() {
        let after = rest.peek().map(|(_, after)| *after);
        let span = from + offset..from + offset + character.len_utf8();
        match replacement(character, before, after) {
            Some(replacement) => changes.push((span, Cow::Borrowed(replacement))),
            None => before = Some(character),
        }
    }
    changes
}

/// The text for an invisible character that is written as a reference; `None` if the character is visible.
pub(crate) fn referenced(character: char) -> Option<&'static str> {
    if character.is_ascii() && character != '\u{7F}' {
        return None;
    }
    // Between two letters.
    replacement(character, Some('a'), Some('a'))
}

/// What an invisible character between two others is read as; `None` if it is visible, or belongs there.
fn replacement(character: char, before: Option<char>, after: Option<char>) -> Option<&'static str> {
    match character {
        // A blank at the end of a tag is not read anyway.
        '\u{A0}' | '\u{1680}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => {
            let is_inside = |side: Option<char>| side.is_some_and(|side| !side.is_whitespace() && !is_separator(side));
            (is_inside(before) && is_inside(after)).then_some(" ")
        }
        '\u{2028}' | '\u{2029}' | '\u{85}' => Some("\n"),
        // They join letters in Arabic, Indic and other scripts, and pictures of emoji.
        '\u{200C}' | '\u{200D}' => {
            let joins = |side: Option<char>| side.is_some_and(is_joining);
            (!joins(before) || !joins(after)).then_some("")
        }
        // Behind the black flag they spell a flag.
        '\u{E0020}'..='\u{E007F}' => {
            let is_flag = before.is_some_and(|before| before == '\u{1F3F4}' || is_tag(before));
            (!is_flag).then_some("")
        }
        // They choose the form of an emoji, a symbol or an ideograph.
        '\u{FE00}'..='\u{FE0F}' => {
            let has_forms = |side: char| match side {
                '0'..='9' | '#' | '*' => after == Some('\u{20E3}'),
                '\u{FE00}'..='\u{FE0F}' => false,
                side => matches!(side, '©' | '®') || u32::from(side) >= 0x2000 || is_joining(side),
            };
            (!before.is_some_and(has_forms)).then_some("")
        }
        '\u{7F}'..='\u{9F}'
        | '\u{AD}'
        | '\u{34F}'
        | '\u{61C}'
        | '\u{115F}'
        | '\u{1160}'
        | '\u{17B4}'
        | '\u{17B5}'
        | '\u{180B}'..='\u{180F}'
        | '\u{200B}'
        | '\u{200E}'
        | '\u{200F}'
        | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}'
        | '\u{2800}'
        | '\u{3164}'
        | '\u{FEFF}'
        | '\u{FFA0}'
        | '\u{FFF0}'..='\u{FFFC}'
        | '\u{FDD0}'..='\u{FDEF}'
        | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E001F}'
        | '\u{E0080}'..='\u{E01EF}' => Some(""),
        _ => None,
    }
}

fn is_tag(character: char) -> bool {
    matches!(character, '\u{E0020}'..='\u{E007F}')
}

fn is_separator(character: char) -> bool {
    matches!(character, ',' | '<' | '>' | ';' | '，' | '、' | '；')
}

/// Whether a character can be joined to its neighbour: letters of joining scripts, and emoji.
fn is_joining(character: char) -> bool {
    matches!(u32::from(character),
        0x0600..=0x08FF | 0x0900..=0x109F | 0x1780..=0x18AF | 0x200D | 0x2190..=0x2BFF | 0xA840..=0xABFF
        | 0xFB50..=0xFDFF | 0xFE0F | 0xFE70..=0xFEFC | 0x1F000..=0x1FAFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_clean(text: &str) -> bool {
        changes(text, 0).is_empty()
    }

    #[test]
    fn invisible_characters_are_found() {
        for text in [
            "a\u{200B}b",
            "so\u{AD}ft",
            "a\u{FEFF}",
            "\u{202E}abc",
            "long\u{A0}hair",
            "a\u{200D}b",
            "\u{E0041}",
            "a\u{FE0F}b",
            "❤\u{FE0F}\u{FE01}",
            "a\u{7F}",
            "a\u{FFFC}",
            "1\u{FE0F}",
        ] {
            assert!(!is_clean(text), "{text:?}");
        }
    }

    #[test]
    fn what_belongs_to_a_script_or_an_emoji_stays() {
        for text in [
            "猫耳",
            "👩\u{200D}👧",
            "می\u{200C}خواهم",
            "a,\u{3000}b",
            "❤\u{FE0F}",
            "क\u{200D}ष",
            "é à ö",
            "a b",
            "1\u{FE0F}\u{20E3}",
            "©\u{FE0F}",
        ] {
            assert!(is_clean(text), "{text:?}");
        }
    }
}
