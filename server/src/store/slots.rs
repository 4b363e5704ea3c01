//! The head of redb's file, where two slots hold the last commit and the one before it.
//!
//! If the checksum of a slot is wrong, redb silently uses the other slot. This module detects that.

use redb::StorageBackend;
use xxhash_rust::xxh3::xxh3_128;

const MAGIC: &[u8] = b"redb\x1A\x0A\xA9\x0D\x0A";
/// The byte whose lowest bit says which slot has the last commit.
const FLAGS: usize = MAGIC.len();
const SLOTS: [usize; 2] = [64, 192];
const SLOT_BYTES: usize = 128;
const CHECKSUM_BYTES: usize = 16;
const HEAD_BYTES: usize = SLOTS[1] + SLOT_BYTES;

/// Whether the slot of the last commit is damaged. False for a file that is not a redb database.
pub(super) fn last_commit_is_damaged(file: &dyn StorageBackend) -> bool {
    let mut head = [0; HEAD_BYTES];
    let is_read = file.len().is_ok_and(|len| len >= HEAD_BYTES as u64) && file.read(0, &mut head).is_ok();
    if !is_read || !head.starts_with(MAGIC) {
        return false;
    }
    let start = SLOTS[usize::from(head[FLAGS] & 1)];
    let (content, checksum) = head[start..start + SLOT_BYTES].split_at(SLOT_BYTES - CHECKSUM_BYTES);
    xxh3_128(content).to_le_bytes() != checksum
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::super::redb::{Backing, RedbStore};
    use super::super::{JobStore as _, Write};
    use super::*;

    #[test]
    fn a_damaged_slot_of_the_last_commit_is_noticed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, copy) = (folder.path().join("jobs.redb"), folder.path().join("copy.redb"));
        let store = RedbStore::open(Backing::File(path.clone())).expect("a new store");
        let put = |job: &str| Write::PutJob { job: job.into(), record: job.as_bytes().to_vec() };
        store.commit(&[put("a")]).expect("room");
        store.commit(&[put("b")]).expect("room");
        for is_closed in [false, true] {
            if is_closed {
                store.close();
            }
            let flags = std::fs::read(&path).expect("a file")[FLAGS];
            assert_eq!(flags & 2 == 0, is_closed, "whether it has to be recovered");
            for damaged in [None, Some(flags & 1), Some((flags & 1) ^ 1)] {
                std::fs::copy(&path, &copy).expect("copied");
                if let Some(slot) = damaged {
                    let opened = std::fs::File::options().write(true).open(&copy).expect("writable");
                    let at = SLOTS[usize::from(slot)] as u64 + 16;
                    opened.write_all_at(&[0x5A; 8], at).expect("written");
                }
                let is_last = damaged == Some(flags & 1);
                match RedbStore::open(Backing::File(copy.clone())) {
                    Ok(found) => assert_eq!(found.lacks_last_commit(), is_last, "{damaged:?}, {is_closed}"),
                    Err(error) => assert!(is_last, "{error}: {damaged:?}, {is_closed}"),
                }
            }
        }
    }

    #[test]
    fn other_files_are_not_judged() {
        let memory = ::redb::backends::InMemoryBackend::new();
        assert!(!last_commit_is_damaged(&memory));
        memory.set_len(HEAD_BYTES as u64).expect("room");
        assert!(!last_commit_is_damaged(&memory));
    }
}
