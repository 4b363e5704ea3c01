//! Finding the parts of a diffusers folder: `model_index.json`, a directory for each part, its `config.json` and
//! weights.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device};
use serde::Deserialize;
use serde_json::Value;

use super::TensorReader;
use super::config::read_json;
use crate::bounded::{CONFIG_BYTES_MAX, read_bounded};
use crate::error::{ConfigError, LoadError};

/// Names of the single weight file that diffusers and transformers write, in the order of preference.
const SINGLE_FILES: [&str; 2] = ["diffusion_pytorch_model.safetensors", "model.safetensors"];
/// How the name of an index of shards ends.
pub(crate) const SHARD_INDEX: &str = ".safetensors.index.json";

/// A checkpoint folder with a readable `model_index.json`.
#[derive(Debug, Clone)]
pub struct ModelFolder {
    dir: PathBuf,
    index: Value,
}

impl ModelFolder {
    /// Opens a folder.
    ///
    /// # Errors
    /// The folder or its `model_index.json` cannot be read.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, LoadError> {
        let dir = dir.as_ref();
        let metadata = fs::metadata(dir).map_err(|source| LoadError::read(dir, source))?;
        if !metadata.is_dir() {
            return Err(LoadError::layout(dir, "a checkpoint is a folder with a model_index.json, not a file"));
        }
        let path = dir.join("model_index.json");
        if !path.exists() {
            return Err(LoadError::layout(
                dir,
                "there is no model_index.json; name the folder that contains transformer/, text_encoder/, clip_model/ and vae/",
            ));
        }
        let index = read_json(&path)?;
        if !index.is_object() {
            return Err(LoadError::layout(&path, "it must be a JSON object that names the parts"));
        }
        Ok(Self { dir: dir.to_owned(), index })
    }

    /// The folder that has `model_index.json`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The content of `model_index.json`.
    pub fn index(&self) -> &Value {
        &self.index
    }

    /// Whether the folder has a directory for the part `name`.
    pub fn has(&self, name: &str) -> bool {
        self.dir.join(name).is_dir()
    }

    /// A part: its configuration and weight files.
    ///
    /// # Errors
    /// When its directory, `config.json` or weights are missing or malformed.
    pub fn component(&self, name: &str) -> Result<Component, LoadError> {
        if !self.has(name) {
            return Err(LoadError::layout(&self.dir, format!("the part `{name}/` is missing from this checkpoint")));
        }
        Component::open(name, &self.dir.join(name))
    }
}

/// One part of a checkpoint.
#[derive(Debug, Clone)]
pub struct Component {
    name: String,
    dir: PathBuf,
    config: Value,
    weights: Vec<PathBuf>,
}

impl Component {
    /// Reads `config.json` and finds the weight files of the part in `dir`.
    ///
    /// # Errors
    /// When either is missing or malformed.
    pub fn open(name: &str, dir: &Path) -> Result<Self, LoadError> {
        let config = read_json(&dir.join("config.json"))?;
        Ok(Self { name: name.to_owned(), dir: dir.to_owned(), config, weights: weight_files(dir)? })
    }

    /// The part's name, such as `transformer`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The part's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The content of `config.json`.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// Parses `config.json`, adding its path to an error.
    ///
    /// # Errors
    /// The error of `parse`.
    pub fn parse<T>(&self, parse: impl FnOnce(&Value) -> Result<T, ConfigError>) -> Result<T, LoadError> {
        parse(&self.config).map_err(|source| LoadError::Config { path: self.dir.join("config.json"), source })
    }

    /// Opens the weights for reading onto a device in a working type (`F32` or `BF16`).
    ///
    /// # Errors
    /// When a file cannot be read or is damaged.
    pub fn reader(&self, device: &Device, dtype: DType) -> Result<TensorReader, LoadError> {
        TensorReader::open(&self.name, &self.weights, device, dtype)
    }
}

/// The weight files in a directory: the shards that an index names, the one well-known file, or the only safetensors
/// file.
///
/// # Errors
/// There are no weights, or several files without an index.
pub fn weight_files(dir: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let names: BTreeSet<String> = fs::read_dir(dir)
        .map_err(|source| LoadError::read(dir, source))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    match WeightNames::among(&names).map_err(|reason| LoadError::layout(dir, reason))? {
        WeightNames::Shards(index) => shards(dir, &index),
        WeightNames::File(file) => Ok(vec![dir.join(file)]),
    }
}

/// Which of a directory's files have its weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WeightNames {
    /// One file with all tensors.
    File(String),
    /// An index that names the files.
    Shards(String),
}

