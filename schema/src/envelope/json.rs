//! The JSON object around a prompt: `{"image": {"tags": "<character_1>…", "caption": "…"}}`.
//!
//! serde_json keeps no positions, and refuses the raw line breaks that people leave inside strings. So the object is
//! scanned here: into spans, with a limit on depth, without copying anything.

mod scan;

use std::borrow::Cow;
use std::ops::Range;

use super::Contents;
use crate::findings::Findings;
use crate::limits::Limits;
use crate::position::PositionMap;
use crate::rules::{envelope_removed, not_well_formed, stray_text, too_deep};
use scan::{Fault, Kind, Scanner, Value, escaped};

/// Whether a text begins like a JSON object rather than like blocks in braces.
pub(super) fn is_likely(text: &str) -> bool {
    let inside = text.trim_start().strip_prefix('{');
    inside.is_some_and(|inside| inside.trim_start().starts_with('"'))
}

/// Takes the blocks and the caption out of the object that begins at `start`.
pub(super) fn open<'t>(text: &'t str, start: usize, limits: &Limits, findings: &mut Findings) -> Option<Contents<'t>> {
    let mut scanner = Scanner::new(text, start, limits.max_depth);
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
    use crate::options::Strictness;

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
