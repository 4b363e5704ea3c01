//! Adapters of this family: the names by which they call the modules of each part, whether one fits, and those of the current
//! request.
//!
//! Modules of the U-Net are also known by LDM's names, those of text encoders by `text_model.` before ours.

use std::path::Path;

use sakuga_model_core::{AdapterChoice, AdapterDescription, AdapterInspector, EngineError};

use super::networks::Networks;
use crate::checkpoint::TensorReader;
use crate::checkpoint::adapters::{AdaptableTensors, AdaptedPart, Alias, LoraSet, PartTensors, Selection, describe};
use crate::error::LoadError;
use crate::families::adapters::{Originals, RecentAdapters, have_same_effect, no_master};
use crate::networks::unet2d::{Names, UnetConfig};

/// The parts that adapters may change, in the order of [`AdaptableParts`].
const PARTS: [AdaptedPart; 3] = [AdaptedPart::Denoiser, AdaptedPart::TextEncoder, AdaptedPart::TextEncoder2];

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

/// What adapters may change.
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

/// The adapters that are applied to the networks.
#[derive(Debug, Default)]
pub(super) struct AppliedAdapters {
    /// In the order in which they are applied.
    applied: Vec<AdapterChoice>,
    /// Of each part.
    originals: [Originals; 3],
    recent: RecentAdapters,
}

impl AppliedAdapters {
    /// Whether the networks are those of a request with these adapters.
    pub(super) fn are(&self, wanted: &[AdapterChoice]) -> bool {
        have_same_effect(&self.applied, wanted)
    }

    /// Takes the applied adapters back and applies these. If that fails, none is applied.
    ///
    /// # Errors
    ///
    /// An adapter cannot be read, has changed since it was chosen, or does not fit; or the device fails.
    pub(super) fn switch(&mut self, networks: &mut Networks, wanted: &[AdapterChoice]) -> Result<(), LoadError> {
        self.restore(networks);
        let changed = self.change(networks, wanted);
        if changed.is_err() {
            self.restore(networks);
        } else {
            self.applied = wanted.to_vec();
        }
        self.recent.trim();
        changed
    }

    fn restore(&mut self, networks: &mut Networks) {
        self.applied.clear();
        let weights = networks.adaptable_weights();
        for (originals, weights) in self.originals.iter_mut().zip(weights) {
            originals.restore(weights);
        }
    }

    fn change(&mut self, networks: &mut Networks, wanted: &[AdapterChoice]) -> Result<(), LoadError> {
        let [denoiser, text] = self.recent.read_all(wanted)?;
        let tensors = networks.adaptable.clone();
        let changes = PARTS.into_iter().zip([denoiser, text.clone(), text]).zip(&tensors.tensors);
        let targets = self.originals.iter_mut().zip(networks.adaptable_weights());
        for (((part, adapters), tensors), (originals, weights)) in changes.zip(targets) {
            let set = LoraSet::of(adapters, Selection::one_of(part))?.resolve(tensors)?;
            originals.change(&set, weights, &mut no_master)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
