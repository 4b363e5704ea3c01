//! The JSON object around a prompt: `{"image": {"tags": "<character_1>…", "caption": "…"}}`.
//!
//! serde_json keeps no positions, and refuses the raw line breaks that people leave inside strings. So the object is
//! scanned here: into spans, with a limit on depth, without copying anything.

use std::borrow::Cow;
use std::ops::Range;

use super::Contents;
use crate::findings::Findings;
use crate::limits::Limits;
use crate::position::PositionMap;
use crate::rules::{envelope_removed, not_well_formed, stray_text, too_deep};

/// Whether a text begins like a JSON object rather than like blocks in braces.
pub(super) fn is_likely(text: &str) -> bool {
    let inside = text.trim_start().strip_prefix('{');
    inside.is_some_and(|inside| inside.trim_start().starts_with('"'))
}

/// Takes the blocks and the caption out of the object that begins at `start`.
pub(super) fn open<'t>(text: &'t str, start: usize, limits: &Limits, findings: &mut Findings) -> Option<Contents<'t>> {
    let mut scanner = Scanner { text, at: start, depth: 0, max_depth: limits.max_depth, line_break: None };
    let object = match scanner.value() {
        Ok(object) => object,
        Err(Fault::Syntax(at, fault)) => {
            let end = text.ceil_char_boundary((at + 1).min(text.len()));
            findings.push(not_well_formed::json(at..end, fault));
            return None;
        }
        Err(Fault::TooDeep(at)) => {
            findings.push(too_deep::finding(at..at + 1, limits.max_depth));
            return None;
        }
    };
    let whole = object.span.clone();
    let behind = text[whole.end..].trim();
    if !behind.is_empty() {
        let at = text.len() - text[whole.end..].trim_start().len();
        findings.push(stray_text::behind_json(at..at + behind.len(), behind));
    }
    if let Some(at) = scanner.line_break {
        findings.push(not_well_formed::json_line_break(at..at + 1));
    }
    let (mut tags, mut caption) = (None, None);
    let mut others = Vec::new();
    choose(text, &object, "", &mut tags, &mut caption, &mut others);
    if tags.is_none() && caption.is_none() {
        findings.push(envelope_removed::json_without_tags(whole.start..whole.start + 1));
        return None;
    }
    let mut decoded = Decoded { text: String::new(), map: PositionMap::default() };
    let blocks = match tags {
        Some(span) => decoded.push(text, span),
        None => 0..0,
    };
    let caption = caption.map(|span| decoded.push(text, span));
    for (span, path) in others {
        // A name that stands in the blocks as well is not lost.
        let value = text[span.clone()].trim_matches('"');
        let is_kept = path.ends_with(".name") && !value.is_empty() && decoded.text[blocks.clone()].contains(value);
        if !is_kept {
            findings.push(envelope_removed::json_member(span, &path));
        }
    }
    Some(Contents {
        text: Cow::Owned(decoded.text),
        blocks,
        caption,
        map: decoded.map,
        encode: escape,
        system_prompt: None,
        json: Some(whole),
    })
}

/// Finds `tags` and `caption`, at the top or one level below; the other members are listed with their paths.
fn choose(
    text: &str,
    value: &Value,
    path: &str,
    tags: &mut Option<Range<usize>>,
    caption: &mut Option<Range<usize>>,
    others: &mut Vec<(Range<usize>, String)>,
) {
    for (key, member) in &value.members {
        let key = &text[key.clone()];
        let inner = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        match (key, member.kind) {
            ("tags", Kind::String) if tags.is_none() => *tags = Some(member.inside()),
            ("caption", Kind::String) if caption.is_none() => *caption = Some(member.inside()),
            (_, Kind::Object) if path.is_empty() => choose(text, member, &inner, tags, caption, others),
            _ => others.push((member.span.clone(), inner)),
        }
    }
}

/// A text as it has to stand inside a JSON string.
fn escape(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
}

/// A JSON value by its place; only objects keep what they hold.
#[derive(Debug)]
struct Value {
    span: Range<usize>,
    kind: Kind,
    /// The inside of each key, and the value.
    members: Vec<(Range<usize>, Value)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Object,
    Array,
    String,
    Other,
}

impl Value {
    /// A string without its quotes.
    fn inside(&self) -> Range<usize> {
        self.span.start + 1..self.span.end - 1
    }
}

