//! Where markup of the grammar stands, to tell a prompt in blocks from plain text.

use std::ops::Range;

use crate::names::{self, Kind};

/// Where the first start tag of an element of the grammar, or of a negative prompt, begins.
pub(super) fn first_tag(text: &str) -> Option<usize> {
    text.match_indices('<').map(|(at, _)| at).find(|at| is_tag_name(name_at(&text[at + 1..])))
}

/// The comments of a text, in its order. One without an end does not count, so that a label behind it is found.
pub(super) fn comments(text: &str) -> Vec<Range<usize>> {
    const OPEN: &str = "<!--";
    const CLOSE: &str = "-->";
    let mut comments = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find(OPEN).map(|found| at + found) {
        let Some(length) = text[start + OPEN.len()..].find(CLOSE) else { break };
        at = start + OPEN.len() + length + CLOSE.len();
        comments.push(start..at);
    }
    comments
}

/// How many elements of the grammar are open at an offset that only moves forward.
#[derive(Debug, Default)]
pub(super) struct Depth {
    at: usize,
    open: usize,
}

impl Depth {
    /// How many are open at `offset`.
    pub(super) fn at(&mut self, text: &str, offset: usize) -> usize {
        while let Some(found) = text[self.at.min(offset)..offset].find('<') {
            let behind = &text[self.at + found + 1..];
            if let Some(behind) = behind.strip_prefix('/') {
                if is_tag_name(name_at(behind)) {
                    self.open = self.open.saturating_sub(1);
                }
            } else if is_tag_name(name_at(behind)) && !is_closed(behind) {
                self.open += 1;
            }
            self.at += found + 1;
        }
        self.at = self.at.max(offset);
        self.open
    }
}

/// How many elements of the grammar are open at the end of a text.
pub(super) fn open_elements(text: &str) -> usize {
    Depth::default().at(text, text.len())
}

/// Whether a name is one of the grammar's, in any spelling; of single letters only `n` is.
pub(super) fn is_tag_name(name: &str) -> bool {
    let is_known = || names::kind(name).is_some() || matches!(name, "prompt" | "negative_prompt" | "character");
    !name.is_empty() && (is_known() || crate::phrases::is_negative_name(name))
}

/// Whether a name is that of a block: an element that holds elements.
pub(super) fn is_block_name(name: &str) -> bool {
    names::kind(name) == Some(Kind::Container)
}

/// The name at the beginning of a text.
pub(super) fn name_at(text: &str) -> &str {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let ascii = text.bytes().take_while(|byte| is_plain(byte)).count();
    if text.as_bytes().get(ascii).is_none_or(u8::is_ascii) {
        return &text[..ascii];
    }
    let end = text.find(|character: char| !character.is_alphanumeric() && !matches!(character, '_' | '-'));
    &text[..end.unwrap_or(text.len())]
}

fn is_closed(tag: &str) -> bool {
    tag.find(['>', '<']).is_some_and(|end| tag[end..].starts_with('>') && tag[..end].ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_the_grammar_are_found() {
        assert_eq!(first_tag("<b>x</b> <general_tags>"), Some(9));
        assert_eq!(first_tag(">_< and <3"), None);
        assert_eq!(open_elements("<img><character_1><n/><gender>1girl</gender>"), 2);
        assert_eq!(open_elements("<caption>x</caption>"), 0);
    }

    #[test]
    fn comments_have_ends() {
        assert_eq!(comments("a<!-- b --><!--c-->d<!-- e"), [1..11, 11..19]);
    }
}
