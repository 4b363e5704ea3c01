//! The adapters of the current request on the networks: the Next-DiT and Gemma 3.

use sakuga_model_core::AdapterChoice;

use super::adaptable::{NO_JINA, OFFLOADED};
use super::networks::Networks;
use crate::checkpoint::adapters::{AdaptedPart, LoraSet, Selection};
use crate::error::LoadError;
use crate::families::adapters::{Originals, RecentAdapters, Strengths, have_same_effect, no_master};

/// Device memory that stays free when originals of quantised weights are kept on the device.
const FREE_BYTES_MIN: u64 = 8 << 30;

/// The adapters that are applied to the networks.
#[derive(Debug, Default)]
pub(super) struct AppliedAdapters {
    /// In the order in which they are applied.
    applied: Vec<AdapterChoice>,
    denoiser: Originals,
    gemma: Originals,
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
        if self.denoiser.restore(networks.transformer.adaptable()) {
            networks.transformer.weights_changed();
        }
        if self.gemma.restore(networks.gemma.adaptable()) {
            networks.gemma.weights_changed();
        }
    }

    fn change(&mut self, networks: &mut Networks, wanted: &[AdapterChoice]) -> Result<(), LoadError> {
        let [denoiser, text] = self.recent.read_all(wanted)?;
        let tensors = networks.adaptable.clone();
        let set = LoraSet::of(denoiser, Selection::one_of(AdaptedPart::Denoiser))?.resolve(&tensors.denoiser)?;
        let Networks { transformer, masters, place, .. } = networks;
        let (mut reader, device) = (None, place.device().clone());
        // Asking the driver takes longer than changing a weight.
        let keeps = || place.memory_bytes().is_some_and(|(free, _)| free > FREE_BYTES_MIN);
        let mut master =
            |parts: &[(String, usize)], d_input: usize| masters.get(&mut reader, &device, parts, d_input, &keeps);
        self.denoiser.change(&set, transformer.adaptable(), &mut master)?;
        if self.denoiser.is_changed() {
            transformer.weights_changed();
        }
        refuse(&text, AdaptedPart::TextEncoder2, NO_JINA)?;
        let Some(tensors) = &tensors.gemma else { return refuse(&text, AdaptedPart::TextEncoder, OFFLOADED) };
        let set = LoraSet::of(text, Selection::one_of(AdaptedPart::TextEncoder))?.resolve(tensors)?;
        self.gemma.change(&set, networks.gemma.adaptable(), &mut no_master)?;
        if self.gemma.is_changed() {
            networks.gemma.weights_changed();
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
