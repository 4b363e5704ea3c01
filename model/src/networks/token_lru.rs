//! A least-recently-used cache of results by token ids, limited in bytes.
//!
//! Prompts repeat with another seed or a changed word, and share prefixes. [`TokenLru::get`] finds the value of exactly
//! these ids, [`TokenLru::longest_prefix`] the value that shares the longest prefix. There are few entries, and each
//! saves milliseconds of work, so the search is linear.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::tokens::TokenBatch;

/// How often the cache saved work on a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TextCounts {
    /// Texts whose result was cached.
    pub hits: u64,
    /// Texts whose prefix was cached.
    pub prefix_hits: u64,
    /// Texts that were computed completely.
    pub misses: u64,
    /// Tokens of all texts that were asked for.
    pub tokens: u64,
    /// Tokens among them that were not computed.
    pub tokens_saved: u64,
}

impl TextCounts {
    /// Counts a text whose first `saved` tokens were cached.
    pub fn note(&mut self, tokens: usize, saved: usize) {
        match saved {
            0 => self.misses += 1,
            saved if saved == tokens => self.hits += 1,
            _ => self.prefix_hits += 1,
        }
        self.tokens += tokens as u64;
        self.tokens_saved += saved as u64;
    }
}

/// Values by their token ids.
#[derive(Debug)]
pub(crate) struct TokenLru<V> {
    /// In the order of use, the last used at the end.
    entries: Vec<Entry<V>>,
    bytes: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Entry<V> {
    ids: Vec<u32>,
    value: V,
    bytes: usize,
}

impl<V> TokenLru<V> {
    /// A cache of at most `bytes_max` bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { entries: Vec::new(), bytes: 0, bytes_max }
    }

    /// The value of exactly these ids. Counts as a use.
    pub(crate) fn get(&mut self, ids: &[u32]) -> Option<&V> {
        let at = self.entries.iter().position(|entry| entry.ids == ids)?;
        Some(self.touch(at))
    }

    /// The length of the longest prefix shared with these ids, never 0, and its value; the last used of several. Counts
    /// as a use.
    #[cfg(any(feature = "cuda", test))]
    pub(crate) fn longest_prefix(&mut self, ids: &[u32]) -> Option<(usize, &V)> {
        let shared = self.entries.iter().enumerate().map(|(at, entry)| (common_prefix(&entry.ids, ids), at));
        let (length, at) = shared.max()?;
        if length == 0 {
            return None;
        }
        Some((length, self.touch(at)))
    }

    /// Inserts a value of `bytes` bytes and evicts the least recently used ones to make room. A value larger than the
    /// cache is not inserted.
    pub(crate) fn insert(&mut self, ids: Vec<u32>, value: V, bytes: usize) {
        self.retain(|other| other != ids);
        if bytes > self.bytes_max {
            return;
        }
        let room = self.bytes_max - bytes;
        let mut forgotten = 0;
        while self.bytes > room {
            self.bytes -= self.entries[forgotten].bytes;
            forgotten += 1;
        }
        self.entries.drain(..forgotten);
        self.entries.push(Entry { ids, value, bytes });
        self.bytes += bytes;
    }

    /// Removes every value for whose ids `keep` is false.
    pub(crate) fn retain(&mut self, keep: impl Fn(&[u32]) -> bool) {
        self.entries.retain(|entry| keep(&entry.ids));
        self.bytes = self.entries.iter().map(|entry| entry.bytes).sum();
    }

    /// Removes all values.
    pub(crate) fn clear(&mut self) {
        self.retain(|_| false);
    }

    fn touch(&mut self, at: usize) -> &V {
        self.entries[at..].rotate_left(1);
        let last = self.entries.len() - 1;
        &self.entries[last].value
    }
}

/// A cache of results of whole batches, for an implementation that computes all rows of a batch at once.
#[derive(Debug)]
pub(crate) struct KeptBatches<V> {
    state: Mutex<(TokenLru<V>, TextCounts)>,
}

