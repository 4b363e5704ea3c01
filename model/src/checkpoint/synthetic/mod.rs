//! Writes tensors of random numbers, from which each family makes checkpoints for demonstrations and tests.
//!
//! The numbers are a function of seed, tensor name and element (`sampler::philox`) and are written in chunks, so a checkpoint may
//! be larger than the memory.

mod file;
mod init;
mod tensors;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub(crate) use init::Init;
pub(crate) use tensors::{Specs, TensorSpec};

/// Why a checkpoint could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SyntheticError {
    /// A file or folder could not be written.
    #[error("cannot write {}: {source}; check the free space and the permissions", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The sizes contradict each other.
    #[error("the preset `{preset}` is not a network: {reason}")]
    Preset {
        /// Its name.
        preset: String,
        /// The contradiction.
        reason: String,
    },
}

pub(crate) fn write_json(path: &Path, value: &Value) -> Result<(), SyntheticError> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(at(dir))?;
    }
    fs::write(path, value.to_string()).map_err(at(path))
}

/// Writes tensors as a safetensors file without metadata.
///
/// # Errors
///
/// The file cannot be written.
pub(crate) fn write_tensors(path: &Path, tensors: &[TensorSpec], seed: u64) -> Result<(), SyntheticError> {
    write_file(path, tensors, seed, &[])
}

/// [`write_tensors`] with metadata.
///
/// # Errors
///
/// The file cannot be written.
pub(crate) fn write_file(
    path: &Path,
    tensors: &[TensorSpec],
    seed: u64,
    metadata: &[(&str, &str)],
) -> Result<(), SyntheticError> {
    file::write(path, tensors, seed, metadata).map_err(at(path))
}

/// The error of writing this file or folder.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> SyntheticError + '_ {
    move |source| SyntheticError::Write { path: path.to_owned(), source }
}
