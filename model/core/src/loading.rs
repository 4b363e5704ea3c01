//! Load times of a model, and the implementation of each network.

use std::time::Duration;

/// A phase of opening a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadingPhase {
    /// `device`, the name of a part of the model, or `warm-up`.
    pub name: String,
    /// When it began, measured from the beginning of the opening.
    pub begin: Duration,
    /// How long it took.
    pub duration: Duration,
    /// Bytes that its weights take on the device; 0 for a phase without weights.
    pub bytes: u64,
}

/// The implementation that computes one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputePath {
    /// The network, as the model names it.
    pub network: &'static str,
    /// The implementation, such as `cuBLASLt 13.1, cuDNN 9.14 and kernels of our own` or `burn`. Products of 8-bit values
    /// are named.
    pub implementation: String,
    /// Why the fast implementation is not used; empty if it is used or there is only one.
    pub reason: String,
}