impl<V: Clone> KeptBatches<V> {
    /// A cache of at most `bytes_max` bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { state: Mutex::new((TokenLru::new(bytes_max), TextCounts::default())) }
    }

    /// The cached result of `tokens`, or else the result of `compute`, which is inserted with its size `bytes`.
    pub(crate) fn get_or<E>(
        &self,
        tokens: &TokenBatch,
        bytes: impl FnOnce(&V) -> usize,
        compute: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, E> {
        let key = tokens.key();
        let found = {
            let mut state = self.state();
            let (kept, counts) = &mut *state;
            let found = kept.get(&key).cloned();
            tokens.lengths().iter().for_each(|&length| counts.note(length, if found.is_some() { length } else { 0 }));
            found
        };
        if let Some(found) = found {
            return Ok(found);
        }
        let value = compute()?;
        let bytes = bytes(&value);
        self.state().0.insert(key, value.clone(), bytes);
        Ok(value)
    }

    /// How often a text was cached.
    pub(crate) fn counts(&self) -> TextCounts {
        self.state().1
    }

    /// Removes all results.
    pub(crate) fn clear(&self) {
        self.state().0.clear();
    }

    fn state(&self) -> MutexGuard<'_, (TokenLru<V>, TextCounts)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(any(feature = "cuda", test))]
fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lru(entries: &[(&[u32], &'static str, usize)]) -> TokenLru<&'static str> {
        let mut lru = TokenLru::new(100);
        entries.iter().for_each(|&(ids, value, bytes)| lru.insert(ids.to_vec(), value, bytes));
        lru
    }

    fn get(lru: &mut TokenLru<&'static str>, ids: &[u32]) -> Option<&'static str> {
        lru.get(ids).copied()
    }

    #[test]
    fn exactly_the_ids_are_found() {
        let mut lru = lru(&[(&[1, 2], "a", 10), (&[1, 2, 3], "b", 10)]);
        assert_eq!(get(&mut lru, &[1, 2]), Some("a"));
        assert_eq!(get(&mut lru, &[1, 2, 3]), Some("b"));
        assert_eq!((get(&mut lru, &[1]), get(&mut lru, &[1, 2, 3, 4]), get(&mut lru, &[])), (None, None, None));
    }

    #[test]
    fn the_longest_beginning_is_found() {
        let mut lru = lru(&[(&[1, 2, 3, 4], "a", 10), (&[1, 2, 9], "b", 10), (&[5], "c", 10)]);
        assert_eq!(lru.longest_prefix(&[1, 2, 3, 7]), Some((3, &"a")));
        assert_eq!(lru.longest_prefix(&[1, 2, 9, 9]), Some((3, &"b")));
        assert_eq!(lru.longest_prefix(&[1, 2, 3]), Some((3, &"a")), "a whole text that another begins with");
        assert_eq!(lru.longest_prefix(&[1, 8]), Some((1, &"a")), "the one used last");
        assert_eq!(lru.longest_prefix(&[5, 6]), Some((1, &"c")));
        assert_eq!(lru.longest_prefix(&[7]), None);
        assert_eq!(TokenLru::<u8>::new(1).longest_prefix(&[7]), None);
    }

    #[test]
    fn the_one_used_longest_ago_goes_first() {
        let mut lru = lru(&[(&[1], "a", 40), (&[2], "b", 40)]);
        assert_eq!(get(&mut lru, &[1]), Some("a"));
        lru.insert(vec![3], "c", 40);
        assert_eq!((get(&mut lru, &[2]), get(&mut lru, &[1]), get(&mut lru, &[3])), (None, Some("a"), Some("c")));
        assert_eq!((lru.bytes, lru.entries.len()), (80, 2));
        assert_eq!(lru.longest_prefix(&[1, 5]).map(|(length, _)| length), Some(1));
        lru.insert(vec![4], "d", 60);
        assert_eq!((get(&mut lru, &[3]), get(&mut lru, &[1])), (None, Some("a")), "a shared beginning is a use");
    }

    #[test]
    fn there_are_never_more_bytes_than_allowed() {
        let mut lru = lru(&[(&[1], "a", 50), (&[2], "b", 50)]);
        lru.insert(vec![3], "too large", 101);
        assert_eq!((get(&mut lru, &[3]), lru.bytes), (None, 100), "it drives nothing out");
        lru.insert(vec![1], "again", 60);
        assert_eq!((lru.entries.len(), lru.bytes, get(&mut lru, &[1])), (1, 60, Some("again")));
        lru.insert(vec![4], "all", 100);
        assert_eq!((lru.entries.len(), lru.bytes), (1, 100));
        lru.clear();
        assert!(lru.entries.is_empty() && lru.bytes == 0);
    }

    #[test]
    fn texts_that_a_new_one_begins_with_can_be_forgotten() {
        let mut lru = lru(&[(&[1, 2], "a", 10), (&[1, 3], "b", 10)]);
        lru.retain(|ids| ![1, 2, 3].starts_with(ids));
        assert_eq!((get(&mut lru, &[1, 2]), get(&mut lru, &[1, 3]), lru.bytes), (None, Some("b"), 10));
    }

    #[test]
    fn a_batch_is_computed_once() {
        let kept = KeptBatches::new(8);
        let batch = |rows: &[Vec<u32>]| TokenBatch::padded(rows, 0, 1).unwrap();
        let compute = |rows: &[Vec<u32>], value: u32| kept.get_or(&batch(rows), |_| 8, || Ok::<_, ()>(value)).unwrap();
        assert_eq!(compute(&[vec![1, 2], vec![3]], 1), 1);
        assert_eq!(compute(&[vec![1, 2], vec![3]], 2), 1);
        assert_eq!(compute(&[vec![1, 2], vec![3, 0]], 3), 3, "another batch of the same padded ids");
        assert_eq!(kept.get_or(&batch(&[vec![1]]), |_| 8, || Err("fails")), Err("fails"));
        kept.clear();
        assert_eq!(compute(&[vec![1, 2], vec![3, 0]], 4), 4);
        let TextCounts { hits, misses, .. } = kept.counts();
        assert_eq!((hits, misses), (2, 7));
    }

    #[test]
    fn counts_tell_hits_prefixes_and_misses_apart() {
        let mut counts = TextCounts::default();
        counts.note(10, 0);
        counts.note(10, 10);
        counts.note(10, 4);
        let expected = TextCounts { hits: 1, prefix_hits: 1, misses: 1, tokens: 30, tokens_saved: 14 };
        assert_eq!(counts, expected);
    }
}
