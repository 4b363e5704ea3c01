//! Where the repository is.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn repository() -> PathBuf {
    let tidy = Path::new(env!("CARGO_MANIFEST_DIR"));
    tidy.ancestors().nth(2).unwrap_or(tidy).to_owned()
}

/// The text of a file of the repository.
///
/// # Panics
///
/// The file cannot be read.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
