//! Prefixes of namespaces in front of the names of elements.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use super::{Opening, markup};
use crate::names::ENVELOPES;
use crate::rules::envelope_removed;
use crate::source::Change;

impl Opening<'_, '_> {
    /// Removes the prefixes of the grammar's elements: `<x:caption>` is read as `<caption>`.
    pub(super) fn remove_prefixes(&mut self) {
        let spans = prefixes(&self.source.text, self.window.start);
        let Some(first) = spans.first() else { return };
        let prefix = self.source.text[first.clone()].to_owned();
        self.report(envelope_removed::prefixes(&prefix, &spans));
        let changes: Vec<Change> = spans.into_iter().map(|span| (span, Cow::Borrowed(""))).collect();
        self.replace(&changes);
    }
}

/// Where the prefixes stand, with their colons.
///
/// A prefix is one that is declared (`xmlns:x="…"`) or stands in an end tag. `<lora:style:1>` is an instruction of
/// another program.
fn prefixes(text: &str, from: usize) -> Vec<Range<usize>> {
    let mut known: HashSet<&str> =
        text.match_indices("xmlns:").map(|(at, word)| name_at(&text[at + word.len()..])).collect();
    for (at, slash) in text.match_indices("</") {
        let inside = &text[at + slash.len()..];
        let name = name_at(inside);
        if inside[name.len()..].starts_with(':') {
            known.insert(name);
        }
    }
    let mut spans = Vec::new();
    if known.is_empty() {
        return spans;
    }
    for (at, _) in text[from..].match_indices('<') {
        let inside = &text[from + at + 1..];
        let start = text.len() - inside.strip_prefix('/').unwrap_or(inside).len();
        let prefix = name_at(&text[start..]);
        let Some(local) = text[start + prefix.len()..].strip_prefix(':') else { continue };
        let name = name_at(local);
        let is_end = local[name.len()..].starts_with([' ', '\t', '\n', '/', '>']);
        let is_known = markup::is_tag_name(name) || ENVELOPES.contains(&name);
        if known.contains(prefix) && is_end && is_known {
            spans.push(start..start + prefix.len() + 1);
        }
    }
    spans
}

fn name_at(text: &str) -> &str {
    let end = text.find(|character: char| !character.is_alphanumeric() && !matches!(character, '_' | '-' | '.'));
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_known_by_declarations_and_end_tags() {
        assert_eq!(prefixes("<x:prompt xmlns:x='y'><x:n/></x:prompt>", 0), [1..3, 23..25, 30..32]);
        assert_eq!(prefixes("<p:caption>A girl.</p:caption>", 0), [1..3, 20..22]);
        for text in ["<lora:style:1>", "<lora:style>, </style>", "<x:rain>a</x:rain>", "a<b:c"] {
            assert!(prefixes(text, 0).is_empty(), "{text}");
        }
    }
}
