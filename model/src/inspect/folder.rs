//! Describes a folder: a model, an adapter in PEFT's layout, or one part of a model.

use std::path::Path;

use super::{Inspection, Part, file, precisions};
use crate::checkpoint::adapters::one_line;
use crate::checkpoint::{ModelFolder, SafetensorsFile, read_json, weight_files};
use crate::error::LoadError;
use crate::families::{self, Family};

pub(super) fn inspect(path: &Path) -> Result<Inspection, LoadError> {
    if path.join("adapter_config.json").is_file() {
        let weights = SafetensorsFile::open(&path.join("adapter_model.safetensors"))?;
        let mut inspection = file::inspect(path, &weights)?;
        inspection.kind = format!("{}, as PEFT writes it", inspection.kind);
        return Ok(inspection);
    }
    if !path.join("model_index.json").is_file() {
        let inspection = Inspection::new(path, "a folder without `model_index.json`");
        let is_part = path.join("config.json").is_file() && weight_files(path).is_ok();
        let advice = if is_part {
            "it may be one part of a model; name the folder that contains it"
        } else {
            "it is not a model"
        };
        return Ok(inspection.refuse(advice));
    }
    let folder = ModelFolder::open(path)?;
    let family = match families::of_index(path, folder.index()) {
        Ok(family) => family,
        Err(error) => {
            let mut inspection = Inspection::new(path, "a model of another kind");
            inspection.problems.push(one_line(&error.to_string()));
            return Ok(inspection.refuse("this program does not run models of this kind"));
        }
    };
    let mut inspection = Inspection::new(path, format!("a {family} model, as a folder"));
    inspection.family = Some(family.name());
    for name in families::part_names(family) {
        if let Some(part) = part(&folder, name) {
            inspection.parts.push(part);
        }
    }
    match family {
        // A flow matching network: its loader reads no scheduler.
        Family::NewBie => inspection.fact("prediction", "velocity"),
        Family::StableDiffusionXl | Family::StableDiffusionXlRefiner => scheduler_facts(path, &mut inspection),
    }
    Ok(inspection.loaded())
}

/// Adds the facts of a scheduler's configuration.
fn scheduler_facts(path: &Path, inspection: &mut Inspection) {
    let Ok(scheduler) = read_json(&path.join("scheduler/scheduler_config.json")) else { return };
    inspection.fact("prediction", one_line(scheduler["prediction_type"].as_str().unwrap_or("epsilon")));
    if scheduler["rescale_betas_zero_snr"].as_bool() == Some(true) {
        inspection.fact("noise", "zero terminal SNR");
    }
}

/// A part and the types of its values; `None` if its files cannot be read: the description reports why.
fn part(folder: &ModelFolder, name: &str) -> Option<Part> {
    let mut found: Vec<super::Precision> = Vec::new();
    for path in weight_files(&folder.dir().join(name)).ok()? {
        for precision in precisions(&SafetensorsFile::open(&path).ok()?, |_| true) {
            match found.iter_mut().find(|known| known.dtype == precision.dtype) {
                Some(known) => {
                    known.tensors += precision.tensors;
                    known.values += precision.values;
                }
                None => found.push(precision),
            }
        }
    }
    Some(Part { name: name.to_owned(), precisions: found })
}
