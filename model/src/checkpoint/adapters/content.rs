//! The files of an adapter: its weights and, of a PEFT folder, its configuration.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use sakuga_model_core::open_regular_file;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::bounded::{CONFIG_BYTES_MAX, read_bounded};
use crate::checkpoint::SafetensorsFile;
use crate::digest::{hash_file, hex};
use crate::error::LoadError;

/// The weights of an adapter, and the parsed `adapter_config.json` if there is one.
#[derive(Debug)]
pub struct AdapterContent {
    path: PathBuf,
    file: SafetensorsFile,
    config: Option<Value>,
}

struct Files {
    weights: PathBuf,
    config: Option<PathBuf>,
}

impl Files {
    /// The files of the adapter at `path`. A configuration applies only to the file `adapter_model.safetensors` next to it.
    fn of(path: &Path) -> Result<Self, LoadError> {
        let metadata = std::fs::metadata(path).map_err(|source| LoadError::read(path, source))?;
        let weights = if metadata.is_dir() { path.join("adapter_model.safetensors") } else { path.to_owned() };
        let config = weights.with_file_name("adapter_config.json");
        let applies = weights.file_name().is_some_and(|name| name == "adapter_model.safetensors") && config.is_file();
        Ok(Self { weights, config: applies.then_some(config) })
    }

    /// The bytes of the configuration.
    fn config(&self) -> Result<Option<(&Path, Vec<u8>)>, LoadError> {
        let read = |path: &'_ PathBuf| read_bounded(path, CONFIG_BYTES_MAX);
        self.config.as_ref().map(|path| Ok((path.as_path(), read(path)?))).transpose()
    }
}

impl AdapterContent {
    /// Maps the files of the adapter at `path`, a file or a folder.
    ///
    /// # Errors
    /// A file cannot be read, is truncated, or is malformed.
    pub fn map(path: &Path) -> Result<Self, LoadError> {
        let files = Files::of(path)?;
        let config = files.config()?.map(|(path, bytes)| parse(path, &bytes)).transpose()?;
        Ok(Self { path: path.to_owned(), file: SafetensorsFile::open(&files.weights)?, config })
    }

    /// Reads the files into memory, where later changes on disk do not reach them.
    ///
    /// # Errors
    /// As [`map`](Self::map), or their [`digest`](Self::digest) is not `sha256`.
    pub fn read(path: &Path, sha256: &str) -> Result<Self, LoadError> {
        let files = Files::of(path)?;
        let failed = |source| LoadError::read(&files.weights, source);
        let mut bytes = Vec::new();
        open_regular_file(&files.weights).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(failed)?;
        let mut hash = Sha256::new();
        hash.update(&bytes);
        let config = files.config()?;
        if let Some((_, bytes)) = &config {
            hash.update(bytes);
        }
        if hex(hash) != sha256 {
            let problem = format!("its content is no longer the one with the SHA-256 {sha256}; send the request again");
            return Err(LoadError::Lora { path: path.to_owned(), problems: vec![problem] });
        }
        let config = config.map(|(path, bytes)| parse(path, &bytes)).transpose()?;
        Ok(Self { path: path.to_owned(), file: SafetensorsFile::from_bytes(&files.weights, bytes)?, config })
    }

    /// The SHA-256 of the adapter at `path` in lower-case hexadecimal digits: of the file, or of a folder's weights followed by
    /// its configuration.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn digest(path: &Path) -> Result<String, LoadError> {
        let files = Files::of(path)?;
        let mut hash = Sha256::new();
        hash_file(&mut hash, &files.weights).map_err(|source| LoadError::read(&files.weights, source))?;
        if let Some((_, bytes)) = files.config()? {
            hash.update(bytes);
        }
        Ok(hex(hash))
    }

    /// The file or folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file with its weights.
    pub fn file(&self) -> &SafetensorsFile {
        &self.file
    }

    /// The contents of `adapter_config.json`; `None` for a single file.
    pub(super) fn config(&self) -> Option<&Value> {
        self.config.as_ref()
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Value, LoadError> {
    serde_json::from_slice(bytes).map_err(|source| LoadError::Json { path: path.to_owned(), source })
}
