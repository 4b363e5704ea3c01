//! [`Unfinished`]: a file that is uploaded in part.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::examine::HEAD_BYTES;
use super::files::AssetFiles;
use super::id::AssetId;
use crate::store::StoreError;

/// A file of which some bytes are there.
pub(super) struct Unfinished {
    pub(super) owner: Arc<str>,
    pub(super) id: AssetId,
    /// Bytes of the whole file.
    pub(super) size: u64,
    /// Cancelled when a newer call takes over.
    pub(super) newest: Mutex<CancellationToken>,
    /// When a call used it last.
    pub(super) seen: Mutex<Instant>,
    /// Locked by the call that writes.
    pub(super) progress: Arc<tokio::sync::Mutex<Progress>>,
}

/// The part of a file that has arrived.
#[derive(Default)]
pub(super) struct Progress {
    /// Created with the first bytes.
    pub(super) file: Option<(File, PathBuf)>,
    pub(super) hash: Sha256,
    pub(super) received: u64,
    /// The first bytes, at most [`HEAD_BYTES`].
    pub(super) head: Vec<u8>,
    /// Whether it is not in the list of uploads any more: it became an asset or was discarded.
    pub(super) is_over: bool,
}

impl Unfinished {
    pub(super) fn new(owner: Arc<str>, id: AssetId, size: u64) -> Self {
        let seen = Mutex::new(Instant::now());
        Self { owner, id, size, newest: Mutex::default(), seen, progress: Arc::default() }
    }
}

impl Progress {
    /// Appends bytes. After an error the file has as many as before.
    pub(super) fn append(&mut self, files: &AssetFiles, data: &[u8]) -> Result<(), StoreError> {
        if self.file.is_none() {
            self.file = Some(files.begin()?);
        }
        let Some((file, _)) = &mut self.file else { return Ok(()) };
        let written = file.seek(SeekFrom::Start(self.received)).and_then(|_| file.write_all(data));
        written.map_err(|error| StoreError::from_io(&error))?;
        self.hash.update(data);
        let head = HEAD_BYTES.saturating_sub(self.head.len()).min(data.len());
        self.head.extend_from_slice(&data[..head]);
        self.received += data.len() as u64;
        Ok(())
    }

    /// Removes the file, if it has not become an asset.
    pub(super) fn discard(&mut self) {
        self.is_over = true;
        if let Some((_, path)) = self.file.take()
            && let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(file = %path.display(), %error, "an unfinished upload stays until the next start");
        }
    }
}
