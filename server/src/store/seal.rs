//! A checksum in front of each stored value, so that damage on the disk is detected when the value is read. The database verifies
//! its own checksums only when it recovers from a crash.

use sha2::{Digest as _, Sha256};

use super::StoreError;

/// The first byte of a value with a checksum. It differs in six bits or more from every byte of [`WITHOUT`].
const MARK: u8 = 0xf5;
/// Bytes of the checksum: the first ones of a SHA-256.
const SUM_BYTES: usize = 8;
/// First bytes of the values that servers wrote before there were checksums: the tags of the first fields of their messages.
const WITHOUT: [u8; 3] = [0x08, 0x0a, 0x12];

/// The owner of a value. It is part of the checksum, so a value in the place of another is detected.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key<'a> {
    /// The record of a job.
    Job(&'a str),
    /// An event of a job, with its sequence number.
    Event(&'a str, u64),
    /// The record of an asset, with its key.
    Asset(&'a [u8]),
}

impl Key<'_> {
    fn sum(self, value: &[u8]) -> [u8; SUM_BYTES] {
        let mut hash = Sha256::new();
        match self {
            Self::Job(job) => {
                hash.update(b"job");
                hash.update(job);
            }
            Self::Event(job, sequence) => {
                hash.update(b"event");
                hash.update(sequence.to_le_bytes());
                hash.update(job);
            }
            Self::Asset(key) => {
                hash.update(b"asset");
                hash.update(key);
            }
        }
        hash.update([0]);
        hash.update(value);
        let mut sum = [0; SUM_BYTES];
        sum.copy_from_slice(&hash.finalize()[..SUM_BYTES]);
        sum
    }

    fn what(self) -> String {
        match self {
            Self::Job(_) => "the record".into(),
            Self::Event(_, sequence) => format!("event {sequence}"),
            Self::Asset(_) => "the record of an asset".into(),
        }
    }
}

/// An event as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chained<'v> {
    /// What came before it: the sequence number of another event, or nothing. `None` if an older server did not say.
    pub(super) previous: Option<Option<u64>>,
    /// The encoded event.
    pub(super) event: &'v [u8],
}

impl Chained<'_> {
    /// Whether the event follows the one with this number, as far as it says.
    pub(super) fn follows(&self, before: u64) -> bool {
        self.previous.is_none_or(|previous| previous == Some(before))
    }
}

/// An event with the number of the one before it, as it is stored.
pub(super) fn seal_event(job: &str, sequence: u64, previous: Option<u64>, event: &[u8]) -> Vec<u8> {
    // No event has the largest number.
    let previous = previous.unwrap_or(u64::MAX).to_le_bytes();
    seal(Key::Event(job, sequence), &[&previous[..], event].concat())
}

/// The event of what is stored.
///
/// # Errors
///
/// [`StoreError::Damaged`] if it is not what was written.
pub(super) fn open_event<'v>(job: &str, sequence: u64, stored: &'v [u8]) -> Result<Chained<'v>, StoreError> {
    let value = open(Key::Event(job, sequence), stored)?;
    if value.len() == stored.len() {
        return Ok(Chained { previous: None, event: value });
    }
    let (previous, event) = value
        .split_first_chunk()
        .ok_or_else(|| StoreError::Damaged(format!("event {sequence} is shorter than any event")))?;
    let previous = Some(u64::from_le_bytes(*previous)).filter(|number| *number != u64::MAX);
    Ok(Chained { previous: Some(previous), event })
}

/// The value as it is stored.
pub(super) fn seal(key: Key<'_>, value: &[u8]) -> Vec<u8> {
    [&[MARK][..], &key.sum(value), value].concat()
}

/// The value of what is stored.
///
/// # Errors
///
/// [`StoreError::Damaged`] if it is not what was written.
pub(super) fn open<'v>(key: Key<'_>, stored: &'v [u8]) -> Result<&'v [u8], StoreError> {
    let altered = || StoreError::Damaged(format!("{} is not what was written: its checksum is wrong", key.what()));
    match stored.split_first() {
        Some((&MARK, rest)) => {
            let (sum, value) = rest.split_at_checked(SUM_BYTES).ok_or_else(altered)?;
            if sum == key.sum(value) { Ok(value) } else { Err(altered()) }
        }
        // Assets are younger than the checksums.
        Some((first, _)) if WITHOUT.contains(first) && !matches!(key, Key::Asset(_)) => Ok(stored),
        _ => Err(altered()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_counts_and_so_does_the_place() {
        let key = Key::Event("job", 3);
        let sealed = seal(key, b"value");
        assert_eq!(open(key, &sealed), Ok(&b"value"[..]));
        for bit in 0..8 * sealed.len() {
            let mut altered = sealed.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(open(key, &altered), Err(StoreError::Damaged(_))), "bit {bit}");
        }
        for other in [Key::Event("job", 4), Key::Event("jobs", 3), Key::Job("job"), Key::Asset(b"job")] {
            assert!(open(other, &sealed).is_err(), "{other:?}");
        }
        for cut in 0..sealed.len() {
            assert!(open(key, &sealed[..cut]).is_err(), "{cut} bytes");
        }
    }

    #[test]
    fn an_event_says_what_came_before_it() {
        for previous in [None, Some(0), Some(7)] {
            let sealed = seal_event("job", 8, previous, b"event");
            let opened = open_event("job", 8, &sealed).expect("undamaged");
            assert_eq!(opened, Chained { previous: Some(previous), event: b"event" });
            assert_eq!(opened.follows(7), previous == Some(7));
        }
        assert!(open_event("job", 8, &[0x08, 8]).expect("of an older server").follows(3));
    }

    #[test]
    fn values_of_older_servers_are_read_as_they_are() {
        for first in WITHOUT {
            assert_eq!(open(Key::Job("job"), &[first, 1]), Ok(&[first, 1][..]));
            assert!((MARK ^ first).count_ones() >= 6);
        }
        assert!(open(Key::Job("job"), b"").is_err());
        assert!(open(Key::Asset(b"key"), &[WITHOUT[0], 1]).is_err(), "assets are younger");
    }
}
