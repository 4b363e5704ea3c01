//! From positions in a derived text back to the text it was derived from.

use std::ops::Range;

/// Where each piece of a derived text came from.
///
/// A text that was decoded (references of XML, escapes of JSON, sections left out) is made of runs. In a *verbatim* run
/// every byte has its own origin; an *opaque* run, such as the `<` that `&lt;` stands for, comes from its origin as a
/// whole. A map without runs is the identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PositionMap {
    runs: Vec<Run>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    derived: Range<usize>,
    origin: Range<usize>,
    is_verbatim: bool,
}

impl PositionMap {
    /// Appends a run: the next `derived_len` bytes of the derived text came from `origin`. It is verbatim if both
    /// have the same length.
    pub(crate) fn push(&mut self, derived_len: usize, origin: Range<usize>) {
        let is_verbatim = derived_len == origin.len();
        if let Some(last) = self.runs.last_mut()
            && is_verbatim
            && last.is_verbatim
            && last.origin.end == origin.start
        {
            last.derived.end += derived_len;
            last.origin.end = origin.end;
            return;
        }
        self.push_run(derived_len, origin, is_verbatim);
    }

    /// Appends an opaque run, whatever its length.
    pub(crate) fn push_opaque(&mut self, derived_len: usize, origin: Range<usize>) {
        self.push_run(derived_len, origin, false);
    }

    fn push_run(&mut self, derived_len: usize, origin: Range<usize>, is_verbatim: bool) {
        let start = self.runs.last().map_or(0, |run| run.derived.end);
        self.runs.push(Run { derived: start..start + derived_len, origin, is_verbatim });
    }

    /// Appends a piece of a text that was itself derived: `inner` leads from that text to the origin.
    pub(crate) fn push_derived(&mut self, inner: &PositionMap, piece: Range<usize>) {
        if inner.runs.is_empty() {
            return self.push(piece.len(), piece);
        }
        let first = inner.runs.partition_point(|run| run.derived.end <= piece.start);
        for run in inner.runs[first..].iter().take_while(|run| run.derived.start < piece.end) {
            let start = run.derived.start.max(piece.start);
            let end = run.derived.end.min(piece.end);
            let origin = if run.is_verbatim {
                let shift = |offset: usize| run.origin.start + (offset - run.derived.start);
                shift(start)..shift(end)
            } else {
                run.origin.clone()
            };
            self.push_run_like(run, end - start, origin);
        }
    }

    fn push_run_like(&mut self, run: &Run, derived_len: usize, origin: Range<usize>) {
        match run.is_verbatim {
            true => self.push(derived_len, origin),
            false => self.push_opaque(derived_len, origin),
        }
    }

    /// The origin of a byte range of the derived text.
    ///
    /// A range that begins or ends inside an opaque run is widened to its whole origin; an empty range stays empty.
    pub(crate) fn origin(&self, derived: Range<usize>) -> Range<usize> {
        if self.runs.is_empty() {
            return derived;
        }
        if derived.is_empty() {
            // Between two runs it belongs to the first: what is added there is added after the first one's text.
            let at = if derived.start == 0 { self.start(0) } else { self.end(derived.start) };
            return at..at;
        }
        let start = self.start(derived.start);
        start..self.end(derived.end).max(start)
    }

    /// The origin of the character that starts at `offset`.
    fn start(&self, offset: usize) -> usize {
        let index = self.runs.partition_point(|run| run.derived.end <= offset);
        match self.runs.get(index) {
            Some(run) if run.is_verbatim => run.origin.start + (offset - run.derived.start),
            Some(run) => run.origin.start,
            None => self.runs.last().map_or(offset, |run| run.origin.end),
        }
    }

    /// The end of the origin of the character that ends at `offset`.
    fn end(&self, offset: usize) -> usize {
        let index = self.runs.partition_point(|run| run.derived.end < offset);
        match self.runs.get(index) {
            Some(run) if run.is_verbatim => run.origin.start + (offset - run.derived.start),
            Some(run) => run.origin.end,
            None => self.runs.last().map_or(offset, |run| run.origin.end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_runs_nothing_moves() {
        assert_eq!(PositionMap::default().origin(3..7), 3..7);
    }

    #[test]
    fn opaque_runs_are_taken_whole() {
        // `a&lt;b` became `a<b`.
        let mut map = PositionMap::default();
        map.push(1, 10..11);
        map.push(1, 11..15);
        map.push(1, 15..16);
        assert_eq!(map.origin(0..1), 10..11);
        assert_eq!(map.origin(1..2), 11..15);
        assert_eq!(map.origin(0..3), 10..16);
        assert_eq!(map.origin(2..2), 15..15);
        assert_eq!(map.origin(3..3), 16..16);
    }

    #[test]
    fn what_is_added_between_runs_belongs_to_the_first() {
        // The second run stands before the first one in the origin.
        let mut map = PositionMap::default();
        map.push(3, 20..23);
        map.push(3, 10..13);
        assert_eq!(map.origin(3..3), 23..23);
        assert_eq!(map.origin(0..0), 20..20);
        assert_eq!(map.origin(3..4), 10..11);
    }

    #[test]
    fn a_text_derived_twice_leads_to_the_first() {
        // `a&lt;bc` became `a<bc`, of which `b` was removed.
        let mut first = PositionMap::default();
        first.push(1, 0..1);
        first.push(1, 1..5);
        first.push(2, 5..7);
        let mut second = PositionMap::default();
        second.push_derived(&first, 0..2);
        second.push_derived(&first, 3..4);
        assert_eq!(second.origin(1..2), 1..5);
        assert_eq!(second.origin(2..3), 6..7);
    }

    #[test]
    fn verbatim_neighbours_become_one_run() {
        let mut map = PositionMap::default();
        map.push(2, 0..2);
        map.push(3, 2..5);
        assert_eq!(map.runs.len(), 1);
        // What was left out separates runs.
        map.push(2, 9..11);
        assert_eq!(map.runs.len(), 2);
        assert_eq!(map.origin(4..6), 4..10);
    }
}
