//! The error of files that hold credentials.

use std::path::{Path, PathBuf};

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
    pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Self> {
        std::fs::read(path).map_err(|error| Self::new(path, format!("{error}; name a file that can be read")))
    }
}
