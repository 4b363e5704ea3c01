//! The error of files that hold credentials.

use std::path::{Path, PathBuf};

use crate::named_file;

/// Bytes of a file of keys, certificates or tokens. The largest are revocation lists.
const BYTES_MAX: u64 = 64 << 20;

/// A file of keys, certificates or tokens that cannot be read or does not hold what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {problem}", .path.display())]
pub struct CredentialError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, and what to do.
    pub problem: String,
}

impl CredentialError {
    pub(crate) fn new(path: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }

    /// Reads such a file.
    ///
    /// # Errors
    ///
    /// It cannot be read, is not a regular file, or is too large.
    pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Self> {
        named_file::read(path, BYTES_MAX).map_err(|problem| Self::new(path, problem))
    }

    /// As [`CredentialError::read`], of a text.
    pub(crate) fn read_text(path: &Path) -> Result<String, Self> {
        named_file::read_text(path, BYTES_MAX).map_err(|problem| Self::new(path, problem))
    }
}
