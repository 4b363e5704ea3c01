//! Byte offsets to lines and columns, as people count them.

mod map;

pub(crate) use map::PositionMap;

/// A place in a text: line and column from 1, the column in characters (Unicode scalar values).
///
/// Lines end at `\n`; a `\r` before it belongs to the line that it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Number of the line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Position {
    /// The place before the first character of a text.
    pub const START: Position = Position { line: 1, column: 1 };

    /// The place of the byte offset `offset` in `text`.
    ///
    /// An offset inside a character counts as the one before it, one past the end as the end.
    pub fn of(text: &str, offset: usize) -> Position {
        let mut cursor = Cursor::new(text);
        cursor.seek(offset);
        cursor.position
    }
}

/// Finds the places of ascending offsets in one walk over the text, so that a thousand findings on one long line do not
/// count that line a thousand times.
#[derive(Clone)]
pub(crate) struct Cursor<'t> {
    text: &'t str,
    offset: usize,
    position: Position,
}

impl<'t> Cursor<'t> {
    /// A cursor at the start of `text`.
    pub(crate) fn new(text: &'t str) -> Self {
        Cursor { text, offset: 0, position: Position::START }
    }

    /// Moves forward to `offset` and returns its place. An offset after the cursor leaves it where it is.
    pub(crate) fn seek(&mut self, offset: usize) -> Position {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let passed = self.text.get(self.offset..offset).unwrap_or_default();
        let newlines = passed.bytes().filter(|byte| *byte == b'\n').count();
        if newlines > 0 {
            self.position.line = self.position.line.saturating_add(saturating(newlines));
            self.position.column = 1;
        }
        let last_line = passed.rfind('\n').map_or(passed, |newline| &passed[newline + 1..]);
        self.position.column = self.position.column.saturating_add(saturating(last_line.chars().count()));
        self.offset = self.offset.max(offset);
        self.position
    }
}

fn saturating(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, offset: usize, line: u32, column: u32) {
        assert_eq!(Position::of(text, offset), Position { line, column });
    }

    #[test]
    fn columns_count_characters() {
        check("", 0, 1, 1);
        check("猫耳, tail", 6, 1, 3);
        check("a\nb猫c", 6, 2, 3);
        check("a\r\nb", 3, 2, 1);
        check("a\n", 2, 2, 1);
    }

    #[test]
    fn offsets_that_do_not_fit_are_clamped() {
        check("猫", 2, 1, 1);
        check("abc", 99, 1, 4);
    }

    #[test]
    fn a_cursor_walks_forward_and_stays_when_asked_to_go_back() {
        let mut cursor = Cursor::new("ab\ncd\nef");
        assert_eq!(cursor.seek(1), Position { line: 1, column: 2 });
        assert_eq!(cursor.seek(4), Position { line: 2, column: 2 });
        assert_eq!(cursor.seek(8), Position { line: 3, column: 3 });
        assert_eq!(cursor.seek(2), Position { line: 3, column: 3 });
    }
}
