//! Decides what a `<` or a `&` begins: markup, or a character that was not escaped.
//!
//! quick-xml takes every `<` for markup and every `&` for a reference. Prompts are full of `>_<` and `R&B`, so each is
//! looked at before quick-xml may read it. Every scan stops at the next `<`, so a text is scanned at most twice.

use std::ops::Range;

use crate::xml::numbered;

/// What stands at a `<`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Markup {
    /// A tag, comment, CDATA section or processing instruction that quick-xml can read; its end.
    Sound(usize),
    /// A start tag with malformed attributes, such as `<character 1>`.
    OddStart { name: Range<usize>, end: usize },
    /// An end tag with something after its name, such as `</n x>`.
    OddEnd { name: Range<usize>, end: usize },
    /// A start or end tag without `>` before the next `<`.
    Unfinished { name: Range<usize>, is_end: bool },
    /// `<!--` or `<![CDATA[` or `<?` that is never closed.
    Endless,
    /// `<!DOCTYPE`, `<!ENTITY` and the like; its end.
    Definition(usize),
    /// A comment with `--` inside, or a processing instruction without a valid name; its end.
    Malformed(usize),
    /// Text.
    Literal,
}

/// What stands at the `<` at `at`.
pub(crate) fn markup(source: &str, at: usize) -> Markup {
    let rest = &source.as_bytes()[at + 1..];
    match rest.first() {
        Some(b'/') => end_tag(source, at),
        Some(b'!') => declaration(source, at),
        Some(b'?') => instruction(source, at),
        Some(_) => start_tag(source, at),
        None => Markup::Literal,
    }
}

fn start_tag(source: &str, at: usize) -> Markup {
    let name = at + 1..name_end(source, at + 1);
    if name.is_empty() {
        return Markup::Literal;
    }
    if let Some(end) = attributes_end(source, name.end) {
        return Markup::Sound(end);
    }
    match next_bracket(source, name.end) {
        Some((offset, b'>')) => Markup::OddStart { name, end: offset + 1 },
        _ => Markup::Unfinished { name, is_end: false },
    }
}

fn end_tag(source: &str, at: usize) -> Markup {
    let name = at + 2..name_end(source, at + 2);
    if name.is_empty() {
        return Markup::Literal;
    }
    match next_bracket(source, name.end) {
        Some((offset, b'>')) if is_blank(&source[name.end..offset]) => Markup::Sound(offset + 1),
        Some((offset, b'>')) => Markup::OddEnd { name, end: offset + 1 },
        _ => Markup::Unfinished { name, is_end: true },
    }
}

fn declaration(source: &str, at: usize) -> Markup {
    let rest = &source[at..];
    if let Some(inside) = rest.strip_prefix("<!--") {
        return match inside.find("--") {
            Some(offset) if inside[offset + 2..].starts_with('>') => Markup::Sound(at + 4 + offset + 3),
            Some(offset) => match inside[offset..].find("-->") {
                Some(close) => Markup::Malformed(at + 4 + offset + close + 3),
                None => Markup::Endless,
            },
            None => Markup::Endless,
        };
    }
    if let Some(inside) = rest.strip_prefix("<![CDATA[") {
        return match inside.find("]]>") {
            Some(offset) => Markup::Sound(at + 9 + offset + 3),
            None => Markup::Endless,
        };
    }
    if rest.as_bytes().get(2).is_some_and(u8::is_ascii_alphabetic) {
        return Markup::Definition(definition_end(source, at));
    }
    Markup::Literal
}

/// The end of `<!DOCTYPE …>`, over its internal subset and over quotes; the end of the source if it has none.
fn definition_end(source: &str, at: usize) -> usize {
    let bytes = source.as_bytes();
    let (mut depth, mut quote) = (0_usize, None);
    for (offset, byte) in bytes.iter().enumerate().skip(at + 1) {
        match (quote, byte) {
            (Some(open), byte) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'[' | b'<') => depth += 1,
            (None, b']') => depth = depth.saturating_sub(1),
            (None, b'>') if depth == 0 => return offset + 1,
            (None, b'>') => depth -= 1,
            (None, _) => {}
        }
    }
    source.len()
}

