//! Texts of bounded length, for messages that quote files and requests.

/// `text`, cut after at most `bytes_max` bytes, at the end of a character, and followed by `…` if anything was cut.
pub fn truncated(text: &str, bytes_max: usize) -> String {
    let end = text.floor_char_boundary(bytes_max);
    if end < text.len() { format!("{}…", &text[..end]) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        for (text, bytes_max, expected) in [
            ("", 0, ""),
            ("abc", 3, "abc"),
            ("abc", 2, "ab…"),
            ("aé", 3, "aé"),
            ("aé", 2, "a…"),
            ("é", 1, "…"),
            ("é", 0, "…"),
        ] {
            assert_eq!(truncated(text, bytes_max), expected, "{text} to {bytes_max}");
        }
    }
}
