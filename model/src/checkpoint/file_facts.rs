//! Facts about a checkpoint's files that are kept between two openings.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// One value that a family reads from a checkpoint's files and uses at every opening, such as its tokenizers.
#[derive(Default)]
pub struct FileFacts(Mutex<Option<Arc<dyn Any + Send + Sync>>>);

impl fmt::Debug for FileFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileFacts").finish_non_exhaustive()
    }
}

impl FileFacts {
    /// The value, or else the result of `read`, which is kept unless it is an error.
    ///
    /// # Errors
    ///
    /// The error of `read`.
    pub fn get_or_read<T: Any + Send + Sync, E>(&self, read: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let mut value = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = value.clone().and_then(|value| value.downcast::<T>().ok()) {
            return Ok(known);
        }
        let read = Arc::new(read()?);
        *value = Some(read.clone());
        Ok(read)
    }
}

/// Lengths and modification times of a checkpoint's files. They differ if a file was added, removed, replaced or written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileStamps(BTreeMap<PathBuf, (u64, Option<SystemTime>)>);

impl FileStamps {
    /// The stamps of a file, or of the files in a folder and its direct subfolders. Unreadable ones are left out.
    pub fn of(path: &Path) -> Self {
        let mut stamps = BTreeMap::new();
        collect(path, 2, &mut stamps);
        Self(stamps)
    }
}

fn collect(path: &Path, depth: usize, stamps: &mut BTreeMap<PathBuf, (u64, Option<SystemTime>)>) {
    let Ok(metadata) = fs::metadata(path) else { return };
    if metadata.is_file() {
        stamps.insert(path.to_owned(), (metadata.len(), metadata.modified().ok()));
    } else if let (Some(depth), Ok(entries)) = (depth.checked_sub(1), fs::read_dir(path)) {
        entries.flatten().for_each(|entry| collect(&entry.path(), depth, stamps));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_once_and_an_error_is_not_kept() {
        let facts = FileFacts::default();
        assert_eq!(facts.get_or_read(|| Err::<u32, _>("unreadable")), Err("unreadable"));
        for value in [1, 2] {
            assert_eq!(facts.get_or_read(|| Ok::<u32, ()>(value)), Ok(Arc::new(1)));
        }
    }

    #[test]
    fn stamps_change_with_every_file_of_a_checkpoint() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let part = dir.path().join("vae");
        fs::create_dir(&part).expect("writable");
        let mut seen = vec![FileStamps::of(dir.path())];
        for (path, content) in [
            (dir.path().join("model_index.json"), "{}"),
            (part.join("config.json"), "{}"),
            (part.join("config.json"), "{ }"),
        ] {
            fs::write(&path, content).expect("writable");
            let stamps = FileStamps::of(dir.path());
            assert!(!seen.contains(&stamps), "{}", path.display());
            assert_eq!(FileStamps::of(dir.path()), stamps);
            seen.push(stamps);
        }
        assert_ne!(FileStamps::of(&part.join("config.json")), FileStamps::default());
        assert_eq!(FileStamps::of(&part.join("gone")), FileStamps::default());
    }
}
