//! Checks the files of a model as a start does. No weights are read, and no GPU is opened.

use std::path::Path;

use sakuga_model::checkpoint::adapters::AdapterContent;
use sakuga_model::error::LoadError;
use sakuga_model::families;
use sakuga_model::open::{ModelFiles, OpenError};
use sakuga_model_core::{ModelDescription, ModelOptions};

use super::{no_adapter, with_flags};

/// What was found of a model.
pub(crate) struct Checked {
    /// `None`: the files of the embedded model could not be written to be read.
    pub description: Option<ModelDescription>,
    /// Whether its files are there. The first start writes those of the embedded model.
    pub is_written: bool,
}

/// What the model of these options is.
///
/// # Errors
///
/// The problems of the files that the options name, each with the flag that names the file, and of options that exclude each
/// other.
pub(crate) fn check(options: &ModelOptions) -> Result<Checked, Vec<String>> {
    let model = options.model.iter().filter_map(|model| {
        let error = families::recognise(model).err()?;
        Some(format!("--model: {}", with_flags(OpenError::Load(error), options)))
    });
    let refiner = options.refiner.iter().filter_map(|refiner| {
        let error = families::recognise(refiner).err()?;
        Some(format!("--refiner: {}", with_remedy(&error)))
    });
    let adapters = options.loras.iter().filter_map(|adapter| {
        let error = AdapterContent::map(&adapter.path).err()?;
        Some(no_adapter(&error, options).unwrap_or_else(|| format!("--lora: {}", with_remedy(&error))))
    });
    let problems: Vec<String> = model.chain(refiner).chain(adapters).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    if options.model.is_none() && options.cache_dir.is_none() {
        return Err(vec![with_flags(OpenError::NoCache, options).to_string()]);
    }
    let files = ModelFiles::new(options.clone());
    let is_written = files.are_written();
    // The cache is written by the start alone.
    let cache = if is_written { None } else { tempfile::tempdir().ok() };
    let files = match &cache {
        Some(cache) => ModelFiles::new(ModelOptions { cache_dir: Some(cache.path().to_owned()), ..options.clone() }),
        None => files,
    };
    if !files.are_written() && cache.is_none() {
        return Ok(Checked { description: None, is_written });
    }
    // Reads configurations, headers and tokenizers together: finds parts that are missing or do not fit each other.
    let model = options.model.as_deref().unwrap_or(Path::new(options.embedded.name())).display();
    let description =
        files.check().map_err(|error| vec![format!("--model {model}: {}", with_flags(error, options))])?;
    Ok(Checked { description: Some(description), is_written })
}

fn with_remedy(error: &LoadError) -> String {
    match error {
        LoadError::Read { .. } => format!("{error}; name a file or folder that can be read"),
        _ => error.to_string(),
    }
}
