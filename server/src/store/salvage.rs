//! Reads jobs, events and records of assets out of a database file whose structure is damaged, without the database: every page that can be a
//! leaf is read by itself, and what it holds counts only if its checksum is right.
//!
//! A leaf begins with its kind in one byte, an unused one, and the number of its entries in two; then come the ends of its keys
//! and those of its values, in four bytes each, and then keys and values.
//!
//! A page that the database has freed may still hold an older state of a job, or a job that was deleted. Callers take the
//! newest state; deleted jobs of pages that were not used again come back.

use std::fs::File;
use std::io;
use std::path::Path;

use super::StoreError;
use super::overlay::{Overlay, read_at};
use super::seal::{self, Key};
use crate::job_id::JobId;

/// Pages begin at multiples of it.
const PAGE: u64 = 4096;
/// Bytes before the offsets of a leaf's entries.
const HEAD: usize = 4;
/// A leaf is not larger: the largest record has a few mebibytes.
const LEAF_BYTES_MAX: usize = 64 << 20;
/// Bytes of a job's id.
const ID_BYTES: usize = 36;
/// Bytes of the key of an asset. Keys of other kinds have other lengths.
const ASSET_KEY: usize = super::ASSET_KEY_BYTES;
/// Bytes of the key of an event: the length of the id, the id, and the number.
const EVENT_KEY_BYTES: usize = 1 + ID_BYTES + 8;

/// A value that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A record, which may be older than another one of the same job.
    Job {
        job: String,
        /// The encoded record.
        record: Vec<u8>,
    },
    Event {
        job: String,
        /// Its sequence number.
        sequence: u64,
        /// The number of the event before it; `None` if it is the first, or does not say.
        previous: Option<u64>,
        /// The encoded event.
        event: Vec<u8>,
    },
    /// The record of an asset, which may be older than another one with the same key, or deleted.
    Asset {
        key: Vec<u8>,
        /// The encoded record.
        record: Vec<u8>,
    },
}

