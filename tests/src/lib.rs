//! What the tests of this crate share: a server of their own, a job followed to its end, and the order of its events.

#![forbid(unsafe_code)]

#[cfg(feature = "stories")]
pub mod job;
#[cfg(feature = "stories")]
pub mod order;
#[cfg(feature = "stories")]
pub mod server;

use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn repository() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

/// The text of a file of the repository.
///
/// # Panics
///
/// The file cannot be read.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
