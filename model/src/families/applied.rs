//! The adapters of the current request on the networks of a model.

use std::fmt::Debug;

use sakuga_model_core::AdapterChoice;

use super::adapters::{RecentAdapters, Strengths, have_same_effect};
use crate::error::LoadError;

/// The networks of a model whose weights adapters of requests may change.
pub(super) trait AdaptedNetworks {
    /// The originals of the changed weights, of every network.
    type Originals: Debug + Default;

    /// Puts the originals back.
    fn restore(&mut self, originals: &mut Self::Originals);

    /// Applies adapters to the weights, which must be the originals: those with an effect on the denoiser, and those with one on
    /// text encoders.
    ///
    /// # Errors
    ///
    /// An adapter does not fit, an original cannot be read, or the device fails. Some weights are changed then.
    fn change(&mut self, originals: &mut Self::Originals, adapters: [Strengths; 2]) -> Result<(), LoadError>;
}

/// The adapters that are applied to the networks of a model.
#[derive(Debug)]
pub(super) struct AppliedAdapters<N: AdaptedNetworks> {
    /// In the order in which they are applied.
    applied: Vec<AdapterChoice>,
    originals: N::Originals,
    recent: RecentAdapters,
}

impl<N: AdaptedNetworks> Default for AppliedAdapters<N> {
    fn default() -> Self {
        Self { applied: Vec::new(), originals: N::Originals::default(), recent: RecentAdapters::default() }
    }
}

impl<N: AdaptedNetworks> AppliedAdapters<N> {
    /// Whether the networks are those of a request with these adapters.
    pub(super) fn are(&self, wanted: &[AdapterChoice]) -> bool {
        have_same_effect(&self.applied, wanted)
    }

    /// Takes the applied adapters back and applies these. If that fails, none is applied.
    ///
    /// # Errors
    ///
    /// An adapter cannot be read, has changed since it was chosen, or does not fit; or the device fails.
    pub(super) fn switch(&mut self, networks: &mut N, wanted: &[AdapterChoice]) -> Result<(), LoadError> {
        self.restore(networks);
        let read = self.recent.read_all(wanted);
        let changed = read.and_then(|adapters| networks.change(&mut self.originals, adapters));
        if changed.is_err() {
            self.restore(networks);
        } else {
            self.applied = wanted.to_vec();
        }
        self.recent.trim();
        changed
    }

    fn restore(&mut self, networks: &mut N) {
        self.applied.clear();
        networks.restore(&mut self.originals);
    }
}
