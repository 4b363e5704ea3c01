//! [`Seen`]: what a device has computed already, so that first uses of a shape and readings of a known text are distinguished.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher as _};

/// Shapes that are remembered, about a hundred for each size that a server draws.
const SHAPES_MAX: usize = 2048;
/// Texts that are remembered: about as many as text encoders cache.
const TEXTS_MAX: usize = 12;

/// Identifies a shape or a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(u64);

impl Key {
    /// The same for equal values while the process runs.
    pub(super) fn of(value: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// The shapes that a model has used on a device since that was opened, and the texts that it has read lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    shapes: HashSet<Key>,
    /// The same, the oldest first.
    order: VecDeque<Key>,
    /// The latest texts, the last one at the end.
    texts: VecDeque<Key>,
}

impl Seen {
    /// Whether all shapes were used, and all texts were read lately.
    pub(super) fn has_all(&self, shapes: &[Key], texts: &[Key]) -> bool {
        shapes.iter().all(|key| self.shapes.contains(key)) && texts.iter().all(|key| self.texts.contains(key))
    }

    /// Marks shapes as used and texts as read.
    pub(super) fn add(&mut self, shapes: &[Key], texts: &[Key]) {
        for key in shapes {
            if self.shapes.insert(*key) {
                self.order.push_back(*key);
            }
        }
        while self.order.len() > SHAPES_MAX {
            self.order.pop_front().iter().for_each(|oldest| _ = self.shapes.remove(oldest));
        }
        for key in texts {
            self.texts.retain(|known| known != key);
            self.texts.push_back(*key);
        }
        self.texts.drain(..self.texts.len().saturating_sub(TEXTS_MAX));
    }

    /// Forgets the texts: a model that is loaded has read none.
    pub(crate) fn forget_texts(&mut self) {
        self.texts.clear();
    }
}

/// Finds what one job does for the first time.
pub(super) struct Finder<'a> {
    seen: &'a Seen,
    /// Shapes and texts that the job itself has used before.
    used: HashSet<Key>,
}

impl<'a> Finder<'a> {
    pub(super) fn new(seen: &'a Seen) -> Self {
        Self { seen, used: HashSet::new() }
    }

    /// 1 for the first use of a shape and 0 for others.
    pub(super) fn shape(&mut self, key: Key) -> f64 {
        let is_first = !self.seen.shapes.contains(&key) && self.used.insert(key);
        f64::from(u8::from(is_first))
    }

    /// 1 for a text that was not read lately and 0 for others.
    pub(super) fn text(&mut self, key: Key) -> f64 {
        let is_first = !self.seen.texts.contains(&key) && self.used.insert(key);
        f64::from(u8::from(is_first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys<const N: usize>(names: [usize; N]) -> [Key; N] {
        names.map(Key::of)
    }

    #[test]
    fn only_the_first_use_counts_and_memory_is_bounded() {
        let mut seen = Seen::default();
        seen.add(&keys([1]), &[]);
        let mut finder = Finder::new(&seen);
        assert_eq!(keys([1, 2, 2]).map(|key| finder.shape(key)), [0.0, 1.0, 0.0]);
        assert!(seen.has_all(&keys([1]), &[]) && !seen.has_all(&keys([1, 2]), &[]));
        (0..3 * SHAPES_MAX).for_each(|name| seen.add(&keys([name, name]), &[]));
        assert_eq!((seen.shapes.len(), seen.order.len()), (SHAPES_MAX, SHAPES_MAX));
        assert!(!seen.has_all(&keys([1]), &[]) && seen.has_all(&keys([3 * SHAPES_MAX - 1]), &[]));
    }

    #[test]
    fn texts_are_known_while_they_are_among_the_latest() {
        let mut seen = Seen::default();
        (0..TEXTS_MAX).for_each(|text| seen.add(&[], &keys([text])));
        seen.add(&[], &keys([0, TEXTS_MAX]));
        let mut finder = Finder::new(&seen);
        assert_eq!(keys([0, 1, 1, 2]).map(|key| finder.text(key)), [0.0, 1.0, 0.0, 0.0], "used again, 0 is kept");
        seen.forget_texts();
        assert!(!seen.has_all(&[], &keys([0])));
    }
}
