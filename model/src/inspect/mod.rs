//! Describes a file or a folder from headers alone: family, prediction, parts, precisions, missing and unused tensors,
//! and what to do with it.
//!
//! Families are recognised by [`families`](crate::families), adapters by [`checkpoint::adapters`](crate::checkpoint::adapters),
//! and what a model lacks by the loader's own description, so that both give the same answer. `kinds` names
//! the files that are neither.

mod file;
mod folder;
mod kinds;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sakuga_model_core::{DeviceChoice, ModelOptions, open_regular_file};
use serde::Serialize;

use crate::checkpoint::adapters::one_line;
use crate::checkpoint::{SafetensorsFile, other_format};
use crate::error::LoadError;
use crate::open::ModelFiles;

/// The description of a file or a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The file or folder.
    pub path: PathBuf,
    /// Its kind, in a few words.
    pub kind: String,
    /// The family of a model; `None`: not a model of a known family.
    pub family: Option<&'static str>,
    /// Further facts, by name.
    pub facts: Vec<Fact>,
    /// Parts that are there, each with the types of its values.
    pub parts: Vec<Part>,
    /// Parts, files and tensors that are missing, and everything else that keeps the loader from using it.
    pub problems: Vec<String>,
    /// Tensors that are there and are not used.
    pub unused: Vec<String>,
    /// What it can be used for.
    pub usage: Usage,
    /// What to do with it, in a sentence.
    pub advice: String,
}

/// A fact about a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// The name of the fact, such as `rank`.
    pub name: &'static str,
    /// One line of text without control characters.
    pub value: String,
}

/// A part of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Its name, such as `vae`.
    pub name: String,
    /// The types of its values.
    pub precisions: Vec<Precision>,
}

/// Tensors of one type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Precision {
    /// The type, such as `F16`.
    pub dtype: String,
    /// How many tensors have it.
    pub tensors: usize,
    /// How many values they have together.
    pub values: u64,
}

/// What a file or folder can be used for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Usage {
    /// It is loaded as a model.
    Model,
    /// It is applied to a model.
    Adapter,
    /// The server has no use for it as it is.
    #[default]
    Refused,
}

impl Inspection {
    fn new(path: &Path, kind: impl Into<String>) -> Self {
        Self { path: path.to_owned(), kind: kind.into(), ..Self::default() }
    }

    fn fact(&mut self, name: &'static str, value: impl Into<String>) {
        self.facts.push(Fact { name, value: value.into() });
    }

    fn refuse(mut self, advice: impl Into<String>) -> Self {
        (self.usage, self.advice) = (Usage::Refused, advice.into());
        self
    }

    /// A model, if its description from headers finds no fault.
    fn loaded(mut self) -> Self {
        let options =
            ModelOptions { device: DeviceChoice::Cpu, model: Some(self.path.clone()), ..ModelOptions::default() };
        match ModelFiles::new(options).describe() {
            Ok(description) => {
                let model = &description.info.model;
                self.fact("name", one_line(&model.name));
                self.fact("default size", format!("{0} x {0}", model.default_size_px));
                self.usage = Usage::Model;
                self.advice = format!("serve it with `sakuga-server --model {}`", self.path.display());
                self
            }
            Err(error) => {
                self.problems.extend(error.to_string().lines().map(|line| one_line(line.trim())));
                self.refuse("it cannot be loaded until what is listed is corrected")
            }
        }
    }
}

/// Inspects a file or a folder.
///
/// # Errors
///
/// It cannot be read, or is a damaged safetensors file.
pub fn inspect(path: &Path) -> Result<Inspection, LoadError> {
    if path.is_dir() {
        return folder::inspect(path);
    }
    let mut begin = Vec::new();
    open_regular_file(path)
        .and_then(|file| file.take(16).read_to_end(&mut begin))
        .map_err(|error| LoadError::read(path, error))?;
    if let Some((kind, advice)) = other_format(&begin, path) {
        return Ok(Inspection::new(path, kind).refuse(advice));
    }
    file::inspect(path, &SafetensorsFile::open(path)?)
}

/// The types of the tensors whose names `is_part` takes.
fn precisions(file: &SafetensorsFile, is_part: impl Fn(&str) -> bool) -> Vec<Precision> {
    let mut found: BTreeMap<String, (usize, u64)> = BTreeMap::new();
    for (_, entry) in file.entries().iter().filter(|(name, _)| is_part(name)) {
        let (tensors, values) = found.entry(entry.dtype.to_string()).or_default();
        *tensors += 1;
        *values += entry.shape.iter().map(|length| *length as u64).product::<u64>();
    }
    found.into_iter().map(|(dtype, (tensors, values))| Precision { dtype, tensors, values }).collect()
}

#[cfg(test)]
mod tests;
