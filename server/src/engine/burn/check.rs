//! Checks the files of a model as a start does. No weights are read, and no device is opened.

use sakuga_model::checkpoint::adapters::AdapterContent;
use sakuga_model::error::LoadError;
use sakuga_model::families;
use sakuga_model::open::{ModelFiles, OpenError};
use sakuga_model_core::{DeviceChoice, ModelOptions};

use super::with_flags;

/// The problems of the files that these options name, each with the flag that names the file.
///
/// The embedded model has no files before the first start, so it is not checked whether an adapter fits it.
pub(crate) fn problems(options: &ModelOptions) -> Vec<String> {
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
    let mut problems: Vec<String> = model.chain(refiner).chain(adapters).collect();
    if problems.is_empty()
        && let Some(model) = &options.model
        && let Err(error) = describe(options)
    {
        problems.push(format!("--model {}: {error}", model.display()));
    }
    problems
}

/// Reads configurations, headers and tokenizers together: finds parts that are missing or do not fit each other.
fn describe(options: &ModelOptions) -> Result<(), String> {
    // Whether the device can be used is found by the start: the check may run on another machine, or while a server has it.
    let on_cpu =
        ModelOptions { device: DeviceChoice::Cpu, precision: None, offload_text_encoder: false, ..options.clone() };
    let described = ModelFiles::new(on_cpu).describe();
    described.map(drop).map_err(|error| with_flags(error, options).to_string())
}

fn with_remedy(error: &LoadError) -> String {
    match error {
        LoadError::Read { .. } => format!("{error}; name a file or folder that can be read"),
        _ => error.to_string(),
    }
}
