//! Text from a peer or a file, made safe to print on a terminal.
//!
//! A terminal acts on control characters, and bidirectional ones change the order in which a reader sees the text. Both
//! are replaced, so that nothing that another party wrote can move the cursor, hide text or disguise it.

/// What stands for a character that is not shown.
pub const REPLACEMENT: char = '\u{fffd}';

/// Whether a character shows nothing of its own: control characters, bidirectional and zero-width ones, separators of
/// lines and paragraphs, annotations and tags.
pub fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
        )
}

/// The text on one line: line breaks and tabs become spaces, every other invisible character [`REPLACEMENT`].
pub fn one_line(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\n' | '\t' => ' ',
            character if is_invisible(character) => REPLACEMENT,
            character => character,
        })
        .collect()
}

/// The text with its line breaks: every other invisible character becomes [`REPLACEMENT`], tabs become spaces.
pub fn lines(text: &str) -> String {
    text.split('\n').map(one_line).collect::<Vec<_>>().join("\n")
}

/// `1 error`, `2 errors`.
pub fn count(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_acts_on_is_replaced() {
        for character in
            ['\u{1b}', '\u{9b}', '\r', '\u{8}', '\u{202e}', '\u{2066}', '\u{200b}', '\u{2028}', '\u{e0041}']
        {
            assert_eq!(one_line(&format!("a{character}b")), "a\u{fffd}b", "{character:?}");
        }
        assert_eq!(one_line("a\n\tb"), "a  b");
        assert_eq!(lines("a\r\nb\tc\u{1b}[2J"), "a\u{fffd}\nb c\u{fffd}[2J");
    }

    #[test]
    fn one_is_singular() {
        assert_eq!([0, 1, 2].map(|number| count(number, "job")), ["0 jobs", "1 job", "2 jobs"]);
    }

    #[test]
    fn what_people_write_stays() {
        for text in ["初音ミク >_<", "e\u{301}", "مرحبا", "1girl, <lora>"] {
            assert_eq!(one_line(text), text);
        }
    }
}
