//! [`AssetReader`]: an asset piece by piece.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::blocking::blocking;
use super::error::AssetError;
use super::files::AssetFiles;
use super::id::AssetId;
use crate::store::StoreError;

/// An asset, or a part of it, that is read piece by piece. A whole asset is compared with its SHA-256 before its last
/// piece is returned. A part cannot be checked here; a client that has all parts checks them together.
#[derive(Debug)]
pub(crate) struct AssetReader {
    id: AssetId,
    file: File,
    /// What is left to read.
    left: Range<u64>,
    /// Hash of what was read; `None` for a part.
    hash: Option<Sha256>,
}

impl AssetReader {
    /// Opens a part of an asset of `size` bytes.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; [`StoreError::Damaged`] if its file is missing.
    pub(super) fn open(files: &AssetFiles, id: AssetId, size: u64, part: Range<u64>) -> Result<Self, StoreError> {
        let mut file = files.open(id)?;
        file.seek(SeekFrom::Start(part.start)).map_err(|error| StoreError::from_io(&error))?;
        let hash = (part == (0..size)).then(Sha256::new);
        Ok(Self { id, file, left: part, hash })
    }

    /// Where the next piece begins in the file.
    pub(crate) fn offset(&self) -> u64 {
        self.left.start
    }

    /// Whether everything was read.
    pub(crate) fn is_finished(&self) -> bool {
        self.left.is_empty()
    }

    /// The next piece, of at most `limit` bytes, and the reader for the rest.
    ///
    /// # Errors
    ///
    /// [`AssetError::Store`] if the file is too short or is not what was uploaded.
    pub(crate) async fn next(mut self, limit: usize) -> Result<(Bytes, Self), AssetError> {
        blocking(move || self.read(limit).map(|piece| (piece, self))).await
    }

    /// The next piece, of at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; [`StoreError::Damaged`] if the file is too short or is not what was uploaded.
    pub(super) fn read(&mut self, limit: usize) -> Result<Bytes, StoreError> {
        let damaged = |what: &str| StoreError::Damaged(format!("the file of asset {} {what}", self.id));
        let length = (self.left.end - self.left.start).min(limit as u64);
        let mut piece = Vec::new();
        let read = (&mut self.file).take(length).read_to_end(&mut piece);
        read.map_err(|error| StoreError::from_io(&error))?;
        if piece.len() as u64 != length {
            return Err(damaged("is shorter than what was uploaded"));
        }
        self.left.start += length;
        if let Some(hash) = &mut self.hash {
            hash.update(&piece);
            if self.left.is_empty() && AssetId::of(hash.clone()) != self.id {
                return Err(damaged("is not what was uploaded"));
            }
        }
        Ok(piece.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::place::DataPlace;

    #[test]
    fn a_part_is_read_and_a_whole_file_is_compared() {
        let files = AssetFiles::of(&DataPlace::Memory);
        let id = AssetId::of_bytes(b"0123456789");
        let read = |size, part| AssetReader::open(&files, id, size, part)?.read(usize::MAX);
        assert!(matches!(read(10, 0..10), Err(StoreError::Damaged(_))), "it is missing");
        let path = files.write_unfinished(b"0123456789").expect("room");
        files.keep(&path, id).expect("room");
        assert_eq!(read(10, 2..5), Ok(Bytes::from_static(b"234")));
        assert_eq!(read(10, 0..10), Ok(Bytes::from_static(b"0123456789")));
        assert!(matches!(read(11, 9..11), Err(StoreError::Damaged(_))), "it is shorter");
        std::fs::write(files.path(id).expect("a folder"), "0123456780").expect("written");
        assert!(matches!(read(10, 0..10), Err(StoreError::Damaged(_))), "it has another content");
    }
}
