//! Tags copied from the page of a picture, each with its count: `? 1girl 5.2M`, under headings such as `Artist`.

use std::borrow::Cow;
use std::ops::Range;

use super::Opening;
use crate::rules::separator;
use crate::source::Change;

/// Headings on such pages, in lower case.
const HEADINGS: &[&str] = &[
    "artist",
    "artists",
    "copyright",
    "copyrights",
    "character",
    "characters",
    "general",
    "meta",
    "metadata",
    "tag",
    "tags",
    "species",
    "lore",
    "contributor",
    "invalid",
];

impl Opening<'_, '_> {
    /// Reads such a list as tags with commas. A strict check reads it as it stands.
    pub(super) fn read_tag_page(&mut self) {
        let window = self.trimmed(self.window.clone());
        if self.findings.is_strict() {
            return;
        }
        let Some(tags) = tags(&self.source.text[window.clone()]) else { return };
        let mut changes: Vec<Change> = Vec::with_capacity(tags.len() + 1);
        let mut end = 0;
        for tag in tags {
            let between = if end == 0 { "" } else { ", " };
            changes.push((window.start + end..window.start + tag.start, Cow::Borrowed(between)));
            end = tag.end;
        }
        changes.push((window.start + end..window.end, Cow::Borrowed("")));
        changes.retain(|(span, text)| !span.is_empty() || !text.is_empty());
        self.report(separator::tag_page(&changes));
        self.window = window;
        self.replace(&changes);
    }
}

/// Where the tags stand in a text of nothing but tags with counts and headings.
fn tags(text: &str) -> Option<Vec<Range<usize>>> {
    const FEWEST: usize = 2;
    let mut tags = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        if line.trim().is_empty() || HEADINGS.contains(&line.trim().trim_end_matches(':').to_ascii_lowercase().as_str())
        {
            continue;
        }
        let mut piece_start = start;
        for piece in line.split_inclusive([',', '\n']) {
            let bare = piece.trim_end_matches([',', '\n']);
            if !bare.trim().is_empty() {
                let tag = tag(bare)?;
                tags.push(piece_start + tag.start..piece_start + tag.end);
            }
            piece_start += piece.len();
        }
    }
    (tags.len() >= FEWEST).then_some(tags)
}

/// Where the tag stands in an entry with a count.
fn tag(entry: &str) -> Option<Range<usize>> {
    let rest = entry.trim_start_matches(['?', '+', '-', '–', '•', ' ', '\t']);
    let start = entry.len() - rest.len();
    let (tag, count) = rest.trim_end().rsplit_once([' ', '\t'])?;
    let count = count.strip_prefix('(').and_then(|count| count.strip_suffix(')')).unwrap_or(count);
    let tag = tag.trim_end();
    (is_count(count, entry.contains('?')) && tag.contains(char::is_alphanumeric)).then(|| start..start + tag.len())
}

/// `5.2M`, `120k`, `5246021`; a small number is one only behind a `?`.
fn is_count(count: &str, is_marked: bool) -> bool {
    let number = count.trim_end_matches(['k', 'K', 'm', 'M']);
    let is_number = number.starts_with(|first: char| first.is_ascii_digit())
        && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_number && count.len() - number.len() <= 1 && (is_marked || number.len() < count.len() || number.len() > 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_with_counts_are_a_page() {
        for text in [
            "? 1girl 5.2M\n? blue hair 1.1M",
            "Artist\n? foo 12\nGeneral\n? blue hair 1.1M",
            "1girl 5246021\nblue hair 4312345",
            "1girl (5.2M), blue hair (1.1M)",
            "? + - 1girl 5.2M\n? + - blue hair 1.1M",
        ] {
            let found = tags(text).unwrap_or_default();
            assert_eq!(found.len(), 2, "{text}");
            assert_eq!(&text[found[1].clone()], "blue hair", "{text}");
        }
        for text in ["1girl, solo", "1girl 5.2M", "a girl 12\na boy 13", "1girl 5.2M\nsolo", "version 1.5, night 2"] {
            assert_eq!(tags(text), None, "{text}");
        }
    }
}
