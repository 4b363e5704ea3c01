//! Storage of jobs, events, pictures and the records of assets: two small traits, each with one implementation.
//!
//! Damage of a file is found here: `seal` puts a checksum in front of each value, `guard` catches the panics of the database,
//! `bounded` keeps it from allocating what a damaged page names, `slots` says whether its last commit can be read, `verify` reads everything once, and `salvage` reads what is left of a database that cannot be opened.
//!
//! A store holds bytes under keys and does not interpret them. [`redb`] keeps jobs, events and records of assets in one file of an embedded
//! database, [`artifacts`] keeps pictures in a folder, in memory or in an S3-compatible store. `writer` is the thread that
//! commits for all jobs.

use std::io;
use std::ops::Range;

use bytes::Bytes;

pub mod artifacts;
mod bounded;
mod corruption;
mod fault;
mod guard;
mod overlay;
pub(crate) mod place;
pub mod redb;
pub(crate) mod salvage;
mod seal;
mod slots;
mod verify;
pub(crate) mod writer;

pub use corruption::Corruption;
pub use fault::StoreFault;
pub use verify::{DamagedValue, ValueOwner};

/// The id of a job and its record, or what is wrong with the record.
pub type StoredRecord = (String, Result<Vec<u8>, StoreError>);
/// The key of an asset's record and the record, or what is wrong with it.
pub type StoredAsset = (Vec<u8>, Result<Vec<u8>, StoreError>);

/// One change. A batch of changes is applied whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Writes a job's record; replaces the one that was there.
    PutJob {
        /// The id of the job.
        job: String,
        /// The encoded record.
        record: Vec<u8>,
    },
    /// Writes an event of a job under its sequence number.
    PutEvent {
        /// The id of the job.
        job: String,
        /// Its sequence number.
        sequence: u64,
        /// The sequence number of the job's stored event before it, so that a missing event is noticed; `None` for the first.
        previous: Option<u64>,
        /// The encoded event.
        event: Bytes,
    },
    /// Reserves all sequence numbers below `below`: readers may have seen them.
    Reserve {
        /// The id of the job.
        job: String,
        /// The first number that no reader can have seen.
        below: u64,
    },
    /// Stores a job under its name key, so that a repeated call finds it.
    PutName {
        /// The key.
        name: Vec<u8>,
        /// The id of the job.
        job: String,
    },
    /// Deletes a job's events below a sequence number.
    Compact {
        /// The id of the job.
        job: String,
        /// The first sequence number that is kept.
        below: u64,
    },
    /// Deletes a job, its events and its name key.
    Delete {
        /// The id of the job.
        job: String,
        /// Its name key; empty if it has none.
        name: Vec<u8>,
    },
    /// Writes the record of an asset; replaces the one that was there.
    PutAsset {
        /// Its key, of [`ASSET_KEY_BYTES`].
        key: Vec<u8>,
        /// The encoded record.
        record: Vec<u8>,
    },
    /// Deletes the record of an asset.
    DeleteAsset {
        /// The key of its record: owner and SHA-256.
        key: Vec<u8>,
    },
}

/// Bytes of the key of an asset's record.
pub const ASSET_KEY_BYTES: usize = 64;

/// Jobs and their events. Every call may block on a disk.
pub trait JobStore: Send + Sync {
    /// Applies changes. When it returns, they survive a crash of the process and a loss of power.
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
    /// Records of jobs whose id is below `before`, from the highest id down: at most `limit`, and no more after about a
    /// mebibyte. Empty: there are no more.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn jobs(&self, before: Option<&str>, limit: usize) -> Result<Vec<StoredRecord>, StoreError>;
    /// A job's events from a sequence number on.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; [`StoreError::Damaged`] also if one between them is missing.
    fn events(&self, job: &str, from: u64) -> Result<Vec<(u64, Bytes)>, StoreError>;
    /// A job's first sequence number that is not reserved.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn reserved(&self, job: &str) -> Result<u64, StoreError>;
    /// The job that was stored under a name key.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn named(&self, name: &[u8]) -> Result<Option<String>, StoreError>;
    /// The records of all assets.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn assets(&self) -> Result<Vec<StoredAsset>, StoreError>;
    /// The signal that the store was found to be damaged. A store that cannot be damaged never sets it.
    fn corruption(&self) -> Corruption {
        Corruption::default()
    }
    /// Closes the store at the end of the process: afterwards every call fails. A store without this loses nothing, but its next
    /// opening may take longer.
    fn close(&self) {}
    /// Where the store is, for messages to operators.
    fn location(&self) -> String {
        "memory".to_owned()
    }
}

/// Pictures.
#[tonic::async_trait]
pub trait ArtifactStore: Send + Sync {
    /// Writes a whole file; replaces the one that was there.
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
    /// Deletes the first `images` files of a job; ignores those that do not exist.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn delete(&self, job: &str, images: u32) -> Result<(), StoreError>;
}

/// The error codes ENFILE and EMFILE, for which the standard library has no kind.
#[cfg(unix)]
const OUT_OF_FILES: [i32; 2] = [23, 24];
#[cfg(not(unix))]
const OUT_OF_FILES: [i32; 0] = [];

/// Why a store failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk is full.
    #[error("the disk is full: {0}")]
    Full(String),
    /// The host provides no more of something else, such as open files.
    #[error("the host is out of resources: {0}")]
    Exhausted(String),
    /// The disk or the object store failed.
    #[error("the store failed: {0}")]
    Io(String),
    /// What was read is not what was written.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The database as a whole is damaged. The server stops.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// A newer version of the server wrote it.
    #[error(
        "a newer version of the server wrote this store (record version {0}); start that version, or use another folder \
         with --data-dir"
    )]
    Newer(u32),
    /// Another process uses it.
    #[error("the store is in use by another server; end that one, or name another folder with --data-dir")]
    InUse,
}

impl StoreError {
    /// Whether the host lacks a resource, so that waiting may help.
    pub fn is_exhausted(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Exhausted(_))
    }

    /// The error with the job whose data is damaged.
    pub(crate) fn of_job(self, job: &str) -> Self {
        match self {
            Self::Damaged(what) => Self::Damaged(format!("job {job}: {what}")),
            other => other,
        }
    }

    /// Classifies an I/O error.
    pub fn from_io(error: &io::Error) -> Self {
        if error.raw_os_error().is_some_and(|code| OUT_OF_FILES.contains(&code)) {
            return Self::Exhausted(error.to_string());
        }
        match error.kind() {
            io::ErrorKind::OutOfMemory => Self::Exhausted(error.to_string()),
            kind if is_disk_full(kind) => Self::Full(error.to_string()),
            _ => Self::Io(error.to_string()),
        }
    }
}

/// Whether an I/O error of this kind says that a file cannot grow: the disk, a quota or the limit of a file's size is reached.
pub(crate) fn is_disk_full(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(kind, StorageFull | QuotaExceeded | FileTooLarge)
}
