//! [`Bounded`]: keeps the database from reading pages that are not in its file.
//!
//! redb reads the number of a page in another page and allocates a buffer of the size that the number implies, up to 4 GiB, before
//! it reads. If the number is damaged, the allocation can abort the process. Therefore the page numbers in each page are checked
//! when it is read. A page with a number outside of the file is returned with its kind cleared, which redb reports as damage.
//! Returning an error instead would prevent redb from falling back to the previous commit after a torn one.
//!
//! The layout is that of redb's file format 3. A page begins with its kind in one byte, an unused one, and the number of its
//! keys in two. A branch has from its 8th byte on the checksums of its children, of 16 bytes each, and then their numbers, of 8
//! bytes. A leaf has its offsets, see [`salvage`](super::salvage); those of the table of tables hold the roots of the others.

use std::io;
use std::ops::Bound;

use redb::{BackendError, StorageBackend};

/// Bytes of a page of order 0; one of order n has 2^n times as many.
const PAGE: u64 = 4096;
/// Bytes of the head of the file that are fixed when it is made.
const GEOMETRY_BYTES: usize = 24;
const LEAF: u8 = 1;
const BRANCH: u8 = 2;
/// The kinds of a table in its definition: with one value for a key, and with several.
const TABLE_KINDS: [u8; 2] = [3, 4];
/// Bytes of a definition before the names of its types: kind, length, root (flag, page, checksum, length), sizes of keys and
/// values (flag and size each), two alignments, and the length of the first name.
const DEFINITION_BYTES: usize = 1 + 8 + (1 + 8 + 16 + 8) + 2 * (1 + 4) + 2 * 4 + 4;

/// A backend whose pages name no page outside it.
#[derive(Debug)]
pub(super) struct Bounded(pub(super) Box<dyn StorageBackend>);

/// The sizes by which pages are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Geometry {
    /// Bytes of a region.
    region: u64,
    /// Bytes of a region before its pages.
    head: u64,
}

impl Geometry {
    /// From the head of the file; `None` if it is not that of a database.
    fn read(head: &[u8; GEOMETRY_BYTES]) -> Option<Self> {
        let number = |at: usize| head.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        let (page, head_pages, pages) = (number(12)?, number(16)?, number(20)?);
        let is_one = head.starts_with(b"redb") && u64::from(page) == PAGE && pages > 0;
        let region = (u64::from(head_pages) + u64::from(pages)) * PAGE;
        is_one.then_some(Self { region, head: u64::from(head_pages) * PAGE })
    }

    /// Whether a page lies within a file of `len` bytes. Its number has its index in 20 bits, its region in 20, and its order
    /// in the highest 5.
    fn holds(self, page: u64, len: u64) -> bool {
        let order = page >> 59;
        let (index, region) = (page & (0xf_ffff >> order), (page >> 20) & 0xf_ffff);
        let bytes = PAGE << order;
        let end = PAGE + region * self.region + self.head + index * bytes + bytes;
        end <= len
    }
}

/// The numbers of pages in a page.
fn pages(page: &[u8]) -> Vec<u64> {
    let count = usize::from(u16::from_le_bytes([page[2], page[3]]));
    match page[0] {
        BRANCH => {
            let start = 8 + 16 * (count + 1);
            (0..=count).map_while(|child| number(page, start + 8 * child)).collect()
        }
        LEAF => (0..count).filter_map(|entry| root(value(page, count, entry)?)).collect(),
        _ => Vec::new(),
    }
}

fn number(page: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(page.get(at..at + 8)?.try_into().ok()?))
}

/// The value of an entry of a leaf whose keys and values have no fixed size.
fn value(page: &[u8], count: usize, entry: usize) -> Option<&[u8]> {
    let end = |place: usize| {
        let at = 4 + 4 * place;
        Some(u32::from_le_bytes(page.get(at..at + 4)?.try_into().ok()?) as usize)
    };
    // The first value begins where the last key ends.
    page.get(end(count + entry - 1)?..end(count + entry)?)
}

/// The root in a value that is the definition of a table. No value of this server's tables can be taken for one: they begin
/// with other bytes.
fn root(value: &[u8]) -> Option<u64> {
    let is_definition = value.len() > DEFINITION_BYTES && TABLE_KINDS.contains(&value[0]);
    // Alignments are 1.
    let alignments = DEFINITION_BYTES - 12..DEFINITION_BYTES - 4;
    if !is_definition || value[alignments] != [1, 0, 0, 0, 1, 0, 0, 0] || value[9] == 0 {
        return None;
    }
    number(value, 10)
}

