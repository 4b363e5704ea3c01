//! Plain text: labels and talk around it, and entities of HTML inside.

use std::ops::Range;

use super::{Opening, markup};
use crate::phrases;
use crate::rules::envelope_removed;
use crate::xml::entity_at;

impl Opening<'_, '_> {
    /// Cuts a title and talk off plain text. In a prompt with blocks such text is a node, which [`crate::lower`] reads.
    pub(super) fn trim_plain(&mut self) {
        if markup::first_tag(self.left()).is_some() {
            return;
        }
        let window = self.trimmed(self.window.clone());
        let text = &self.source.text[window.clone()];
        let first = text.lines().next().unwrap_or_default().len();
        if first < text.len() && phrases::is_title(&text[..first]) {
            let title = window.start..window.start + first;
            self.report(envelope_removed::talk(title.clone(), &self.source.text[title.clone()]));
            self.window = self.trimmed(title.end..window.end);
        }
        let window = self.trimmed(self.window.clone());
        self.window = self.without_talk(window);
    }
}

/// Where an entity stands, and its text.
pub(crate) type Entity = (Range<usize>, String);

/// A plain text with its entities read, and the entities; `None` if there are none.
pub(crate) fn decode_entities(text: &str) -> Option<(String, Vec<Entity>)> {
    const LONGEST: usize = 36;
    let mut decoded = String::new();
    let mut found = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(offset) = text[at..].find('&') {
        let start = at + offset;
        match entity_at(text, start) {
            Some((mut character, mut end)) => {
                // `&amp;lt;` was escaped twice.
                while character == "&" {
                    let near = format!("&{}", &text[end..text.floor_char_boundary(end + LONGEST)]);
                    let Some((inner, length)) = entity_at(&near, 0) else { break };
                    (character, end) = (inner, end + length - 1);
                }
                decoded.push_str(&text[copied..start]);
                decoded.push_str(&character);
                found.push((start..end, character.into_owned()));
                (copied, at) = (end, end);
            }
            None => at = start + 1,
        }
    }
    if found.is_empty() {
        return None;
    }
    decoded.push_str(&text[copied..]);
    Some((decoded, found))
}
