//! The lines around a finding, made safe and short enough for a terminal.

use std::ops::Range;

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};
use sakuga_client::proto::text::{is_invisible, one_line};

/// The longest line that is shown whole, in bytes.
const MAX_LINE_BYTES: usize = 200;

/// How much of a longer line is shown on each side of a finding, in bytes.
const CLIP_BYTES: usize = 60;

/// The most lines that a finding may span to be marked whole.
const MAX_SPAN_LINES: usize = 6;

/// A checked text, for showing parts of it.
///
/// Every character that could move the cursor, hide text or turn its direction is replaced by a visible one of as many
/// bytes, so that offsets into the checked bytes stay offsets into the text that is shown.
#[derive(Debug)]
pub(crate) struct Excerpt {
    name: String,
    text: String,
}

impl Excerpt {
    /// The text of `bytes` and its name.
    pub(crate) fn new(name: &str, bytes: &[u8]) -> Self {
        Self { name: one_line(name), text: visible(bytes) }
    }

    /// The part of `span` to underline: on character boundaries, inside the text, and of a readable length.
    pub(crate) fn clamp(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.floor(span.start);
        let mut end = self.floor(span.end.max(start));
        let marked = &self.text[start..end];
        if marked.bytes().filter(|byte| *byte == b'\n').count() >= MAX_SPAN_LINES {
            end = start + marked.find('\n').unwrap_or(marked.len());
        }
        if self.is_long(&(start..end)) {
            end = end.min(self.floor(start + CLIP_BYTES));
        }
        start..end
    }

    /// Whether the lines of `span` are too long to be shown whole.
    pub(crate) fn is_long(&self, span: &Range<usize>) -> bool {
        let lines = self.lines_of(span);
        self.text[lines].split('\n').any(|line| line.len() > MAX_LINE_BYTES)
    }

    /// The whole lines that `span` lies in, without the last line break.
    fn lines_of(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.text[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
        let end = self.text[span.end..].find('\n').map_or(self.text.len(), |newline| span.end + newline);
        start..end
    }

    /// The nearest place at or before `offset` that is between characters.
    fn floor(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }

    /// What is shown for `span`: its lines and some around them, or only its surroundings on a long line.
    fn window(&self, span: &Range<usize>, lines_before: usize, lines_after: usize) -> Range<usize> {
        let lines = self.lines_of(span);
        if self.is_long(span) {
            let start = self.floor(span.start.saturating_sub(CLIP_BYTES)).max(lines.start);
            return start..self.floor(span.end + CLIP_BYTES).min(lines.end);
        }
        let (mut start, mut end) = (lines.start, lines.end);
        for _ in 0..lines_before {
            if start == 0 {
                break;
            }
            let earlier = self.lines_of(&(start - 1..start - 1)).start;
            if start - earlier > MAX_LINE_BYTES {
                break;
            }
            start = earlier;
        }
        for _ in 0..lines_after {
            if end >= self.text.len() {
                break;
            }
            let later = self.lines_of(&(end + 1..end + 1)).end;
            if later - end > MAX_LINE_BYTES {
                break;
            }
            end = later;
        }
        start..end
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        context_lines_before: usize,
        context_lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let start = self.floor(span.offset());
        let span = start..self.floor(span.offset().saturating_add(span.len())).max(start);
        let window = self.window(&span, context_lines_before, context_lines_after);
        // Without context, only the place is asked for.
        let place = if context_lines_before == 0 && context_lines_after == 0 { span.start } else { window.start };
        let line_start = self.text[..place].rfind('\n').map_or(0, |newline| newline + 1);
        let shown = &self.text[window.clone()];
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            shown.as_bytes(),
            SourceSpan::from(window),
            self.text[..place].bytes().filter(|byte| *byte == b'\n').count(),
            self.text[line_start..place].chars().count(),
            shown.split('\n').count(),
        )))
    }
}

/// Text of the same length in bytes, in which every invisible character but line breaks and tabs is replaced.
fn visible(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            text.push(match (is_invisible(character), character.len_utf8()) {
                _ if matches!(character, '\n' | '\t') => character,
                _ if character == '\r' => ' ',
                (false, _) => character,
                (true, 1) => '?',
                (true, 2) => '\u{b7}',
                (true, 3) => '\u{fffd}',
                (true, _) => '\u{1f7d7}',
            });
        }
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_stay_what_they_were() {
        let bytes = "a\u{1b}[31mb\u{202e}c\u{9b}d\u{e0001}e\r\n\tf".as_bytes();
        let text = visible(bytes);
        assert_eq!(text, "a?[31mb\u{fffd}c\u{b7}d\u{1f7d7}e \n\tf");
        assert_eq!(text.len(), bytes.len());
        assert_eq!(visible(b"a\xff\xc3(b"), "a??(b");
    }

    #[test]
    fn spans_that_do_not_fit_are_clamped() {
        let excerpt = Excerpt::new("t", "猫\nb".as_bytes());
        assert_eq!(excerpt.clamp(&(1..2)), 0..0);
        assert_eq!(excerpt.clamp(&(3..99)), 3..5);
        assert_eq!(excerpt.clamp(&Range { start: 99, end: 3 }), 5..5);
        let many = Excerpt::new("t", "ab\n".repeat(50).as_bytes());
        assert_eq!(many.clamp(&(0..150)), 0..2);
    }

    #[test]
    fn long_lines_are_clipped() {
        let text = format!("{}X{}", "a".repeat(5000), "b".repeat(5000));
        let excerpt = Excerpt::new("t", text.as_bytes());
        let span = excerpt.clamp(&(5000..10_001));
        assert_eq!(span, 5000..5060);
        assert_eq!(excerpt.window(&span, 1, 1), 4940..5120);
        let contents = excerpt.read_span(&SourceSpan::from(5000..5001), 0, 0).unwrap();
        assert_eq!((contents.line(), contents.column()), (0, 5000));
    }

    #[test]
    fn short_lines_come_with_their_neighbours() {
        let excerpt = Excerpt::new("t", b"one\ntwo\nthree\nfour");
        assert_eq!(&excerpt.text[excerpt.window(&(8..9), 1, 1)], "two\nthree\nfour");
        assert_eq!(&excerpt.text[excerpt.window(&(0..1), 1, 1)], "one\ntwo");
        assert_eq!(&excerpt.text[excerpt.window(&(18..18), 1, 1)], "three\nfour");
    }
}
