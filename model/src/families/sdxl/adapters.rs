//! Adapters of this family: their names for the modules of each part, and whether one fits.
//!
//! Modules of the U-Net are also known by LDM's names, those of text encoders by `text_model.` before ours.

use std::path::Path;

use sakuga_model_core::{AdapterDescription, AdapterInspector, EngineError};

use crate::checkpoint::TensorReader;
use crate::checkpoint::adapters::{AdaptableTensors, AdaptedPart, Alias, LoraSet, PartTensors, describe};
use crate::error::LoadError;
use crate::networks::unet2d::{Names, UnetConfig};

/// The parts that adapters may change, in the order of [`AdaptableParts`].
pub(super) const PARTS: [AdaptedPart; 3] = [AdaptedPart::Denoiser, AdaptedPart::TextEncoder, AdaptedPart::TextEncoder2];

/// Merges adapters into a part whose tensors have their final names: the U-Net of a configuration, or a text encoder.
///
/// # Errors
/// Lists every key of an adapter that names no module of this part.
pub fn merge(weights: &TensorReader, adapters: LoraSet, unet: Option<&UnetConfig>) -> Result<(), LoadError> {
    weights.merge_into(adapters, &adaptable(weights, unet))
}

/// The tensors of a part that adapters may change: of the U-Net of a configuration, or of a text encoder. Its tensors have
/// their final names.
pub(super) fn adaptable(weights: &TensorReader, unet: Option<&UnetConfig>) -> AdaptableTensors {
    match unet {
        Some(config) => {
            let names = Names::new(config);
            weights.adaptable(&|path| vec![Alias::from(names.ldm(path))])
        }
        None => weights.adaptable(&|path| vec![Alias::from(format!("text_model.{path}"))]),
    }
}

/// The tensors that adapters may change.
#[derive(Debug)]
pub(super) struct AdaptableParts {
    /// The tensors of each part: the U-Net, CLIP-L, CLIP-G.
    pub(super) tensors: [AdaptableTensors; 3],
    /// Bytes of device memory for each value that is changed.
    pub(super) value_bytes: u64,
}

impl AdapterInspector for AdaptableParts {
    fn inspect(&self, path: &Path) -> Result<AdapterDescription, EngineError> {
        let value_bytes = self.value_bytes;
        let part = |(part, tensors)| PartTensors { part, tensors: Ok(tensors), value_bytes };
        let parts: Vec<PartTensors<'_>> = PARTS.into_iter().zip(&self.tensors).map(part).collect();
        describe(path, &parts).map_err(|error| EngineError::Model(error.to_string()))
    }
}
