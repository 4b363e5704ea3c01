//! Decoded text, with the way back to its places in the source.

use std::borrow::Cow;
use std::ops::Range;

use crate::position::PositionMap;

/// A text: references resolved, sections of character data unwrapped, line ends made `\n`.
#[derive(Clone, Debug)]
pub(crate) struct Text<'t> {
    /// The decoded text.
    pub(crate) value: Cow<'t, str>,
    /// Where it stands in the source.
    pub(crate) span: Range<usize>,
    /// From offsets of an owned value to the source.
    map: PositionMap,
    /// Whether a part is a CDATA section.
    pub(crate) has_cdata: bool,
}

impl Text<'_> {
    /// Where a byte range of the value stands in the source.
    pub(crate) fn span_of(&self, range: Range<usize>) -> Range<usize> {
        match self.value {
            Cow::Borrowed(_) => self.span.start + range.start..self.span.start + range.end,
            Cow::Owned(_) => self.map.origin(range),
        }
    }

    /// Whether it holds nothing but what XML counts as blanks, which an ideographic space is not.
    pub(crate) fn is_blank(&self) -> bool {
        self.value.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
    }

    /// The span without the blanks at both ends; the whole span if there is nothing else.
    pub(crate) fn trimmed_span(&self) -> Range<usize> {
        if self.value.trim().is_empty() {
            return self.span.clone();
        }
        let start = self.value.len() - self.value.trim_start().len();
        let end = self.value.trim_end().len();
        self.span_of(start..end.max(start))
    }
}

/// A part of a text, cut out with its span.
impl<'t> Text<'t> {
    /// The part of the value in `range`, as a separate text.
    pub(crate) fn part(&self, range: Range<usize>) -> Text<'t> {
        let span = self.span_of(range.clone());
        let has_cdata = self.has_cdata;
        match &self.value {
            Cow::Borrowed(value) => {
                let value = Cow::Borrowed(value.get(range).unwrap_or_default());
                Text { value, span, map: PositionMap::default(), has_cdata }
            }
            Cow::Owned(value) => {
                let part = value.get(range.clone()).unwrap_or_default();
                let mut map = PositionMap::default();
                for (offset, character) in part.char_indices() {
                    let at = range.start + offset;
                    map.push(character.len_utf8(), self.map.origin(at..at + character.len_utf8()));
                }
                Text { value: Cow::Owned(part.to_owned()), span, map, has_cdata }
            }
        }
    }
}

/// Puts a text together from pieces of the source.
#[derive(Debug)]
pub(crate) struct TextBuilder<'t> {
    source: &'t str,
    /// The whole text so far, while it is one verbatim slice.
    slice: Range<usize>,
    /// The decoded text, once it is not.
    decoded: Option<(String, PositionMap)>,
    end: usize,
    is_empty: bool,
    has_cdata: bool,
}

impl<'t> TextBuilder<'t> {
    pub(crate) fn new(source: &'t str) -> Self {
        TextBuilder { source, slice: 0..0, decoded: None, end: 0, is_empty: true, has_cdata: false }
    }

    /// Adds a piece that means itself.
    pub(crate) fn verbatim(&mut self, piece: Range<usize>) {
        let written = &self.source[piece.clone()];
        if written.contains('\r') {
            self.with_line_ends(piece);
        } else if self.is_empty {
            self.slice = piece.clone();
            self.advance(piece);
        } else if self.decoded.is_none() && self.end == piece.start {
            self.slice.end = piece.end;
            self.end = piece.end;
        } else {
            let (value, map) = self.decoded();
            value.push_str(written);
            map.push(written.len(), piece.clone());
            self.advance(piece);
        }
    }

    /// Adds a piece that means `value`.
    pub(crate) fn decode(&mut self, value: &str, piece: Range<usize>) {
        if self.is_empty {
            self.slice = piece.start..piece.start;
            self.end = piece.start;
        }
        let (decoded, map) = self.decoded();
        decoded.push_str(value);
        map.push(value.len(), piece.clone());
        self.advance(piece);
    }

    /// Adds the inside of a CDATA section.
    pub(crate) fn cdata(&mut self, piece: Range<usize>) {
        self.has_cdata = true;
        self.verbatim(piece);
    }

    /// The text, and a fresh start; `None` if nothing was added.
    pub(crate) fn take(&mut self) -> Option<Text<'t>> {
        let built = std::mem::replace(self, TextBuilder::new(self.source));
        if built.is_empty {
            return None;
        }
        let span = built.slice.start..built.end;
        Some(match built.decoded {
            Some((value, map)) => Text { value: Cow::Owned(value), span, map, has_cdata: built.has_cdata },
            None => {
                let value = Cow::Borrowed(&built.source[built.slice]);
                Text { value, span, map: PositionMap::default(), has_cdata: built.has_cdata }
            }
        })
    }

    fn advance(&mut self, piece: Range<usize>) {
        self.end = piece.end;
        self.is_empty = false;
    }

    fn decoded(&mut self) -> &mut (String, PositionMap) {
        let (source, slice) = (self.source, self.slice.clone());
        self.decoded.get_or_insert_with(|| {
            let mut map = PositionMap::default();
            if !slice.is_empty() {
                map.push(slice.len(), slice.clone());
            }
            (source[slice].to_owned(), map)
        })
    }

    /// XML reads `\r\n` and a lone `\r` as `\n` (XML 1.0, section 2.11).
    fn with_line_ends(&mut self, piece: Range<usize>) {
        let mut rest = piece;
        while let Some(offset) = self.source[rest.clone()].find('\r') {
            let at = rest.start + offset;
            if offset > 0 {
                self.verbatim(rest.start..at);
            }
            let is_pair = self.source.as_bytes().get(at + 1) == Some(&b'\n') && at + 1 < rest.end;
            let next = if is_pair { at + 2 } else { at + 1 };
            self.decode("\n", at..next);
            rest.start = next;
        }
        if !rest.is_empty() {
            self.verbatim(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_verbatim_pieces_stay_one_slice() {
        let mut builder = TextBuilder::new("abc<def");
        builder.verbatim(0..3);
        builder.verbatim(3..4);
        builder.verbatim(4..7);
        let text = builder.take().expect("pieces were added");
        assert!(matches!(text.value, Cow::Borrowed("abc<def")));
        assert_eq!(text.span_of(2..4), 2..4);
        assert!(builder.take().is_none());
    }

    #[test]
    fn decoded_pieces_know_where_they_stood() {
        let mut builder = TextBuilder::new("a&lt;b<!--x-->c");
        builder.verbatim(0..1);
        builder.decode("<", 1..5);
        builder.verbatim(5..6);
        builder.verbatim(14..15);
        let text = builder.take().expect("pieces were added");
        assert_eq!(text.value, "a<bc");
        assert_eq!(text.span_of(1..2), 1..5);
        assert_eq!(text.span_of(3..4), 14..15);
        assert_eq!(text.span, 0..15);
        let part = text.part(1..4);
        assert_eq!(part.value, "<bc");
        assert_eq!(part.span_of(0..1), 1..5);
        assert_eq!(part.span_of(2..3), 14..15);
    }

    #[test]
    fn line_ends_become_newlines() {
        let mut builder = TextBuilder::new("a\r\nb\rc");
        builder.verbatim(0..6);
        let text = builder.take().expect("a piece was added");
        assert_eq!(text.value, "a\nb\nc");
        assert_eq!(text.span_of(2..3), 3..4);
        assert_eq!(text.trimmed_span(), 0..6);
    }
}
