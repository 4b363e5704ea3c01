//! [`Overlay`]: a database file that is read and never written. What the database writes while it is opened, such as the
//! recovery after a crash, stays in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use parking_lot::Mutex;
use redb::StorageBackend;
use sakuga_model_core::open_regular_file;

use super::StoreError;

/// Bytes of one page that is kept in memory.
const PAGE: usize = 4096;

/// The file with what was written over it.
#[derive(Debug)]
pub(crate) struct Overlay {
    /// Locked: no server uses it meanwhile.
    file: File,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    len: u64,
    /// Bytes of the file that are still valid; less than its length after a truncation.
    file_len: u64,
    written: BTreeMap<u64, Box<[u8; PAGE]>>,
}

impl Overlay {
    /// Opens a file that no server uses.
    ///
    /// # Errors
    ///
    /// [`StoreError::InUse`], or [`StoreError::Io`] if it cannot be read or is not a regular file.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = open_regular_file(path).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput => StoreError::Io(format!("{}: {error}", path.display())),
            _ => StoreError::from_io(&error),
        })?;
        if let Err(std::fs::TryLockError::WouldBlock) = file.try_lock() {
            return Err(StoreError::InUse);
        }
        let len = file.metadata().map_err(|error| StoreError::from_io(&error))?.len();
        Ok(Self { file, state: Mutex::new(State { len, file_len: len, written: BTreeMap::new() }) })
    }

    /// The page with the number, as it is now.
    fn page(&self, state: &State, number: u64) -> io::Result<Box<[u8; PAGE]>> {
        if let Some(page) = state.written.get(&number) {
            return Ok(page.clone());
        }
        let mut page = Box::new([0; PAGE]);
        let start = number * PAGE as u64;
        let bytes = state.file_len.saturating_sub(start).min(PAGE as u64) as usize;
        read_at(&self.file, start, &mut page[..bytes])?;
        Ok(page)
    }

    /// Every page that the bytes touch: its number, the range within the page, and where that begins within the bytes.
    fn pages(offset: u64, bytes: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>, usize)> {
        let mut done = 0;
        std::iter::from_fn(move || {
            let at = offset + done as u64;
            let within = (at % PAGE as u64) as usize;
            let length = (PAGE - within).min(bytes - done);
            let page = (length > 0).then_some((at / PAGE as u64, within..within + length, done));
            done += length;
            page
        })
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state.lock();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > state.len) {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        for (number, within, at) in Self::pages(offset, out.len()) {
            let page = self.page(&state, number)?;
            out[at..at + within.len()].copy_from_slice(&page[within]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        if len < state.len {
            let first_gone = len.div_ceil(PAGE as u64);
            state.written.split_off(&first_gone);
            if let Some((_, page)) = state.written.range_mut(len / PAGE as u64..).next()
                && !len.is_multiple_of(PAGE as u64)
            {
                page[(len % PAGE as u64) as usize..].fill(0);
            }
        }
        state.len = len;
        state.file_len = state.file_len.min(len);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        for (number, within, at) in Self::pages(offset, data.len()) {
            let mut page = self.page(&state, number)?;
            page[within.clone()].copy_from_slice(&data[at..at + within.len()]);
            state.written.insert(number, page);
        }
        state.len = state.len.max(offset + data.len() as u64);
        Ok(())
    }
}

#[cfg(unix)]
pub(super) fn read_at(file: &File, offset: u64, out: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, out, offset)
}

#[cfg(not(unix))]
pub(super) fn read_at(mut file: &File, offset: u64, out: &mut [u8]) -> io::Result<()> {
    use std::io::{Read as _, Seek as _};
    file.seek(io::SeekFrom::Start(offset))?;
    file.read_exact(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_the_file_stays() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("file");
        std::fs::write(&path, vec![7; 10_000]).expect("written");
        let overlay = Overlay::open(&path).expect("not in use");
        overlay.write(4090, &[1; 20]).expect("memory");
        overlay.write(20_000, &[2; 5]).expect("memory");
        let read = |offset, bytes| {
            let mut out = vec![9; bytes];
            overlay.read(offset, &mut out).map(|()| out)
        };
        assert_eq!(read(4089, 22).expect("there"), [&[7][..], &[1; 20], &[7]].concat());
        assert_eq!(read(9_999, 3).expect("there"), [7, 0, 0]);
        assert_eq!(read(20_000, 5).expect("there"), [2; 5]);
        assert!(read(20_001, 5).is_err());
        overlay.set_len(4095).expect("memory");
        overlay.set_len(9_000).expect("memory");
        assert_eq!(read(4093, 5).expect("there"), [1, 1, 0, 0, 0]);
        assert_eq!(std::fs::read(&path).expect("there"), vec![7; 10_000]);
        assert!(matches!(Overlay::open(&path), Err(StoreError::InUse)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_in_place_of_the_database_is_refused_without_waiting() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("jobs.redb");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
        let refused = Overlay::open(&path).expect_err("not a file").to_string();
        assert!(refused.contains("jobs.redb: it is a pipe (FIFO), not a regular file"), "{refused}");
    }
}