fn instruction(source: &str, at: usize) -> Markup {
    let target = at + 2..name_end(source, at + 2);
    let Some(offset) = source[at + 2..].find("?>") else { return Markup::Endless };
    let end = at + 2 + offset + 2;
    let behind = &source[target.end..end - 2];
    let is_well_formed = !target.is_empty()
        && !source[target.clone()].contains(':')
        && (behind.is_empty() || behind.starts_with([' ', '\t', '\n', '\r']))
        && (!source[target.clone()].eq_ignore_ascii_case("xml") || &source[target] == "xml");
    if is_well_formed { Markup::Sound(end) } else { Markup::Malformed(end) }
}

/// The end of a start tag whose name ends at `at`, if everything up to there is attributes.
fn attributes_end(source: &str, mut at: usize) -> Option<usize> {
    let bytes = source.as_bytes();
    loop {
        let blank = blank_end(source, at);
        match bytes.get(blank)? {
            b'>' => return Some(blank + 1),
            b'/' => return (bytes.get(blank + 1) == Some(&b'>')).then_some(blank + 2),
            _ if blank == at => return None,
            _ => {}
        }
        let name_end = name_end(source, blank);
        if name_end == blank {
            return None;
        }
        let equals = blank_end(source, name_end);
        if bytes.get(equals) != Some(&b'=') {
            return None;
        }
        let open = blank_end(source, equals + 1);
        let quote = *bytes.get(open).filter(|byte| matches!(byte, b'"' | b'\''))?;
        let close = bytes[open + 1..].iter().position(|byte| *byte == quote || *byte == b'<')?;
        if bytes[open + 1 + close] != quote {
            return None;
        }
        at = open + 1 + close + 1;
    }
}

fn blank_end(source: &str, at: usize) -> usize {
    let bytes = &source.as_bytes()[at..];
    at + bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
}

/// Offset of the next `<` or `>` at or after `at`, and which of the two it is.
fn next_bracket(source: &str, at: usize) -> Option<(usize, u8)> {
    let bytes = &source.as_bytes()[at..];
    let offset = bytes.iter().position(|byte| matches!(byte, b'<' | b'>'))?;
    Some((at + offset, bytes[offset]))
}

/// Where the name that starts at `at` ends; `at` if none starts there.
pub(crate) fn name_end(source: &str, at: usize) -> usize {
    let bytes = source.as_bytes();
    match bytes.get(at) {
        Some(byte) if byte.is_ascii() && !is_ascii_name_start(*byte) => return at,
        Some(byte) if !byte.is_ascii() && !source[at..].starts_with(is_name_start) => return at,
        Some(_) => {}
        None => return at,
    }
    let mut end = at;
    while let Some(byte) = bytes.get(end) {
        if byte.is_ascii() {
            if !is_ascii_name(*byte) {
                break;
            }
            end += 1;
        } else {
            match source[end..].chars().next().filter(|character| is_name(*character)) {
                Some(character) => end += character.len_utf8(),
                None => break,
            }
        }
    }
    end
}

fn is_ascii_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte == b':'
}

fn is_ascii_name(byte: u8) -> bool {
    is_ascii_name_start(byte) || byte.is_ascii_digit() || byte == b'-' || byte == b'.'
}

/// NameStartChar of XML 1.0 (fifth edition), production 4.
fn is_name_start(character: char) -> bool {
    matches!(character,
        ':' | '_' | 'A'..='Z' | 'a'..='z' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}'
        | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}'
        | '\u{10000}'..='\u{EFFFF}')
}

