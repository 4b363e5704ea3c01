//! Markup that was escaped once too often: `&lt;character_1&gt;`, or a JSON string without its quotes.

use std::borrow::Cow;

use super::{Opening, Wrapper, WrapperKind, markup};
use crate::checked::Envelope;
use crate::findings::WriteBack;
use crate::source::Change;
use crate::xml::entity_at;

impl Opening<'_, '_> {
    /// Decodes markup that was escaped as a whole; whether there was any.
    pub(super) fn decode_escaped(&mut self) -> bool {
        const MOST_LEVELS: usize = 3;
        let mut levels = 0;
        while levels < MOST_LEVELS && markup::first_tag(self.left()).is_none() && has_escaped_tag(self.left()) {
            let changes = entities(&self.source.text, self.window.start, self.window.end);
            self.replace(&changes);
            levels += 1;
        }
        if levels == 0 {
            // A strict check reads a backslash as itself.
            if self.findings.is_strict() || !(is_unquoted_string(self.left()) || has_unicode_tag(self.left())) {
                return false;
            }
            let changes = string_escapes(&self.source.text, self.window.start, self.window.end);
            self.replace(&changes);
        }
        // Line breaks at its end were escapes too.
        let start = self.trimmed(self.window.clone()).start;
        let span = self.source.map.origin(start..self.window.end);
        self.write_back = WriteBack::None;
        self.envelope.get_or_insert(Envelope::Escaped);
        self.wrapper.get_or_insert(Wrapper { span, kind: WrapperKind::Escaped });
        true
    }
}

/// Whether a text is the inside of a JSON string: `</n>\\n<gender>` between blocks.
fn is_unquoted_string(text: &str) -> bool {
    if text.trim_end().ends_with(">\\n") && markup::first_tag(text).is_some() && !text.trim_end().contains('\n') {
        return true;
    }
    let Some(at) = text.find(">\\n<").or_else(|| text.find(">\\n\\n<")) else { return false };
    let name = markup::name_at(text[at + 1..].trim_start_matches(['\\', 'n', '<', '/']));
    let is_between =
        markup::Depth::default().at(text, at + 1) == 0 || text[..at].contains("<character") || !name.is_empty();
    is_between && markup::first_tag(text).is_some() && !text.contains('\n')
}

/// Whether a tag of the grammar stands in a text in the escapes of a JSON string: `\u003ccaption\u003e`.
fn has_unicode_tag(text: &str) -> bool {
    markup::first_tag(text).is_none()
        && text.match_indices("\\u003").any(|(at, _)| {
            let inside = text[at..].strip_prefix("\\u003c").or_else(|| text[at..].strip_prefix("\\u003C"));
            inside
                .is_some_and(|inside| markup::is_tag_name(markup::name_at(inside.strip_prefix('/').unwrap_or(inside))))
        })
}

/// Whether a tag of the grammar stands in a text in escapes: `&lt;n&gt;`, `&#60;/n>`, `&amp;lt;n`.
fn has_escaped_tag(text: &str) -> bool {
    text.match_indices('&').any(|(at, _)| {
        let Some((inside, _)) = bracket(&text[at..]) else { return false };
        let name = markup::name_at(inside.strip_prefix('/').unwrap_or(inside));
        markup::is_tag_name(name) && {
            let behind = &inside[inside.find(name).unwrap_or(0) + name.len()..];
            behind.trim_start().starts_with(['>', '&', '/'])
        }
    })
}

/// What stands after an escaped `<`, however often it is escaped.
fn bracket(text: &str) -> Option<(&str, usize)> {
    let mut rest = text.strip_prefix('&')?;
    while let Some(inside) = rest.strip_prefix("amp;") {
        rest = inside;
    }
    ["lt;", "#60;", "#x3c;", "#x3C;", "LT;"].iter().find_map(|name| rest.strip_prefix(name)).map(|rest| (rest, 1))
}

/// Each entity of a range and its character.
fn entities(text: &str, from: usize, until: usize) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    let mut at = from;
    while let Some(offset) = text[at..until].find('&') {
        let start = at + offset;
        match entity_at(&text[..until], start) {
            Some((character, end)) => {
                changes.push((start..end, Cow::Owned(character.into_owned())));
                at = end;
            }
            None => at = start + 1,
        }
    }
    changes
}

/// Each escape of a JSON string in a range and its character. `\(` stays: it is an escape of prompts.
fn string_escapes(text: &str, from: usize, until: usize) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    let mut at = from;
    while let Some(offset) = text[at..until].find('\\') {
        let start = at + offset;
        match super::json::escape_at(&text[..until], start).filter(|(character, _)| *character != '\\') {
            Some((character, end)) => {
                changes.push((start..end, Cow::Owned(character.to_string())));
                at = end;
            }
            None => at = (start + 2).min(until),
        }
        at = text.ceil_char_boundary(at).min(until);
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_json_are_tags_of_the_grammar() {
        for text in ["\\u003ccaption\\u003e", "a \\u003C/gender>"] {
            assert!(has_unicode_tag(text), "{text}");
        }
        for text in ["\\u003c3", "\\u003e", "<caption>\\u003ccaption>"] {
            assert!(!has_unicode_tag(text), "{text}");
        }
    }

    #[test]
    fn escaped_tags_are_those_of_the_grammar() {
        for text in ["&lt;character_1&gt;", "&amp;lt;n&amp;gt;", "&#60;caption>", "x &lt;/gender&gt;"] {
            assert!(has_escaped_tag(text), "{text}");
        }
        for text in ["&lt;3", "a &lt; b", ">_&lt;", "&lt;b&gt;", "R&B"] {
            assert!(!has_escaped_tag(text), "{text}");
        }
    }
}
