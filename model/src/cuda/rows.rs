//! Rows of a batch in a flat sequence of tokens.

/// Rows that [`Rows`] holds, and times that a call takes.
pub(crate) const ROWS_MAX: usize = 64;

/// The start and length of each row of a batch in a flat sequence of tokens; the layout of `struct Rows` in
/// `common.cuh`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    count: i32,
    start: [i32; ROWS_MAX + 1],
    length: [i32; ROWS_MAX],
}

impl Rows {
    /// Rows of the given lengths, concatenated; `None` if there are more than [`ROWS_MAX`].
    pub fn of(lengths: impl IntoIterator<Item = usize>) -> Option<Self> {
        Self::filled_up(lengths, 1)
    }

    /// [`of`](Self::of) with each row padded to a multiple of `multiple` tokens, so that rows of different lengths
    /// share plans.
    pub fn filled_up(lengths: impl IntoIterator<Item = usize>, multiple: usize) -> Option<Self> {
        let mut rows = Self { count: 0, start: [0; ROWS_MAX + 1], length: [0; ROWS_MAX] };
        for length in lengths {
            let row = rows.count as usize;
            if row == ROWS_MAX {
                return None;
            }
            let span = i32::try_from(length.checked_next_multiple_of(multiple)?).ok()?;
            rows.length[row] = i32::try_from(length).ok()?;
            rows.start[row + 1] = rows.start[row].checked_add(span)?;
            rows.count += 1;
        }
        Some(rows)
    }

    /// Number of rows, at most [`ROWS_MAX`].
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// The first token of a row.
    pub fn start(&self, row: usize) -> usize {
        self.start[row] as usize
    }

    /// The number of tokens of a row without padding.
    pub fn length(&self, row: usize) -> usize {
        self.length[row] as usize
    }

    /// The number of tokens of a row with padding.
    pub fn span(&self, row: usize) -> usize {
        self.start(row + 1) - self.start(row)
    }

    /// The number of tokens of all rows with padding.
    pub fn tokens(&self) -> usize {
        self.start(self.count())
    }

    /// Runs of consecutive rows of equal length: first row and number of rows.
    pub fn runs(&self) -> Vec<(usize, usize)> {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for row in 0..self.count() {
            match runs.last_mut() {
                Some((first, count)) if self.length(*first) == self.length(row) => *count += 1,
                _ => runs.push((row, 1)),
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_one_after_the_other() {
        let rows = Rows::of([3, 3, 5, 3]).expect("few rows");
        assert_eq!((rows.count(), rows.tokens()), (4, 14));
        assert_eq!((rows.start(2), rows.length(2)), (6, 5));
        assert_eq!(rows.runs(), [(0, 2), (2, 1), (3, 1)]);
        let filled = Rows::filled_up([3, 8, 9], 8).expect("few rows");
        assert_eq!((filled.tokens(), filled.start(2)), (32, 16));
        assert_eq!([0, 1, 2].map(|row| (filled.length(row), filled.span(row))), [(3, 8), (8, 8), (9, 16)]);
        assert_eq!(Rows::filled_up([usize::MAX], 8), None);
        assert_eq!(Rows::of([1; ROWS_MAX]).map(|rows| rows.count()), Some(ROWS_MAX));
        assert_eq!(Rows::of([1; ROWS_MAX + 1]), None);
    }
}
