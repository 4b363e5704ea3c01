//! The names by which adapters of this family call the modules of each part.

use crate::checkpoint::TensorReader;
use crate::checkpoint::adapters::LoraSet;
use crate::error::LoadError;
use crate::networks::unet2d::{Names, UnetConfig};

/// Merges adapters into a part whose tensors have their final names: the U-Net of a configuration, or a text encoder.
///
/// Modules of the U-Net are also known by LDM's names, those of text encoders by `text_model.` before ours.
///
/// # Errors
/// Lists every key of an adapter that names no module of this part.
pub fn merge(weights: &TensorReader, adapters: LoraSet, unet: Option<&UnetConfig>) -> Result<(), LoadError> {
    match unet {
        Some(config) => {
            let names = Names::new(config);
            weights.merge_named(adapters, &|path| vec![names.ldm(path).into()])
        }
        None => weights.merge_named(adapters, &|path| vec![format!("text_model.{path}").into()]),
    }
}
