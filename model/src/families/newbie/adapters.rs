//! The adapters of the current request on the networks: the Next-DiT and Gemma 3.

use std::sync::Arc;

use sakuga_model_core::AdapterChoice;

use super::adaptable::{NO_JINA, OFFLOADED};
use super::networks::Networks;
use crate::checkpoint::adapters::{AdaptedPart, AdapterContent, LoraSet, Selection};
use crate::error::LoadError;
use crate::families::adapters::{Originals, RecentAdapters, with_strength};

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
        let effect = |choice: &AdapterChoice| (choice.sha256.clone(), choice.scale, choice.text_scale);
        self.applied.iter().map(effect).eq(wanted.iter().map(effect))
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
        let mut parts = [Vec::new(), Vec::new()];
        for choice in wanted {
            let content = self.recent.read(choice)?;
            parts[0].push((content.clone(), choice.scale));
            parts[1].push((content, choice.text_scale));
        }
        let tensors = networks.adaptable.clone();
        let [denoiser, text] = parts.map(|part| with_strength(&part).collect::<Vec<(Arc<AdapterContent>, f32)>>());
        let set = LoraSet::of(denoiser, Selection::one_of(AdaptedPart::Denoiser))?.resolve(&tensors.denoiser)?;
        let Networks { transformer, masters, place, .. } = networks;
        let (mut reader, device) = (None, place.device().clone());
        let mut master = |parts: &[(String, usize)], d_input: usize| {
            let keeps = place.memory_bytes().is_some_and(|(free, _)| free > FREE_BYTES_MIN);
            masters.get(&mut reader, &device, parts, d_input, keeps)
        };
        self.denoiser.change(&set, transformer.adaptable(), &mut master)?;
        if self.denoiser.is_changed() {
            transformer.weights_changed();
        }
        refuse(&text, AdaptedPart::TextEncoder2, NO_JINA)?;
        let Some(tensors) = &tensors.gemma else { return refuse(&text, AdaptedPart::TextEncoder, OFFLOADED) };
        let set = LoraSet::of(text, Selection::one_of(AdaptedPart::TextEncoder))?.resolve(tensors)?;
        let mut never = |_: &[(String, usize)], _| Err(LoadError::Quantise("Gemma 3 is not quantised".to_owned()));
        self.gemma.change(&set, networks.gemma.adaptable(), &mut never)?;
        if self.gemma.is_changed() {
            networks.gemma.weights_changed();
        }
        Ok(())
    }
}

/// Refuses adapters that change a part which cannot be changed, for this reason.
fn refuse(adapters: &[(Arc<AdapterContent>, f32)], part: AdaptedPart, reason: &str) -> Result<(), LoadError> {
    for adapter in adapters {
        if LoraSet::of([adapter.clone()], Selection::one_of(part))?.modules() > 0 {
            return Err(LoadError::Lora { path: adapter.0.path().to_owned(), problems: vec![reason.to_owned()] });
        }
    }
    Ok(())
}
