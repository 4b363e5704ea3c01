//! JSON as people write it: with comments, commas before a closing bracket, single quotes, names without quotes, and the
//! constants of Python. Each of these has one reading, so the object is read as JSON.

use std::borrow::Cow;
use std::ops::Range;

use super::scan::Scanner;
use crate::envelope::Opening;
use crate::rules::envelope_removed;
use crate::source::Change;

impl Opening<'_, '_> {
    /// Converts the object in the window to JSON, if the changes of [`changes`] suffice.
    pub(in crate::envelope) fn relax_json(&mut self) {
        let window = self.trimmed(self.window.clone());
        let text = &self.source.text[window.clone()];
        if !text.starts_with(['{', '/']) || is_json(text, self.limits.max_depth) {
            return;
        }
        let Some(changes) = changes(text).filter(|changes| !changes.is_empty()) else { return };
        if !is_json(&changed(text, &changes), self.limits.max_depth) {
            return;
        }
        let shifted = |(span, text): Change| (window.start + span.start..window.start + span.end, text);
        let changes: Vec<Change> = changes.into_iter().map(shifted).collect();
        self.report(envelope_removed::relaxed_json(&changes));
        self.window = window;
        self.replace(&changes);
    }
}

/// Whether a text is an object that [`Opening::relax_json`] reads.
pub(in crate::envelope) fn is_relaxed(text: &str, max_depth: usize) -> bool {
    changes(text).is_some_and(|changes| is_json(&changed(text, &changes), max_depth))
}

fn is_json(text: &str, max_depth: usize) -> bool {
    let mut scanner = Scanner::new(text, 0, max_depth);
    scanner.value().is_ok_and(|value| text[value.span.end..].trim().is_empty())
}

fn changed(text: &str, changes: &[Change]) -> String {
    let mut changed = String::with_capacity(text.len());
    let mut copied = 0;
    for (span, replacement) in changes {
        changed.push_str(&text[copied..span.start]);
        changed.push_str(replacement);
        copied = span.end;
    }
    changed + &text[copied..]
}

/// The changes that convert an object in the notation of JavaScript or Python to JSON. `None` if they do not suffice.
fn changes(text: &str) -> Option<Vec<Change>> {
    let bytes = text.as_bytes();
    let mut changes: Vec<Change> = Vec::new();
    // A comma that is removed if a bracket follows it.
    let mut comma: Option<(usize, usize)> = None;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            b'/' => {
                let end = comment_end(&text[at..])?;
                changes.push((at..at + end, Cow::Borrowed("")));
                at += end;
            }
            b'}' | b']' => {
                if let Some((place, index)) = comma.take() {
                    changes.insert(index, (place..place + 1, Cow::Borrowed("")));
                }
                at += 1;
            }
            b',' => {
                comma = Some((at, changes.len()));
                at += 1;
            }
            b'{' | b'[' | b':' => (comma, at) = (None, at + 1),
            b'"' => {
                comma = None;
                at += double_quoted(&text[at..])?;
            }
            b'\'' => {
                comma = None;
                at += single_quoted(text, at, &mut changes)?;
            }
            _ => {
                comma = None;
                at += word(text, at, &mut changes)?;
            }
        }
    }
    Some(changes)
}

/// The length of a comment: `// …`, `/* … */`.
fn comment_end(text: &str) -> Option<usize> {
    match text.strip_prefix("/*") {
        Some(inside) => Some(inside.find("*/")? + 4),
        None => text.starts_with("//").then(|| text.find('\n').unwrap_or(text.len())),
    }
}

fn double_quoted(text: &str) -> Option<usize> {
    let mut is_escape = false;
    let close = text.bytes().skip(1).position(|byte| {
        let is_close = byte == b'"' && !is_escape;
        is_escape = byte == b'\\' && !is_escape;
        is_close
    })?;
    Some(close + 2)
}

/// Writes a string in single quotes with double ones; returns its length.
fn single_quoted(text: &str, start: usize, changes: &mut Vec<Change>) -> Option<usize> {
    changes.push((start..start + 1, Cow::Borrowed("\"")));
    let mut at = start + 1;
    loop {
        match text.as_bytes().get(at)? {
            b'\n' => return None,
            b'\'' => break,
            b'"' => {
                changes.push((at..at + 1, Cow::Borrowed("\\\"")));
                at += 1;
            }
            b'\\' if text.as_bytes().get(at + 1) == Some(&b'\'') => {
                changes.push((at..at + 1, Cow::Borrowed("")));
                at += 2;
            }
            b'\\' => at = text.ceil_char_boundary(at + 2),
            _ => at += 1,
        }
    }
    changes.push((at..at + 1, Cow::Borrowed("\"")));
    Some(at + 1 - start)
}

/// Writes a name in quotes and a constant of Python as that of JSON; returns its length.
fn word(text: &str, start: usize, changes: &mut Vec<Change>) -> Option<usize> {
    const CONSTANTS: &[(&str, &str)] = &[("True", "true"), ("False", "false"), ("None", "null"), ("undefined", "null")];
    let is_part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-' | '.' | '+' | '$');
    let rest = &text[start..];
    let word = &rest[..rest.find(|character: char| !is_part(character)).unwrap_or(rest.len())];
    if word.is_empty() {
        return None;
    }
    let span: Range<usize> = start..start + word.len();
    if rest[word.len()..].trim_start().starts_with(':') {
        changes.push((span, Cow::Owned(format!("\"{word}\""))));
        return Some(word.len());
    }
    if let Some((_, json)) = CONSTANTS.iter().find(|(known, _)| *known == word) {
        changes.push((span, Cow::Borrowed(*json)));
        return Some(word.len());
    }
    let is_value = matches!(word, "true" | "false" | "null")
        || word.starts_with(|first: char| first.is_ascii_digit() || first == '-');
    is_value.then_some(word.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_other_languages_are_read_as_json() {
        for (text, json) in [
            ("{'caption': 'A girl'}", "{\"caption\": \"A girl\"}"),
            ("{caption: \"A girl\",}", "{\"caption\": \"A girl\"}"),
            ("{\"a\": [1, 2,], }", "{\"a\": [1, 2] }"),
            ("{'a': 'it\\'s \"x\"', 'b': None}", "{\"a\": \"it's \\\"x\\\"\", \"b\": null}"),
            ("// one\n{\"a\": \"//\", /* two */ \"b\": 1 // three\n}", "\n{\"a\": \"//\",  \"b\": 1 \n}"),
            ("{\"a\": 1, // one\n}", "{\"a\": 1 \n}"),
        ] {
            let changes = changes(text).unwrap_or_default();
            assert_eq!(changed(text, &changes), json, "{text}");
            assert!(is_json(json, 16), "{json}");
        }
    }

    #[test]
    fn other_texts_are_not() {
        for text in [
            "{blue eyes}, 1girl",
            "{caption: A girl, style: ink}",
            "{a|b}",
            "{<n>a</n>}",
            "{'a': 'b",
            "{'a': ('b', 'c')}",
            "{'a': '''b'''}",
            "/imagine prompt",
        ] {
            let changes = changes(text);
            let is_read = changes.is_some_and(|changes| is_json(&changed(text, &changes), 16));
            assert!(!is_read, "{text}");
        }
    }
}
