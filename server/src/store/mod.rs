//! Where jobs, their events and their pictures are kept: two small traits, each with one implementation.
//!
//! A store holds bytes under names and knows nothing of what they mean. [`redb`] keeps jobs and events in one file of an
//! embedded database, [`artifacts`] keeps pictures in a folder, in memory or in an S3-compatible store. [`writer`] is the
//! thread that commits what many jobs write at once.

use std::io;
use std::ops::Range;

use bytes::Bytes;

pub mod artifacts;
pub mod place;
pub mod redb;
pub mod writer;

/// One change. A batch of them is applied whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Writes a job's record, over the one that was there.
    PutJob {
        /// The job.
        job: String,
        /// What is known of it.
        record: Vec<u8>,
    },
    /// Writes an event.
    PutEvent {
        /// The job.
        job: String,
        /// Its number.
        sequence: u64,
        /// What happened.
        event: Bytes,
    },
    /// Notes that every number below `below` may have been seen by somebody.
    Reserve {
        /// The job.
        job: String,
        /// The first number that nobody has seen.
        below: u64,
    },
    /// Remembers a job under the name that its client gave it.
    PutName {
        /// The name.
        name: Vec<u8>,
        /// The job.
        job: String,
    },
    /// Deletes a job's events below a number.
    Compact {
        /// The job.
        job: String,
        /// The first number that stays.
        below: u64,
    },
    /// Deletes a job, its events and its name.
    Delete {
        /// The job.
        job: String,
        /// The name that its client gave it.
        name: Vec<u8>,
    },
}

/// Jobs and their events. Every call may wait for a disk.
pub trait JobStore: Send + Sync {
    /// Applies changes: when it returns, they survive the end of the process and of the power.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; then none of them is applied.
    fn commit(&self, writes: &[Write]) -> Result<(), StoreError>;
    /// A job's record.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn job(&self, job: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// Records of jobs whose name is below `before`, from the highest name down.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn jobs(&self, before: Option<&str>, limit: usize) -> Result<Vec<(String, Vec<u8>)>, StoreError>;
    /// A job's events from a number on.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn events(&self, job: &str, from: u64) -> Result<Vec<(u64, Bytes)>, StoreError>;
    /// The first number of a job that nobody has seen.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn reserved(&self, job: &str) -> Result<u64, StoreError>;
    /// The job that its client gave a name.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn named(&self, name: &[u8]) -> Result<Option<String>, StoreError>;
}

/// Pictures.
#[tonic::async_trait]
pub trait ArtifactStore: Send + Sync {
    /// Writes a file whole, over the one that was there.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn put(&self, job: &str, image_index: u32, file: Bytes) -> Result<(), StoreError>;
    /// A part of a file.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn get(&self, job: &str, image_index: u32, range: Range<u64>) -> Result<Bytes, StoreError>;
    /// Deletes the files of a job; those that are not there are no error.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn delete(&self, job: &str, images: u32) -> Result<(), StoreError>;
}

/// Why a store did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no room.
    #[error("the disk is full: {0}")]
    Full(String),
    /// The disk, or what stands for it, failed.
    #[error("the store failed: {0}")]
    Io(String),
    /// What was read is not what was written.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// Another process has it.
    #[error("the store is in use by another server; end that one, or name another folder with --data-dir")]
    InUse,
}

impl StoreError {
    /// What an operation of the system led to.
    pub fn from_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full(error.to_string())
            }
            _ => Self::Io(error.to_string()),
        }
    }
}
