//! How adapters of requests change the networks: the U-Net and both text encoders.

use super::adapters::PARTS;
use super::networks::Networks;
use crate::checkpoint::adapters::{LoraSet, Selection};
use crate::error::LoadError;
use crate::families::adapters::{Originals, Strengths, no_master};
use crate::families::applied::AdaptedNetworks;

impl AdaptedNetworks for Networks {
    /// The originals of the U-Net, CLIP-L and CLIP-G.
    type Originals = [Originals; 3];

    fn restore(&mut self, originals: &mut Self::Originals) {
        for (originals, weights) in originals.iter_mut().zip(self.adaptable_weights()) {
            originals.restore(weights);
        }
        self.forget_words();
        self.weights_changed();
    }

    fn change(&mut self, originals: &mut Self::Originals, [denoiser, text]: [Strengths; 2]) -> Result<(), LoadError> {
        let contents: Vec<_> = denoiser.iter().chain(&text).map(|(content, _)| content.clone()).collect();
        self.learn_words(&contents)?;
        let tensors = self.adaptable.clone();
        let changes = PARTS.into_iter().zip([denoiser, text.clone(), text]).zip(&tensors.tensors);
        let targets = originals.iter_mut().zip(self.adaptable_weights());
        for (((part, adapters), tensors), (originals, weights)) in changes.zip(targets) {
            let set = LoraSet::of(adapters, Selection::one_of(part))?.resolve(tensors)?;
            originals.change(&set, weights, &mut no_master)?;
        }
        self.weights_changed();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