/// NameChar of XML 1.0 (fifth edition), production 4a.
fn is_name(character: char) -> bool {
    is_name_start(character)
        || matches!(character,
            '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

/// What stands at a `&`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// A reference to a character; its end.
    Sound(usize, char),
    /// A name that is not defined, or the number of no character; its end.
    Undefined(usize),
    /// Text.
    Literal,
}

/// What stands at the `&` at `at`.
pub(crate) fn reference(source: &str, at: usize) -> Reference {
    let bytes = source.as_bytes();
    let length = bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'#').count();
    let end = at + 1 + length;
    if length == 0 || bytes.get(end) != Some(&b';') {
        // Names beyond ASCII name no predefined entity, but they are references all the same.
        let end = name_end(source, at + 1);
        let is_reference = end > at + 1 && bytes.get(end) == Some(&b';');
        return if is_reference { Reference::Undefined(end + 1) } else { Reference::Literal };
    }
    let character = match &source[at + 1..end] {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        name => name.strip_prefix('#').and_then(numbered),
    };
    match character {
        Some(character) => Reference::Sound(end + 1, character),
        None => Reference::Undefined(end + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expected: Markup) {
        assert_eq!(markup(source, 0), expected, "{source}");
    }

    #[test]
    fn tags_are_markup() {
        check("<n>", Markup::Sound(3));
        check("<n/>", Markup::Sound(4));
        check("<n a='1' b = \"x>y\" >z", Markup::Sound(20));
        check("</n\n>", Markup::Sound(5));
        check("<猫 />", Markup::Sound(7));
    }

    #[test]
    fn emoticons_are_not() {
        for source in ["<", "<3, smile</n>", "<_", "< n>", "<, blush>", "</>", "<>", "<!>"] {
            let found = markup(source, 0);
            assert!(matches!(found, Markup::Literal | Markup::Unfinished { .. }), "{source}: {found:?}");
        }
    }

    #[test]
    fn broken_tags_are_distinguished_from_text() {
        check("<character 1>", Markup::OddStart { name: 1..10, end: 13 });
        check("<n a=1>", Markup::OddStart { name: 1..2, end: 7 });
        check("<n a='<'>", Markup::Unfinished { name: 1..2, is_end: false });
        check("</n x>", Markup::OddEnd { name: 2..3, end: 6 });
        check("</n <m>", Markup::Unfinished { name: 2..3, is_end: true });
    }

    #[test]
    fn declarations_and_sections_have_ends() {
        check("<!-- a - b -->x", Markup::Sound(14));
        check("<!-- a -- b -->x", Markup::Malformed(15));
        check("<!-->", Markup::Endless);
        check("<![CDATA[a<b]]>x", Markup::Sound(15));
        check("<![CDATA[a", Markup::Endless);
        check("<!DOCTYPE p [<!ENTITY a '>'>]>x", Markup::Definition(30));
        check("<!DOCTYPE p 'x>y", Markup::Definition(16));
        check("<?a b?>x", Markup::Sound(7));
        check("<?xml version='1.0'?>", Markup::Sound(21));
        check("<?XML version='1.0'?>", Markup::Malformed(21));
        check("<??>", Markup::Malformed(4));
        check("<?a", Markup::Endless);
    }

    #[test]
    fn references_are_distinguished_from_ampersands() {
        assert_eq!(reference("&lt;", 0), Reference::Sound(4, '<'));
        assert_eq!(reference("&#x732B;", 0), Reference::Sound(8, '猫'));
        assert_eq!(reference("&#0065;", 0), Reference::Sound(7, 'A'));
        assert_eq!(reference("&#0;", 0), Reference::Undefined(4));
        assert_eq!(reference("&#xD800;", 0), Reference::Undefined(8));
        assert_eq!(reference("&nbsp;", 0), Reference::Undefined(6));
        assert_eq!(reference("&猫;", 0), Reference::Undefined(5));
        for source in ["&", "&;", "& b", "&b", "&#;x", "&b c;"] {
            let found = reference(source, 0);
            assert!(!matches!(found, Reference::Sound(..)), "{source}: {found:?}");
        }
    }
}
