//! How a pull goes on.

/// Receives how a pull goes on.
pub trait Progress: Send + Sync {
    /// `done` bytes of `total` are there, the last of them of `file`.
    fn at(&self, file: &str, done: u64, total: Option<u64>);

    /// Something that a person should read.
    fn note(&self, text: &str);
}
