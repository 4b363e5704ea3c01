//! Finds tags one slip away in a few lookups, however long the list.
//!
//! Two spellings that differ by one letter (more, less, other, or swapped with its neighbour) have a spelling in common
//! when one letter is left out of each, or of one of them. So every tag is entered under itself and under each of its
//! spellings with one letter left out, and looked up the same way (the symmetric deletion of W. Garbe's SymSpell).

/// Longest spelling, in bytes, for which similar ones are looked for.
pub(super) const LONGEST: usize = 48;

/// Hashes of shortened spellings, sorted, each with a tag's number.
#[derive(Clone, Debug, Default)]
pub(super) struct DeletionIndex {
    entries: Vec<(u32, u32)>,
    /// Where in `entries` the hashes with each leading bits begin.
    starts: Vec<u32>,
    shift: u32,
}

/// Collects the entries of an index.
#[derive(Debug, Default)]
pub(super) struct Builder {
    entries: Vec<(u32, u32)>,
}

impl Builder {
    /// Enters a tag.
    pub(super) fn add(&mut self, spelling: &str, number: u32) {
        if spelling.len() <= LONGEST && spelling.is_ascii() {
            for_each_deletion(spelling, |hash| self.entries.push((hash, number)));
        }
    }

    /// The finished index.
    pub(super) fn build(mut self) -> DeletionIndex {
        self.entries.sort_unstable();
        self.entries.dedup();
        // About one entry a bucket.
        let bits = self.entries.len().next_power_of_two().trailing_zeros().clamp(1, 24);
        let shift = 32 - bits;
        let mut starts = Vec::with_capacity((1 << bits) + 1);
        let mut entry = 0;
        for bucket in 0..=(1_u64 << bits) {
            while self.entries.get(entry).is_some_and(|(hash, _)| u64::from(hash >> shift) < bucket) {
                entry += 1;
            }
            starts.push(u32::try_from(entry).unwrap_or(u32::MAX));
        }
        DeletionIndex { entries: self.entries, starts, shift }
    }
}

impl DeletionIndex {
    /// Most tags that are looked at for one spelling.
    const MOST_CANDIDATES: usize = 64;

    /// The numbers of tags that may be near; some are not, since hashes collide.
    pub(super) fn candidates(&self, spelling: &str) -> impl Iterator<Item = u32> {
        let mut numbers = Vec::new();
        for_each_deletion(spelling, |hash| {
            for (entry_hash, number) in self.bucket(hash) {
                if *entry_hash == hash && numbers.len() < Self::MOST_CANDIDATES && !numbers.contains(number) {
                    numbers.push(*number);
                }
            }
        });
        numbers.into_iter()
    }

    fn bucket(&self, hash: u32) -> &[(u32, u32)] {
        let place = |bucket: u32| {
            let bucket = usize::try_from(bucket).ok()?;
            usize::try_from(*self.starts.get(bucket)?).ok()
        };
        let bucket = hash.checked_shr(self.shift).unwrap_or(0);
        match (place(bucket), place(bucket + 1)) {
            (Some(start), Some(end)) => self.entries.get(start..end).unwrap_or_default(),
            _ => &[],
        }
    }
}

/// Calls with the hash of the spelling and of each spelling with one byte left out.
fn for_each_deletion(spelling: &str, mut found: impl FnMut(u32)) {
    let bytes = spelling.as_bytes();
    found(finish(hash(START, bytes)));
    // The prefix is hashed once; a run of equal letters has only one deletion.
    let mut prefix = START;
    for (index, byte) in bytes.iter().enumerate() {
        if index == 0 || bytes[index - 1] != *byte {
            found(finish(hash(prefix, &bytes[index + 1..])));
        }
        prefix = step(prefix, *byte);
    }
}

const START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, 64 bits.
fn hash(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |state, byte| step(state, *byte))
}

fn step(state: u64, byte: u8) -> u64 {
    (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
}

/// The leading bits of a multiplication are the well mixed ones.
fn finish(state: u64) -> u32 {
    let mixed = (state ^ (state >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    u32::try_from(mixed >> 32).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_single_slip_is_a_candidate() {
        let mut builder = Builder::default();
        builder.add("long_hair", 7);
        builder.add("blue_eyes", 8);
        let index = builder.build();
        for slip in ["long_hair", "lon_hair", "loong_hair", "lonk_hair", "lnog_hair", "ong_hair", "long_hairs"] {
            assert!(index.candidates(slip).any(|number| number == 7), "{slip}");
        }
        assert_eq!(index.candidates("green_dress").count(), 0);
    }

    #[test]
    fn an_empty_index_has_no_candidates() {
        assert_eq!(Builder::default().build().candidates("long_hair").count(), 0);
        assert_eq!(DeletionIndex::default().candidates("long_hair").count(), 0);
    }
}
