//! Describes an adapter file without a model to apply it to.

use std::path::Path;
use std::sync::Arc;

use super::content::AdapterContent;
use super::describe::{base_model, trigger_words};
use super::file::AdapterFile;
use super::keys::AdaptedPart;
use super::{Selection, layouts};
use crate::error::LoadError;

/// The contents of an adapter file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterOutline {
    /// `LoRA`, `LoHa`, `LoKr` or `DoRA`.
    pub algorithm: &'static str,
    /// The largest rank of its modules; 0: none has a rank.
    pub rank: usize,
    /// Modules of the denoiser, of the first text encoder and of the second one.
    pub modules: [usize; 3],
    /// The layout that its names are like. Empty: no known one.
    pub layout: &'static str,
    /// The base model that its metadata name. Empty: they name none.
    pub base_model: String,
    /// The words that its metadata name as triggers, or the tags that they count most often.
    pub trigger_words: Vec<String>,
    /// What cannot be read of it: keys of an unknown kind, and unusable scales.
    pub unknown: Vec<String>,
}

/// Outlines the adapter at `path`, a file or a folder; `None` if no tensor of it changes a module.
///
/// # Errors
/// The file cannot be read, is truncated, or is malformed.
pub fn outline(path: &Path) -> Result<Option<AdapterOutline>, LoadError> {
    let content = Arc::new(AdapterContent::map(path)?);
    let parts = [AdaptedPart::Denoiser, AdaptedPart::TextEncoder, AdaptedPart::TextEncoder2]
        .map(|part| AdapterFile::parse(content.clone(), 1.0, Selection::one_of(part)));
    let modules = [0, 1, 2].map(|part: usize| parts[part].0.modules());
    let Some(first) = modules.iter().position(|count| *count > 0) else { return Ok(None) };
    let file = content.file();
    Ok(Some(AdapterOutline {
        algorithm: parts[first].0.algorithm(),
        rank: parts.iter().map(|(file, _)| file.rank()).max().unwrap_or(0),
        modules,
        layout: layouts::nearest(file.entries().keys().map(String::as_str)),
        base_model: base_model(file.metadata()),
        trigger_words: trigger_words(file.metadata()),
        unknown: parts.into_iter().flat_map(|(_, problems)| problems).collect(),
    }))
}
