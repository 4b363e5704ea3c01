//! The file in a pulled model's folder with its source, commit, licence and checksums.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{PullError, at};

/// The file's name.
const RECORD_FILE: &str = "sakuga-pull.json";
/// Bytes of a record that are read.
const RECORD_BYTES_MAX: u64 = 4 << 20;

/// Where a model came from.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct PullRecord {
    /// The source, as it is written on the command line.
    pub source: String,
    /// The commit of the hub's repository.
    pub commit: Option<String>,
    /// The licence that was accepted.
    pub licence: String,
    /// The file to load, if the model is a single file.
    pub single_file: Option<String>,
    /// The downloaded files.
    pub files: Vec<RecordedFile>,
}

/// A file of a pulled model.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct RecordedFile {
    /// Its path in the folder.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its content.
    pub sha256: String,
}

impl PullRecord {
    /// The record in a folder; `None` if there is no readable one.
    pub fn read(folder: &Path) -> Option<Self> {
        let mut bytes = Vec::new();
        File::open(folder.join(RECORD_FILE)).ok()?.take(RECORD_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Writes it into a folder.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub(super) fn write(&self, folder: &Path) -> Result<(), PullError> {
        let path = folder.join(RECORD_FILE);
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        std::fs::write(&path, text).map_err(at(&path))
    }

    /// What `--model` opens: the folder, or the single file in it.
    pub fn checkpoint(&self, folder: &Path) -> PathBuf {
        // A record that was altered names no file of another folder.
        let plain = self.single_file.as_deref().filter(|name| super::paths::check([*name]).is_ok());
        plain.map_or_else(|| folder.to_owned(), |name| folder.join(name))
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}
