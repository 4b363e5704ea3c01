//! Where the end tags stand, to tell an element from a stray `<word>`, and nesting from a forgotten end tag.

use std::collections::HashMap;
use std::ops::Range;

use super::scan;

/// The places of all end tags by name, in the order of the source.
#[derive(Debug)]
pub(super) struct EndTags<'t>(HashMap<&'t str, Vec<usize>>);

impl<'t> EndTags<'t> {
    pub(super) fn new(source: &'t str) -> Self {
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, _) in source.match_indices("</") {
            let name = at + 2..scan::name_end(source, at + 2);
            if !name.is_empty() {
                places.entry(&source[name]).or_default().push(at);
            }
        }
        EndTags(places)
    }

    /// The first end tag of that name at or after an offset.
    pub(super) fn next(&self, name: &str, from: usize) -> Option<usize> {
        let places = self.0.get(name)?;
        places.get(places.partition_point(|place| *place < from)).copied()
    }

    /// Whether an end tag of that name stands in the range.
    pub(super) fn is_within(&self, name: &str, range: Range<usize>) -> bool {
        self.next(name, range.start).is_some_and(|place| place < range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_tags_are_found_behind_an_offset() {
        let ends = EndTags::new("<a>x</a><a></a ></b");
        assert_eq!(ends.next("a", 0), Some(4));
        assert_eq!(ends.next("a", 5), Some(11));
        assert_eq!(ends.next("a", 12), None);
        assert!(ends.is_within("b", 0..19) && !ends.is_within("b", 0..10));
    }
}
