//! Maintenance of the data folder of a server that is stopped: `sakuga-server store check|repair|export|import`.
//!
//! `check` lists what is damaged and changes nothing. `repair` makes a new database of every job and every record of an
//! asset that can be read, and keeps the old file. `export` writes jobs, events, pictures and assets into one `archive`,
//! and `import` adds those of such an archive to a folder; it never replaces anything.

pub(crate) mod archive;
pub(crate) mod check;
pub mod command;
pub(crate) mod export;
pub(crate) mod folder;
pub(crate) mod import;
pub(crate) mod repair;

use std::io;
use std::path::PathBuf;

use crate::store::StoreError;

/// Why the work could not be done.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// The data folder is missing, or its database is in use or cannot be read.
    #[error("{}: {error}", .path.display())]
    Store {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        error: StoreError,
    },
    /// A file cannot be read or written.
    #[error("{}: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file that is to be written is there already.
    #[error("{} is there already and is not replaced; name a new file with --out, or move that one away", .0.display())]
    OutExists(PathBuf),
    /// The file is not such an archive, or not a whole one.
    #[error("the archive cannot be used: {0}")]
    Archive(String),
    /// What was imported until an error came.
    #[error("{error}; before that, {}", .done.trim_end())]
    Partly {
        /// What was done, in words.
        done: String,
        /// Why it was not all.
        error: Box<MaintenanceError>,
    },
}
