//! The disk that files are written to, and its free space.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

/// A disk; tests use one of limited size.
pub trait Disk: Send + Sync {
    /// Bytes that this user may still write into a folder; `None` where that cannot be read.
    fn free_bytes(&self, folder: &Path) -> Option<u64>;

    /// Bytes that the disk of a folder lacks to store `bytes` more; `None` if they fit or the free space cannot be read.
    fn lacking(&self, folder: &Path, bytes: u64) -> Option<u64> {
        bytes.checked_sub(self.free_bytes(folder)?).filter(|lacking| *lacking > 0)
    }

    /// Appends to a file.
    ///
    /// # Errors
    ///
    /// As the system says; [`io::ErrorKind::StorageFull`] without room.
    fn append(&self, file: &mut File, bytes: &[u8]) -> io::Result<()>;
}

/// The disk of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    #[cfg(unix)]
    fn free_bytes(&self, folder: &Path) -> Option<u64> {
        let existing = folder.ancestors().find(|folder| folder.is_dir())?;
        let facts = rustix::fs::statvfs(existing).ok()?;
        facts.f_bavail.checked_mul(facts.f_frsize)
    }

    #[cfg(not(unix))]
    fn free_bytes(&self, _: &Path) -> Option<u64> {
        None
    }

    fn append(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_room_of_a_folder_that_is_not_made_yet_is_that_of_its_disk() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(SystemDisk.free_bytes(&folder.path().join("a/b")).is_some_and(|bytes| bytes > 0));
    }
}