impl Bounded {
    fn names_a_page_outside(&self, page: &[u8]) -> io::Result<bool> {
        let named = pages(page);
        if named.is_empty() {
            return Ok(false);
        }
        let mut head = [0; GEOMETRY_BYTES];
        self.0.read(0, &mut head)?;
        let len = self.0.len()?;
        Ok(Geometry::read(&head).is_some_and(|geometry| !named.iter().all(|page| geometry.holds(*page, len))))
    }
}

impl StorageBackend for Bounded {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)?;
        let is_page = offset >= PAGE && out.len() >= PAGE as usize;
        if is_page && self.names_a_page_outside(out)? {
            tracing::warn!(offset, "a page of the database names a page outside the file");
            out[0] = 0;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::store::redb::{Backing, RedbStore};
    use crate::store::{JobStore as _, StoreError, Write};

    /// A file in memory that notes the largest page that was read.
    #[derive(Clone, Debug, Default)]
    struct Memory(Arc<Mutex<(Vec<u8>, usize)>>);

    impl StorageBackend for Memory {
        fn len(&self) -> io::Result<u64> {
            Ok(self.0.lock().0.len() as u64)
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            let (file, largest) = &mut *self.0.lock();
            *largest = out.len().max(*largest);
            let start = offset as usize;
            let read = start.checked_add(out.len()).and_then(|end| file.get(start..end));
            out.copy_from_slice(read.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.0.lock().0.resize(len as usize, 0);
            Ok(())
        }

        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            let file = &mut self.0.lock().0;
            file[offset as usize..][..data.len()].copy_from_slice(data);
            Ok(())
        }
    }

    fn open(memory: &Memory) -> Result<RedbStore, StoreError> {
        let memory = memory.clone();
        RedbStore::open(Backing::Backend(Box::new(move || Ok(Box::new(memory.clone())))))
    }

    /// A database with enough jobs for branches.
    fn filled() -> Vec<u8> {
        let memory = Memory::default();
        let store = open(&memory).expect("a new store");
        let record = |job: u32| Write::PutJob { job: format!("job-{job:04}"), record: vec![7; 300] };
        store.commit(&(0..200).map(record).collect::<Vec<_>>()).expect("room");
        drop(store);
        memory.0.lock().0.clone()
    }

    /// The places in a file of the numbers of pages, in branches and in definitions of tables.
    fn places(file: &[u8]) -> Vec<usize> {
        let mut places = Vec::new();
        for start in (PAGE as usize..file.len()).step_by(PAGE as usize) {
            let page = &file[start..start + PAGE as usize];
            let count = usize::from(u16::from_le_bytes([page[2], page[3]]));
            match page[0] {
                BRANCH => places.extend((0..=count).map(|child| start + 8 + 16 * (count + 1) + 8 * child)),
                LEAF => {
                    let values = (0..count).filter_map(|entry| value(page, count, entry));
                    let roots = values.filter(|value| root(value).is_some());
                    places.extend(roots.map(|value| start + value.as_ptr().addr() - page.as_ptr().addr() + 10));
                }
                _ => {}
            }
        }
        places
    }

    #[test]
    fn numbers_of_pages_that_are_damaged_make_it_allocate_nothing() {
        let file = filled();
        let places = places(&file);
        assert!(places.len() > 12, "{places:?}");
        let mut refused = 0;
        for at in places {
            // The order, the region and the index.
            for (byte, bit) in [(7, 7), (7, 6), (7, 5), (7, 4), (7, 3), (4, 2), (2, 6), (1, 7), (1, 1)] {
                let mut damaged = file.clone();
                damaged[at + byte] ^= 1 << bit;
                let memory = Memory(Arc::new(Mutex::new((damaged, 0))));
                let read = open(&memory).and_then(|store| store.verify());
                refused += usize::from(read.is_err());
                let largest = memory.0.lock().1;
                assert!(largest <= file.len(), "{largest} bytes for byte {byte}, bit {bit} at {at}");
            }
        }
        assert!(refused > 50, "{refused}");
    }

    #[test]
    fn pages_are_found_where_redb_has_them() {
        let file = filled();
        let head = file.first_chunk().expect("a head");
        let geometry = Geometry::read(head).expect("a database");
        let len = file.len() as u64;
        assert!(places(&file).iter().all(|at| geometry.holds(number(&file, *at).expect("there"), len)));
        assert!(!geometry.holds(len / PAGE - 1, len));
        assert!(geometry.holds(len / PAGE - 2, len), "the first page is not a page of a tree");
        assert_eq!(Geometry::read(&[0; GEOMETRY_BYTES]), None);
    }
}
