//! Characters and escapes of XML 1.0.

use std::borrow::Cow;

use quick_xml::escape::minimal_escape;

/// A text as it stands between tags: nothing is escaped that need not be, so that `it's` and `>_>` stay readable.
pub(crate) fn escape(value: &str) -> Cow<'_, str> {
    // All that needs more than a look at the bytes: the controls, and the non-characters U+FFFE and U+FFFF (EF BF BE/BF).
    let is_plain = value
        .bytes()
        .all(|byte| byte >= 0x20 && !matches!(byte, b'<' | b'&' | b'>' | 0xEF) || matches!(byte, b'\n' | b'\t'));
    if is_plain {
        return Cow::Borrowed(value);
    }
    let mut escaped = minimal_escape(value);
    if escaped.contains("]]>") {
        escaped = Cow::Owned(escaped.replace("]]>", "]]&gt;"));
    }
    if escaped.contains('\r') {
        // A reader would turn it into a line feed.
        escaped = Cow::Owned(escaped.replace('\r', "&#13;"));
    }
    if !escaped.chars().all(is_xml_char) {
        escaped = Cow::Owned(escaped.replace(|character| !is_xml_char(character), "\u{FFFD}"));
    }
    escaped
}

/// Whether XML 1.0 can carry the character (production `Char`, section 2.2).
pub(crate) fn is_xml_char(character: char) -> bool {
    matches!(character,
        '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_carry_is_replaced_or_escaped() {
        assert_eq!(escape("a\rb]]>c\u{0}d\u{FFFE}"), "a&#13;b]]&gt;c\u{FFFD}d\u{FFFD}");
        assert_eq!(escape("\u{FF5E}\t\n é"), "\u{FF5E}\t\n é");
    }
}