/// Why a text is no JSON, and where.
#[derive(Debug)]
enum Fault {
    Syntax(usize, &'static str),
    TooDeep(usize),
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    max_depth: usize,
    /// The first control character inside a string.
    line_break: Option<usize>,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// The value at the cursor. Recursion ends at the limit of depth.
    fn value(&mut self) -> Result<Value, Fault> {
        self.skip_blanks();
        let start = self.at;
        let (kind, members) = match self.peek() {
            Some(b'{') => (Kind::Object, self.object()?),
            Some(b'[') => {
                self.array()?;
                (Kind::Array, Vec::new())
            }
            Some(b'"') => {
                self.string()?;
                (Kind::String, Vec::new())
            }
            Some(_) => {
                self.word()?;
                (Kind::Other, Vec::new())
            }
            None => return Err(Fault::Syntax(start, "a value is missing at the end")),
        };
        Ok(Value { span: start..self.at, kind, members })
    }

    fn enter(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > self.max_depth.min(128) {
            return Err(Fault::TooDeep(self.at));
        }
        self.at += 1;
        self.skip_blanks();
        Ok(())
    }

    fn object(&mut self) -> Result<Vec<(Range<usize>, Value)>, Fault> {
        self.enter()?;
        let mut members = Vec::new();
        if self.peek() != Some(b'}') {
            loop {
                self.skip_blanks();
                if self.peek() != Some(b'"') {
                    return Err(Fault::Syntax(self.at, "a member's name in quotes is due"));
                }
                let key = self.at + 1;
                self.string()?;
                let key = key..self.at - 1;
                self.skip_blanks();
                if self.peek() != Some(b':') {
                    return Err(Fault::Syntax(self.at, "a `:` is due behind a member's name"));
                }
                self.at += 1;
                members.push((key, self.value()?));
                self.skip_blanks();
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b'}') => break,
                    _ => return Err(Fault::Syntax(self.at, "a `,` or a `}` is due behind a member")),
                }
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(members)
    }

    fn array(&mut self) -> Result<(), Fault> {
        self.enter()?;
        if self.peek() != Some(b']') {
            loop {
                self.value()?;
                self.skip_blanks();
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b']') => break,
                    _ => return Err(Fault::Syntax(self.at, "a `,` or a `]` is due behind a value")),
                }
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    /// Leaves the cursor behind the closing quote; every escape is checked, so that decoding cannot fail.
    fn string(&mut self) -> Result<(), Fault> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => match escaped(self.text, self.at) {
                    Some((_, end)) => self.at = end,
                    None => return Err(Fault::Syntax(self.at, "no character has this escape")),
                },
                Some(byte) => {
                    if byte < b' ' && self.line_break.is_none() {
                        self.line_break = Some(self.at);
                    }
                    self.at += 1;
                }
                None => return Err(Fault::Syntax(start, "this string has no closing quote")),
            }
        }
    }

    /// A number, `true`, `false` or `null`; nobody looks inside.
    fn word(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
            self.at += 1;
        }
        let word = &self.text[start..self.at];
        let is_value = serde_json::from_str::<serde_json::Value>(word).is_ok();
        if is_value { Ok(()) } else { Err(Fault::Syntax(start, "a value is due")) }
    }
}

/// The character of the escape at `at`, and its end. Half a surrogate pair is no character and reads as U+FFFD.
fn escaped(text: &str, at: usize) -> Option<(char, usize)> {
    let character = match text.as_bytes().get(at + 1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{C}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let high = hex(text, at + 2)?;
            if (0xD800..0xDC00).contains(&high)
                && text.get(at + 6..at + 8) == Some("\\u")
                && let Some(low) = hex(text, at + 8).filter(|low| (0xDC00..0xE000).contains(low))
            {
                let code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                return Some((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), at + 12));
            }
            return Some((char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), at + 6));
        }
        _ => return None,
    };
    Some((character, at + 2))
}

fn hex(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..at + 4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok()
}

/// Decoded strings, one behind the other.
struct Decoded {
    text: String,
    map: PositionMap,
}

impl Decoded {
    /// Decodes the inside of a string; returns where it now stands.
    fn push(&mut self, source: &str, inside: Range<usize>) -> Range<usize> {
        let start = self.text.len();
        let mut at = inside.start;
        while at < inside.end {
            let plain = source[at..inside.end].find('\\').map_or(inside.end, |offset| at + offset);
            if plain > at {
                self.text.push_str(&source[at..plain]);
                self.map.push(plain - at, at..plain);
            }
            at = plain;
            if at < inside.end {
                let (character, end) = escaped(source, at).unwrap_or(('\\', at + 1));
                self.text.push(character);
                self.map.push(character.len_utf8(), at..end);
                at = end;
            }
        }
        start..self.text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Strictness;

    #[track_caller]
    fn contents(text: &str) -> (String, Option<String>, PositionMap) {
        let mut findings = Findings::new(Strictness::Lenient, &Limits::DEFAULT);
        let contents = open(text, 0, &Limits::DEFAULT, &mut findings).expect("it is JSON with tags");
        let caption = contents.caption.map(|caption| contents.text[caption].to_owned());
        (contents.text[contents.blocks].to_owned(), caption, contents.map)
    }

    #[test]
    fn tags_and_caption_are_found_and_decoded() {
        let text = r#"{"a": [1, {"b": null}], "image": {"caption": "A \"girl\".", "tags": "<n>\u732b\n</n>"}}"#;
        let (tags, caption, map) = contents(text);
        assert_eq!(tags, "<n>猫\n</n>");
        assert_eq!(caption.as_deref(), Some("A \"girl\"."));
        let origin = map.origin(3..6);
        assert_eq!(&text[origin], "\\u732b");
        let origin = map.origin(7..11);
        assert_eq!(&text[origin], "</n>");
    }

    #[test]
    fn surrogates_make_one_character() {
        let (tags, _, _) = contents(r#"{"tags": "\ud83d\ude00 \ud83d!"}"#);
        assert_eq!(tags, "😀 \u{FFFD}!");
    }

    #[test]
    fn faults_have_a_place() {
        for (text, at) in
            [("{\"a\" 1}", 5), ("{\"a\": }", 6), ("{\"a\": \"b", 6), ("{\"a\": \"\\x\"}", 7), ("{\"a\": 1,}", 8)]
        {
            let mut findings = Findings::new(Strictness::Lenient, &Limits::DEFAULT);
            assert!(open(text, 0, &Limits::DEFAULT, &mut findings).is_none(), "{text}");
            let diagnostics = findings.finish(text, &PositionMap::default(), str::to_owned);
            assert_eq!(diagnostics[0].span.start, at, "{text}");
        }
    }

    #[test]
    fn depth_is_limited() {
        let text = format!("{{\"a\": {}", "[".repeat(100_000));
        let mut findings = Findings::new(Strictness::Lenient, &Limits::DEFAULT);
        assert!(open(&text, 0, &Limits::DEFAULT, &mut findings).is_none());
        let diagnostics = findings.finish(&text, &PositionMap::default(), str::to_owned);
        assert_eq!(diagnostics[0].code, "too-deep");
    }
}
