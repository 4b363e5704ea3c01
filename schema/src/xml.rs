//! Characters and escapes of XML 1.0.

use std::borrow::Cow;

use crate::invisible;
use quick_xml::escape::{minimal_escape, resolve_html5_entity};

/// A text as it stands between tags: nothing is escaped that need not be, so that `it's` and `>_>` stay readable.
pub(crate) fn escape(value: &str) -> Cow<'_, str> {
    // Bytes that need a closer check: the controls, and the non-characters U+FFFE and U+FFFF (EF BF BE/BF).
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

/// The character of `65` or `x41`, if XML allows it.
pub(crate) fn numbered(digits: &str) -> Option<char> {
    let (digits, radix) = match digits.strip_prefix('x') {
        Some(digits) => (digits, 16),
        None => (digits, 10),
    };
    let number = u32::from_str_radix(digits, radix).ok()?;
    char::from_u32(number).filter(|character| is_xml_char(*character))
}

/// The text of the character reference or of the entity of HTML at `at`, such as `&eacute;`, and its end.
pub(crate) fn entity_at(text: &str, at: usize) -> Option<(Cow<'static, str>, usize)> {
    const LONGEST: usize = 34;
    let inside = text.get(at..)?.strip_prefix('&')?;
    let near = &inside[..inside.floor_char_boundary(LONGEST)];
    let name = &near[..near.find(';')?];
    let end = at + 1 + name.len() + 1;
    if let Some(number) = name.strip_prefix('#') {
        let character = numbered(&number.replace('X', "x"))?;
        let text = invisible::referenced(character).map_or_else(|| character.to_string().into(), Cow::Borrowed);
        return Some((text, end));
    }
    let text = resolve_html5_entity(name)?;
    // `&nbsp;` is a space, `&shy;` and `&zwj;` are nothing.
    let visible = text.chars().next().filter(|_| text.chars().count() == 1).and_then(invisible::referenced);
    Some((Cow::Borrowed(visible.unwrap_or(text)), end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_carry_is_replaced_or_escaped() {
        assert_eq!(escape("a\rb]]>c\u{0}d\u{FFFE}"), "a&#13;b]]&gt;c\u{FFFD}d\u{FFFD}");
        assert_eq!(escape("\u{FF5E}\t\n é"), "\u{FF5E}\t\n é");
    }

    #[test]
    fn entities_are_those_of_html() {
        assert_eq!(entity_at("a&eacute;b", 1), Some(("é".into(), 9)));
        assert_eq!(entity_at("&#x732B;", 0), Some(("猫".into(), 8)));
        assert_eq!(entity_at("&nbsp;", 0), Some((" ".into(), 6)));
        assert_eq!(entity_at("&shy;", 0), Some(("".into(), 5)));
        assert_eq!(entity_at("&amp;", 0), Some(("&".into(), 5)));
        for text in ["&", "&;", "& b;", "&B;", "&eacute", "&#0;"] {
            assert_eq!(entity_at(text, 0), None, "{text}");
        }
    }
}