/// Calls `each` with every value in the file whose checksum is right, in no order and perhaps more than once.
///
/// # Errors
///
/// [`StoreError::InUse`] or [`StoreError::Io`] if the file cannot be read, and what `each` returns.
pub(crate) fn scan(path: &Path, mut each: impl FnMut(Found) -> Result<(), StoreError>) -> Result<(), StoreError> {
    // Only to lock the file.
    let _unused = Overlay::open(path)?;
    let failed = |error: io::Error| StoreError::from_io(&error);
    let file = File::open(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    let mut start = 0;
    while start + HEAD as u64 <= len {
        let left = usize::try_from(len - start).unwrap_or(usize::MAX).min(LEAF_BYTES_MAX);
        let mut head = vec![0; left.min(PAGE as usize)];
        read_at(&file, start, &mut head).map_err(failed)?;
        let count = u16::from_le_bytes([head[2], head[3]]);
        // The number of entries may be damaged itself: then all offsets are elsewhere.
        let counts = (0..16).map(|bit| count ^ (1 << bit)).chain([count]);
        for count in counts.map(usize::from).filter(|count| *count > 0) {
            if let Some(page) = leaf(&file, start, left, &head, count).map_err(failed)? {
                for found in entries(&page, count) {
                    each(found)?;
                }
            }
        }
        start += PAGE;
    }
    Ok(())
}

/// The bytes of the leaf of `count` entries that begins at `start`; `None` if the page is not a leaf. A leaf stores the length
/// of its keys at fixed places, where other pages hardly ever have the length of one of our keys.
fn leaf(file: &File, start: u64, left: usize, head: &[u8], count: usize) -> io::Result<Option<Vec<u8>>> {
    let offsets = HEAD + 8 * count;
    if offsets > left {
        return Ok(None);
    }
    let mut page = head.to_vec();
    if offsets > page.len() {
        page.resize(offsets, 0);
        read_at(file, start, &mut page)?;
    }
    let key = |entry: usize| {
        let start = if entry == 0 { offsets } else { offset(&page, entry - 1)? };
        offset(&page, entry)?.checked_sub(start)
    };
    if !(0..count).filter_map(key).any(|length| [ID_BYTES, EVENT_KEY_BYTES, ASSET_KEY].contains(&length)) {
        return Ok(None);
    }
    // Damaged offsets do not hide the rest: the largest one that can be is where the leaf ends.
    let ends = (0..2 * count).filter_map(|place| offset(&page, place)).filter(|end| *end <= left);
    let end = ends.max().unwrap_or(offsets).max(offsets);
    page.resize(end, 0);
    read_at(file, start, &mut page)?;
    Ok(Some(page))
}

/// The offset with this number: those of the ends of the keys come first, those of the values follow.
fn offset(page: &[u8], place: usize) -> Option<usize> {
    let bytes = page.get(HEAD + 4 * place..HEAD + 4 * place + 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
}

/// What a leaf holds of the three tables.
fn entries(page: &[u8], count: usize) -> impl Iterator<Item = Found> {
    let part = move |place: usize| {
        let start = if place == 0 { HEAD + 8 * count } else { offset(page, place - 1)? };
        page.get(start..offset(page, place)?)
    };
    (0..count).filter_map(move |entry| found(part(entry)?, part(count + entry)?))
}

/// The value, if key and checksum are those of a job, an event or an asset.
fn found(key: &[u8], stored: &[u8]) -> Option<Found> {
    if key.len() == ID_BYTES {
        let job = id(key)?;
        let record = seal::open(Key::Job(&job), stored).ok()?.to_vec();
        return Some(Found::Job { job, record });
    }
    if key.len() == ASSET_KEY {
        let record = seal::open(Key::Asset(key), stored).ok()?.to_vec();
        return Some(Found::Asset { key: key.to_vec(), record });
    }
    let (length, rest) = key.split_first()?;
    let (job, number) = rest.split_at_checked(ID_BYTES).filter(|_| usize::from(*length) == ID_BYTES)?;
    let (job, sequence) = (id(job)?, u64::from_le_bytes(number.try_into().ok()?));
    let opened = seal::open_event(&job, sequence, stored).ok()?;
    let (previous, event) = (opened.previous.flatten(), opened.event.to_vec());
    Some(Found::Event { job, sequence, previous, event })
}

fn id(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    JobId::parse(text).filter(|id| id.as_str() == text).map(|id| id.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;

    use super::*;
    use crate::store::redb::{Backing, RedbStore};
    use crate::store::{JobStore as _, Write};

    #[test]
    fn everything_is_found_without_the_database() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("jobs.redb");
        let store = RedbStore::open(Backing::File(path.clone())).expect("a new store");
        let (mut records, mut events, mut assets) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for number in 0..40_u64 {
            let job = JobId::new().to_string();
            // Of all sizes, up to many pages.
            let record = vec![number as u8; 1 + (number * number * 40) as usize];
            let mut writes = vec![Write::PutJob { job: job.clone(), record: record.clone() }];
            for sequence in 0..20_u64 {
                let event = Bytes::from(vec![sequence as u8; 10 + number as usize]);
                events.insert((job.clone(), sequence), event.to_vec());
                let previous = sequence.checked_sub(1);
                writes.push(Write::PutEvent { job: job.clone(), sequence, previous, event });
            }
            let (key, asset) = (vec![number as u8; ASSET_KEY], vec![1; 1 + 7 * number as usize]);
            writes.push(Write::PutAsset { key: key.clone(), record: asset.clone() });
            assets.insert(key, asset);
            store.commit(&writes).expect("room");
            records.insert(job, record);
        }
        assert_eq!(store.verify(), Ok(vec![]));
        assert!(matches!(scan(&path, |_| Ok(())), Err(StoreError::InUse)));
        drop(store);
        let (mut found_records, mut found_events) = (BTreeMap::new(), BTreeMap::new());
        let mut found_assets = BTreeMap::new();
        scan(&path, |found| {
            match found {
                Found::Job { job, record } => _ = found_records.insert(job, record),
                Found::Event { job, sequence, event, .. } => _ = found_events.insert((job, sequence), event),
                Found::Asset { key, record } => _ = found_assets.insert(key, record),
            }
            Ok(())
        })
        .expect("readable");
        assert_eq!(found_records, records);
        assert_eq!(found_events, events);
        assert_eq!(found_assets, assets);
    }
}