impl WeightNames {
    /// Chooses among the names of a directory's files: the well-known file, an index, or the only safetensors file.
    ///
    /// # Errors
    /// Why there is no choice, in a sentence without the directory.
    pub(crate) fn among(names: &BTreeSet<String>) -> Result<Self, String> {
        if let Some(single) = SINGLE_FILES.iter().find(|&&name| names.contains(name)) {
            return Ok(Self::File((*single).to_owned()));
        }
        let ending_in = |end: &str| names.iter().filter(|name| name.ends_with(end)).collect::<Vec<&String>>();
        let indexes = ending_in(SHARD_INDEX);
        match indexes[..] {
            [] => {}
            [index] => return Ok(Self::Shards(index.clone())),
            _ => return Err(format!("there are several weight indexes: {indexes:?}; keep one")),
        }
        let files = ending_in(".safetensors");
        match files[..] {
            [file] => Ok(Self::File(file.clone())),
            [] => {
                let other =
                    names.iter().find(|name| [".bin", ".pth", ".pt", ".ckpt"].iter().any(|end| name.ends_with(end)));
                Err(match other {
                    Some(name) => {
                        format!("there is `{name}` but no .safetensors file; convert it to safetensors first")
                    }
                    None => "there are no weights (.safetensors) in this directory".to_owned(),
                })
            }
            _ => Err(format!(
                "there are several .safetensors files and no index: {files:?}; name one `model.safetensors`"
            )),
        }
    }
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

fn shards(dir: &Path, index: &str) -> Result<Vec<PathBuf>, LoadError> {
    let path = dir.join(index);
    let bytes = read_bounded(&path, CONFIG_BYTES_MAX)?;
    let ShardIndex { weight_map } =
        serde_json::from_slice(&bytes).map_err(|source| LoadError::Json { path: path.clone(), source })?;
    let files: BTreeSet<&String> = weight_map.values().collect();
    if files.is_empty() {
        return Err(LoadError::layout(&path, "its weight_map names no file"));
    }
    let mut absent = Vec::new();
    for &file in &files {
        // A shard is in the directory of its index; a path with a directory could name a file outside the checkpoint.
        if Path::new(file).components().count() != 1 || Path::new(file).file_name().is_none() {
            return Err(LoadError::layout(
                &path,
                format!("its weight_map names `{file}`, which is not a plain file name"),
            ));
        }
        if !dir.join(file).is_file() {
            absent.push(file.as_str());
        }
    }
    if !absent.is_empty() {
        return Err(LoadError::layout(
            &path,
            format!("these shards are missing: {}; download them", absent.join(", ")),
        ));
    }
    Ok(files.into_iter().map(|file| dir.join(file)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str, content: &str) {
        fs::write(dir.join(name), content).unwrap();
    }

    fn message(result: Result<Vec<PathBuf>, LoadError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn finds_single_files_shards_and_the_only_file() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        assert!(message(weight_files(dir)).contains("no weights"));
        write(dir, "weights.bin", "");
        assert!(message(weight_files(dir)).contains("convert it"));
        write(dir, "ae.safetensors", "");
        assert_eq!(weight_files(dir).unwrap(), [dir.join("ae.safetensors")]);
        write(dir, "other.safetensors", "");
        assert!(message(weight_files(dir)).contains("several"));
        write(dir, "model.safetensors.index.json", r#"{"weight_map":{"a":"ae.safetensors","b":"other.safetensors"}}"#);
        assert_eq!(weight_files(dir).unwrap(), [dir.join("ae.safetensors"), dir.join("other.safetensors")]);
        write(dir, "model.safetensors", "");
        assert_eq!(weight_files(dir).unwrap(), [dir.join("model.safetensors")]);
    }

    #[test]
    fn an_index_may_only_name_existing_files_of_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let index = "model.safetensors.index.json";
        for (content, complaint) in [
            (r#"{"weight_map":{"a":"../x.safetensors"}}"#, "plain file name"),
            (r#"{"weight_map":{"a":"/etc/passwd"}}"#, "plain file name"),
            (r#"{"weight_map":{"a":""}}"#, "plain file name"),
            (r#"{"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}"#, "1.safetensors, 2.safetensors"),
            (r#"{"weight_map":{}}"#, "no file"),
            (r#"{"weight_map":[]}"#, "not valid JSON"),
            ("{", "not valid JSON"),
        ] {
            write(dir, index, content);
            let message = message(weight_files(dir));
            assert!(message.contains(complaint), "{content}: {message}");
        }
    }

    #[test]
    fn a_folder_needs_a_model_index() {
        let dir = tempfile::tempdir().unwrap();
        assert!(ModelFolder::open(dir.path()).unwrap_err().to_string().contains("model_index.json"));
        assert!(matches!(ModelFolder::open(dir.path().join("gone")), Err(LoadError::Read { .. })));
        write(dir.path(), "model_index.json", "[]");
        assert!(ModelFolder::open(dir.path()).unwrap_err().to_string().contains("object"));
        assert!(ModelFolder::open(dir.path().join("model_index.json")).unwrap_err().to_string().contains("folder"));
        write(dir.path(), "model_index.json", "{}");
        let folder = ModelFolder::open(dir.path()).unwrap();
        assert!(folder.component("vae").unwrap_err().to_string().contains("`vae/`"));
    }
}
