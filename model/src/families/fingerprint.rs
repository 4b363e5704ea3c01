//! The fingerprint, which distinguishes checkpoints of one geometry.

use std::io::{self, Read, Write, copy};
use std::path::Path;

use sakuga_model_core::open_regular_file;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::checkpoint::{ModelFolder, weight_files};
use crate::digest::hex;
use crate::error::LoadError;

/// Bytes at the beginning of each weight file that are hashed: its header and the first weights. Two trainings of one
/// geometry have equal headers; hashing every byte of a checkpoint would take longer than loading it.
const FINGERPRINT_BYTES: u64 = 16 << 20;

/// SHA-256 over each part's configuration, and each weight file's name, length and first bytes.
pub(crate) fn of_folder(folder: &ModelFolder, parts: &[&str]) -> Result<String, LoadError> {
    let mut hash = Sha256::new();
    for part in parts {
        let component = folder.component(part)?;
        hash_json(&mut hash, component.config());
        for path in weight_files(component.dir())? {
            hash_file(&mut hash, &path)?;
        }
    }
    Ok(hex(hash))
}

/// SHA-256 over the names, lengths and first bytes of files.
pub(crate) fn of_files<P: AsRef<Path>>(paths: &[P]) -> Result<String, LoadError> {
    let mut hash = Sha256::new();
    for path in paths {
        hash_file(&mut hash, path.as_ref())?;
    }
    Ok(hex(hash))
}

fn hash_file(hash: &mut Sha256, path: &Path) -> Result<(), LoadError> {
    let fail = |source| LoadError::read(path, source);
    let file = open_regular_file(path).map_err(fail)?;
    let length = file.metadata().map_err(fail)?.len();
    hash.update(path.file_name().unwrap_or_default().as_encoded_bytes());
    hash.update(length.to_le_bytes());
    copy(&mut file.take(FINGERPRINT_BYTES), &mut HashWriter(hash)).map_err(fail)?;
    Ok(())
}

/// Objects are hashed with sorted keys, as `serde_json` keeps them.
fn hash_json(hash: &mut Sha256, value: &Value) {
    hash.update(value.to_string());
}

struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
