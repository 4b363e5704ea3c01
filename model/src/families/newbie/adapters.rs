//! How adapters of requests change the networks: the Next-DiT and Gemma 3.

use super::adaptable::{NO_JINA, OFFLOADED};
use super::networks::Networks;
use crate::checkpoint::adapters::{AdaptedPart, LoraSet, Selection};
use crate::error::LoadError;
use crate::families::adapters::{Originals, Strengths, no_master};
use crate::families::applied::AdaptedNetworks;

/// Device memory that stays free when originals of quantised weights are kept on the device.
const FREE_BYTES_MIN: u64 = 8 << 30;

/// The originals of the weights that adapters have changed.
#[derive(Debug, Default)]
pub(in crate::families) struct ChangedOriginals {
    denoiser: Originals,
    gemma: Originals,
}

impl AdaptedNetworks for Networks {
    type Originals = ChangedOriginals;

    fn restore(&mut self, originals: &mut ChangedOriginals) {
        if originals.denoiser.restore(self.transformer.adaptable()) {
            self.transformer.weights_changed();
        }
        if originals.gemma.restore(self.gemma.adaptable()) {
            self.gemma.weights_changed();
        }
    }

    fn change(&mut self, originals: &mut ChangedOriginals, [denoiser, text]: [Strengths; 2]) -> Result<(), LoadError> {
        let tensors = self.adaptable.clone();
        let set = LoraSet::of(denoiser, Selection::one_of(AdaptedPart::Denoiser))?.resolve(&tensors.denoiser)?;
        let Networks { transformer, masters, place, .. } = self;
        let (mut reader, device) = (None, place.device().clone());
        // Asking the driver takes longer than changing a weight.
        let keeps = || place.memory_bytes().is_some_and(|(free, _)| free > FREE_BYTES_MIN);
        let mut master =
            |parts: &[(String, usize)], d_input: usize| masters.get(&mut reader, &device, parts, d_input, &keeps);
        originals.denoiser.change(&set, transformer.adaptable(), &mut master)?;
        if originals.denoiser.is_changed() {
            transformer.weights_changed();
        }
        refuse(&text, AdaptedPart::TextEncoder2, NO_JINA)?;
        let Some(tensors) = &tensors.gemma else { return refuse(&text, AdaptedPart::TextEncoder, OFFLOADED) };
        let set = LoraSet::of(text, Selection::one_of(AdaptedPart::TextEncoder))?.resolve(tensors)?;
        originals.gemma.change(&set, self.gemma.adaptable(), &mut no_master)?;
        if originals.gemma.is_changed() {
            self.gemma.weights_changed();
        }
        Ok(())
    }
}

/// Refuses adapters that change a part which cannot be changed, for this reason.
fn refuse(adapters: &Strengths, part: AdaptedPart, reason: &str) -> Result<(), LoadError> {
    for adapter in adapters {
        if LoraSet::of([adapter.clone()], Selection::one_of(part))?.modules() > 0 {
            return Err(LoadError::Lora { path: adapter.0.path().to_owned(), problems: vec![reason.to_owned()] });
        }
    }
    Ok(())
}
