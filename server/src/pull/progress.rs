//! Progress of a pull.

/// Receives the progress of a pull.
pub trait Progress: Send + Sync {
    /// `done` of `total` bytes are downloaded; the newest belong to `file`.
    fn at(&self, file: &str, done: u64, total: Option<u64>);

    /// Something that a person should read.
    fn note(&self, text: &str);
}
