//! The adapters of the current request on the networks: the U-Net and both text encoders.

use sakuga_model_core::AdapterChoice;

use super::adapters::PARTS;
use super::networks::Networks;
use crate::checkpoint::adapters::{LoraSet, Selection};
use crate::error::LoadError;
use crate::families::adapters::{Originals, RecentAdapters, have_same_effect, no_master};

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
        networks.weights_changed();
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
