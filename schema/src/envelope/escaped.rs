//! Markup that was escaped once too often: `&lt;character_1&gt;`, or a JSON string without its quotes.

use std::borrow::Cow;

use super::{Opening, Wrapper, WrapperKind, html, markup};
use crate::checked::Envelope;
use crate::findings::WriteBack;
use crate::source::Change;
use crate::xml::entity_at;

impl Opening<'_, '_> {
    /// Decodes markup that was escaped as a whole; whether there was any.
    pub(super) fn decode_escaped(&mut self) -> bool {
        const MOST_LEVELS: usize = 3;
        let mut levels = 0;
        while levels < MOST_LEVELS && markup::first_tag(self.left()).is_none() && is_escaped(self.left()) {
            let changes = entities(&self.source.text, self.window.start, self.window.end);
            self.replace(&changes);
            levels += 1;
        }
        if levels == 0 {
            // A strict check reads a backslash as itself.
            let is_escaped = |text: &str| {
                has_plain_breaks(text) || is_unquoted_string(text) || has_unicode_tag(text) || has_backslash_tag(text)
            };
            if self.findings.is_strict() || !is_escaped(self.left()) {
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
    let text = text.trim_end();
    if (text.ends_with(">\\n") || text.ends_with(">\\r\\n"))
        && markup::first_tag(text).is_some()
        && !text.contains('\n')
    {
        return true;
    }
    let without_breaks = |mut text: &'_ str| -> usize {
        let length = text.len();
        while let Some(rest) = ["\\n", "\\r", "\\t", " "].iter().find_map(|escape| text.strip_prefix(escape)) {
            text = rest;
        }
        length - text.len()
    };
    let between = text.match_indices(">\\").find_map(|(at, _)| {
        let breaks = without_breaks(&text[at + 1..]);
        (breaks > 0 && text[at + 1 + breaks..].starts_with('<')).then_some((at, at + 1 + breaks))
    });
    let Some((at, tag)) = between else { return false };
    let name = markup::name_at(text[tag..].trim_start_matches(['<', '/']));
    let is_between =
        markup::Depth::default().at(text, at + 1) == 0 || text[..at].contains("<character") || !name.is_empty();
    is_between && markup::first_tag(text).is_some() && !text.contains('\n')
}

/// Whether a text on one line without markup has line breaks in escapes: `1girl, solo\nrain`. `\n/` is an emoticon.
fn has_plain_breaks(text: &str) -> bool {
    let text = text.trim();
    let is_break = |(at, escape): (usize, &str)| {
        let is_behind_text = |last: char| last.is_alphanumeric() || last.is_whitespace() || ",.;!?)\"'".contains(last);
        let behind = &text[at + escape.len()..];
        let is_before_text = |first: char| first.is_alphanumeric() || first.is_whitespace() || "\\(\"".contains(first);
        text[..at].ends_with(is_behind_text) && (behind.is_empty() || behind.starts_with(is_before_text))
    };
    !text.contains('\n')
        && markup::first_tag(text).is_none()
        && text.contains("\\n")
        && text.match_indices("\\n").all(is_break)
}

/// Whether the brackets of tags have a backslash, as Markdown escapes them: `\<n\>`, or the slash has one: `<\/n>`. A
/// backslash in front of a tag may be the end of a text.
fn has_backslash_tag(text: &str) -> bool {
    [("\\<", "\\>"), ("<\\/", ">")].iter().any(|(open, close)| {
        text.match_indices(*open).any(|(at, _)| {
            let inside = text[at + open.len()..].trim_start_matches(['\\', '/']);
            let name = markup::name_at(inside);
            markup::is_tag_name(name) && inside[name.len()..].starts_with(close)
        })
    })
}

/// Whether a tag of the grammar stands in a text in the escapes of a string: `\u003ccaption\u003e`, `\x3cn\x3e`.
fn has_unicode_tag(text: &str) -> bool {
    markup::first_tag(text).is_none()
        && text.match_indices('\\').any(|(at, _)| {
            const BRACKETS: &[&str] = &["\\u003c", "\\u003C", "\\x3c", "\\x3C"];
            let inside = BRACKETS.iter().find_map(|bracket| text[at..].strip_prefix(bracket));
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

fn is_escaped(text: &str) -> bool {
    has_escaped_tag(text) || has_escaped_html(text)
}

/// Whether an element of HTML with its end stands in a text in escapes: `&lt;p&gt;1girl&lt;/p&gt;`.
fn has_escaped_html(text: &str) -> bool {
    // Each look goes through the text.
    const LOOKS_MAX: usize = 4;
    let names =
        text.match_indices('&').filter_map(|(at, _)| bracket(&text[at..])).map(|(inside, _)| markup::name_at(inside));
    let mut names = names.filter(|name| html::is_name(name)).take(LOOKS_MAX);
    names.any(|name| text.contains(&format!(";/{name}&")))
}

/// What follows the `&` of an escaped `&`.
const AMPERSANDS: &[&str] = &["amp;", "#38;", "#x26;", "#X26;", "AMP;"];

/// What stands after an escaped `<`, however often it is escaped.
fn bracket(text: &str) -> Option<(&str, usize)> {
    let mut rest = text.strip_prefix('&')?;
    while let Some(inside) = AMPERSANDS.iter().find_map(|name| rest.strip_prefix(name)) {
        rest = inside;
    }
    // HTML reads `&lt` without its semicolon too.
    ["lt;", "#60;", "#x3c;", "#x3C;", "LT;", "lt"].iter().find_map(|name| rest.strip_prefix(name)).map(|rest| (rest, 1))
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
            None => {
                at = start + 1;
                let bracket = ["&lt", "&gt"].iter().position(|name| text[start..until].starts_with(name));
                if let Some(bracket) = bracket {
                    at = start + 3;
                    changes.push((start..at, Cow::Borrowed(if bracket == 0 { "<" } else { ">" })));
                }
            }
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
        let escape = bracket_at(&text[..until], start).or_else(|| super::json::escape_at(&text[..until], start));
        match escape.filter(|(character, _)| *character != '\\') {
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

/// An escape that JSON does not have, of a bracket of markup, and where it ends: `\x3c`, `\<`.
fn bracket_at(text: &str, at: usize) -> Option<(char, usize)> {
    const ESCAPES: &[(&str, char)] =
        &[("x3c", '<'), ("x3C", '<'), ("x3e", '>'), ("x3E", '>'), ("<", '<'), (">", '>'), ("_", '_')];
    let inside = text[at..].strip_prefix('\\')?;
    let (escape, character) = ESCAPES.iter().find(|(escape, _)| inside.starts_with(escape))?;
    Some((*character, at + 1 + escape.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_with_a_backslash_are_found() {
        for text in ["\\<character_1\\>", "<n>miku<\\/n>", "a \\</n\\>"] {
            assert!(has_backslash_tag(text), "{text}");
        }
        for text in ["\\<3", "<\\/b>", "saber_\\(fate\\)", "<n>\\m/</n>", "<artists>\\</artists>"] {
            assert!(!has_backslash_tag(text), "{text}");
        }
        for text in ["<n>a</n>\\r\\n<gender>b</gender>", "<n>a</n>\\n\\t<gender>b</gender>\\r\\n"] {
            assert!(is_unquoted_string(text), "{text}");
        }
        assert!(!is_unquoted_string("<n>a</n>\\(b)<gender>"));
    }

    #[test]
    fn escapes_of_json_are_tags_of_the_grammar() {
        for text in ["\\u003ccaption\\u003e", "a \\u003C/gender>", "\\x3ccaption\\x3e"] {
            assert!(has_unicode_tag(text), "{text}");
        }
        for text in ["\\u003c3", "\\u003e", "<caption>\\u003ccaption>"] {
            assert!(!has_unicode_tag(text), "{text}");
        }
    }

    #[test]
    fn escaped_tags_are_those_of_the_grammar() {
        for text in [
            "&ltcaption&gtA",
            "&lt;character_1&gt;",
            "&amp;lt;n&amp;gt;",
            "&#60;caption>",
            "x &lt;/gender&gt;",
            "&#38;lt;n&gt;",
            "&#x26;#38;#60;n>",
        ] {
            assert!(has_escaped_tag(text), "{text}");
        }
        for text in ["&lt;3", "a &lt; b", ">_&lt;", "&lt;b&gt;", "R&B"] {
            assert!(!has_escaped_tag(text), "{text}");
        }
    }

    #[test]
    fn escaped_elements_of_html_have_ends() {
        assert!(
            has_escaped_html("&lt;p&gt;1girl&lt;/p&gt;") && has_escaped_html("a &amp;lt;b&amp;gt;b&amp;lt;/b&amp;gt;")
        );
        assert!(!has_escaped_html("&lt;b&gt; and &lt;3") && !has_escaped_html("a &lt; b"));
    }
}
