//! [`AssetFiles`]: the folder of the assets' bytes. A whole file has the name of its SHA-256; what is being uploaded is in the
//! folder `unfinished`.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::id::AssetId;
use crate::store::StoreError;
use crate::store::place::DataPlace;

/// Bytes that are hashed at once.
const PIECE: usize = 256 * 1024;
const UNFINISHED: &str = "unfinished";

/// The folder of the assets' bytes.
#[derive(Debug)]
pub(crate) struct AssetFiles {
    place: Place,
    next: AtomicU64,
}

#[derive(Debug)]
enum Place {
    Folder(PathBuf),
    /// Created at its first use and removed when the process ends.
    Temporary(Mutex<Option<TempDir>>),
}

impl AssetFiles {
    /// The folder of a server's assets: one in its data folder, or a temporary one if it keeps everything in memory.
    pub(crate) fn of(place: &DataPlace) -> Self {
        let place = match place {
            DataPlace::Folder(folder) => Place::Folder(crate::store::place::assets(folder)),
            DataPlace::Memory => Place::Temporary(Mutex::default()),
        };
        Self { place, next: AtomicU64::new(0) }
    }

    fn folder(&self) -> io::Result<PathBuf> {
        match &self.place {
            Place::Folder(folder) => Ok(folder.clone()),
            Place::Temporary(made) => {
                let mut made = made.lock();
                let folder = match made.take() {
                    Some(folder) => folder,
                    None => tempfile::Builder::new().prefix("sakuga-assets-").tempdir()?,
                };
                Ok(made.insert(folder).path().to_owned())
            }
        }
    }

    /// The file of an asset, whether it is there or not.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if there can be no folder.
    pub(crate) fn path(&self, id: AssetId) -> Result<PathBuf, StoreError> {
        Ok(self.folder().map_err(|error| StoreError::from_io(&error))?.join(id.to_string()))
    }

    /// An empty file for an upload.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(crate) fn begin(&self) -> Result<(File, PathBuf), StoreError> {
        let open = || {
            let folder = self.folder()?.join(UNFINISHED);
            fs::create_dir_all(&folder)?;
            let path = folder.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
            let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
            Ok((file, path))
        };
        open().map_err(|error: io::Error| StoreError::from_io(&error))
    }

    /// A new file with this content, to become an asset by [`AssetFiles::keep`].
    ///
    /// # Errors
    ///
    /// [`StoreError`]; then there is no file.
    pub(crate) fn write_unfinished(&self, content: &[u8]) -> Result<PathBuf, StoreError> {
        let (mut file, path) = self.begin()?;
        match file.write_all(content) {
            Ok(()) => Ok(path),
            Err(error) => {
                // What cannot be removed now is removed at the next start.
                let _ = fs::remove_file(&path);
                Err(StoreError::from_io(&error))
            }
        }
    }

    /// Makes an unfinished file the one of an asset. When it returns, the file survives a loss of power.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(crate) fn keep(&self, unfinished: &Path, id: AssetId) -> Result<(), StoreError> {
        let keep = || {
            File::open(unfinished)?.sync_all()?;
            let folder = self.folder()?;
            fs::rename(unfinished, folder.join(id.to_string()))?;
            File::open(folder)?.sync_all()
        };
        keep().map_err(|error: io::Error| StoreError::from_io(&error))
    }

    /// Removes the file of an asset, if it is there.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(crate) fn remove(&self, id: AssetId) -> Result<(), StoreError> {
        match fs::remove_file(self.path(id)?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::from_io(&error)),
            _ => Ok(()),
        }
    }

    pub(crate) fn ids(&self) -> Vec<AssetId> {
        // A temporary folder is empty at first.
        let Place::Folder(folder) = &self.place else { return Vec::new() };
        let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        entries.filter_map(|entry| AssetId::parse(entry.file_name().to_str()?)).collect()
    }

    /// The files of uploads that were not finished when a server ended.
    pub(crate) fn unfinished(&self) -> Vec<PathBuf> {
        let Place::Folder(folder) = &self.place else { return Vec::new() };
        let entries = fs::read_dir(folder.join(UNFINISHED)).into_iter().flatten().filter_map(Result::ok);
        entries.map(|entry| entry.path()).collect()
    }

    /// Compares the file of an asset with its size and its name.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] if it is missing or not what was uploaded.
    pub(crate) fn check(&self, id: AssetId, size: u64) -> Result<(), StoreError> {
        let damaged = |what: &str| StoreError::Damaged(format!("the file of asset {id} {what}"));
        let mut file = self.open(id)?;
        let (mut hash, mut piece, mut found) = (Sha256::new(), vec![0; PIECE], 0);
        loop {
            let bytes = file.read(&mut piece).map_err(|error| StoreError::from_io(&error))?;
            if bytes == 0 {
                break;
            }
            found += bytes as u64;
            hash.update(&piece[..bytes]);
        }
        match found == size && AssetId::of(hash) == id {
            true => Ok(()),
            false => Err(damaged("is not what was uploaded")),
        }
    }

    /// Opens the file of an asset.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; [`StoreError::Damaged`] if it is missing.
    pub(super) fn open(&self, id: AssetId) -> Result<File, StoreError> {
        File::open(self.path(id)?).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::Damaged(format!("the file of asset {id} is missing")),
            _ => StoreError::from_io(&error),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_kept_checked_and_removed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let id = AssetId::of_bytes(b"0123456789");
        for place in [DataPlace::Folder(folder.path().into()), DataPlace::Memory] {
            let files = AssetFiles::of(&place);
            assert!(matches!(files.check(id, 10), Err(StoreError::Damaged(_))));
            let path = files.write_unfinished(b"0123456789").expect("room");
            files.keep(&path, id).expect("room");
            assert_eq!(files.check(id, 10), Ok(()));
            assert!(files.check(id, 9).is_err());
            fs::write(files.path(id).expect("a folder"), "0123456780").expect("written");
            assert!(matches!(files.check(id, 10), Err(StoreError::Damaged(_))));
            files.remove(id).expect("removed");
            files.remove(id).expect("nothing to remove");
            assert_eq!((files.ids(), files.unfinished()), (vec![], vec![]));
        }
    }

    #[test]
    fn a_temporary_folder_is_gone_with_its_server() {
        let files = AssetFiles::of(&DataPlace::Memory);
        let (_, path) = files.begin().expect("room");
        assert!(path.exists());
        drop(files);
        assert!(!path.exists());
    }
}
