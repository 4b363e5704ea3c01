//! Checks the files of a model as a start does. No weights are read, and no device is opened.

use std::path::Path;

use sakuga_model::checkpoint::adapters::AdapterContent;
use sakuga_model::error::LoadError;
use sakuga_model::families;
use sakuga_model::open::{ModelFiles, OpenError};
use sakuga_model_core::{DeviceChoice, ModelDescription, ModelOptions};

use super::with_flags;

/// What the model of these options is; `None` if the first start has yet to write the files of the embedded model.
///
/// # Errors
///
/// The problems of the files that the options name, each with the flag that names the file.
pub(crate) fn check(options: &ModelOptions) -> Result<Option<ModelDescription>, Vec<String>> {
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
        Some(format!("--lora: {}", with_remedy(&error)))
    });
    let problems: Vec<String> = model.chain(refiner).chain(adapters).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    // Whether the device can be used is found by the start: the check may run on another machine, or while a server has it.
    let on_cpu =
        ModelOptions { device: DeviceChoice::Cpu, precision: None, offload_text_encoder: false, ..options.clone() };
    let files = ModelFiles::new(on_cpu);
    if !files.are_written() {
        return Ok(None);
    }
    // Reads configurations, headers and tokenizers together: finds parts that are missing or do not fit each other.
    let model = options.model.as_deref().unwrap_or(Path::new("embedded")).display();
    files.describe().map(Some).map_err(|error| vec![format!("--model {model}: {}", with_flags(error, options))])
}

fn with_remedy(error: &LoadError) -> String {
    match error {
        LoadError::Read { .. } => format!("{error}; name a file or folder that can be read"),
        _ => error.to_string(),
    }
}
