//! A text that was derived from the one that was handed in, with the way back to it.

use std::borrow::Cow;
use std::ops::Range;

use crate::position::PositionMap;

/// A text and where each of its pieces stands in the text that was handed in.
#[derive(Clone, Debug)]
pub(crate) struct Source<'t> {
    /// The text to read.
    pub(crate) text: Cow<'t, str>,
    /// From `text` to the text that was handed in.
    pub(crate) map: PositionMap,
}

/// A piece of a text and what replaces it.
pub(crate) type Change = (Range<usize>, Cow<'static, str>);

impl<'t> Source<'t> {
    /// The text that was handed in.
    pub(crate) fn new(text: &'t str) -> Self {
        Source { text: Cow::Borrowed(text), map: PositionMap::default() }
    }

    /// Replaces pieces. `changes` are in the order of the text and do not overlap.
    pub(crate) fn replace(&mut self, changes: &[Change]) {
        let mut builder = SourceBuilder::default();
        let mut copied = 0;
        for (span, replacement) in changes {
            builder.copy(self, copied..span.start);
            builder.insert(self, replacement, span.clone());
            copied = span.end;
        }
        builder.copy(self, copied..self.text.len());
        *self = builder.finish();
    }
}

/// Puts a derived text together from pieces of another one.
#[derive(Debug, Default)]
pub(crate) struct SourceBuilder {
    text: String,
    map: PositionMap,
}

impl SourceBuilder {
    /// How long the text is so far.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Appends a piece as it stands.
    pub(crate) fn copy(&mut self, from: &Source<'_>, piece: Range<usize>) {
        if !piece.is_empty() {
            self.text.push_str(&from.text[piece.clone()]);
            self.map.push_derived(&from.map, piece);
        }
    }

    /// Appends a text that stands for a piece.
    pub(crate) fn insert(&mut self, from: &Source<'_>, text: &str, piece: Range<usize>) {
        if !text.is_empty() {
            self.text.push_str(text);
            self.map.push_opaque(text.len(), from.map.origin(piece));
        }
    }

    /// The text so far.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The derived text.
    pub(crate) fn finish<'t>(self) -> Source<'t> {
        Source { text: Cow::Owned(self.text), map: self.map }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_pieces_lead_back() {
        let mut source = Source::new("a&eacute;b\u{200B}c");
        source.replace(&[(1..9, "é".into()), (10..13, "".into())]);
        assert_eq!(source.text, "aébc");
        assert_eq!(source.map.origin(1..3), 1..9);
        assert_eq!(source.map.origin(4..5), 13..14);
        source.replace(&[(0..1, "xyz".into())]);
        assert_eq!(source.text, "xyzébc");
        assert_eq!(source.map.origin(3..5), 1..9);
        assert_eq!(source.map.origin(6..7), 13..14);
    }
}
