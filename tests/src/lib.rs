//! Shared by the end-to-end tests: a server, a job followed to its end, and the order of its events.

#![forbid(unsafe_code)]

#[cfg(feature = "stories")]
pub mod job;
#[cfg(feature = "stories")]
pub mod order;
#[cfg(feature = "stories")]
pub mod server;

/// The text of a file of the repository.
///
/// # Panics
///
/// The file cannot be read.
pub fn read(path: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
