//! Control networks: the images of a request that steer the denoiser, and the networks that a model has.

use std::sync::Arc;

use crate::Rgb8;

/// An image that steers a request through a control network (Zhang et al. 2023, <https://arxiv.org/abs/2302.05543>).
#[derive(Clone, Debug, PartialEq)]
pub struct ControlChoice {
    /// The name of the network, as [`ControlNetwork::name`] has it.
    pub network: String,
    /// Input image of the network. It has the size of the first pass.
    pub image: Arc<Rgb8>,
    /// Factor on what the network adds; 1 is as trained.
    pub scale: f32,
    /// Share of the computed steps after which it begins to act.
    pub start: f32,
    /// Share of the computed steps after which it stops.
    pub end: f32,
    /// Bytes of device memory that the network takes.
    pub device_bytes: u64,
}

/// A file or folder that was found where a model looks for control networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlNetwork {
    /// What requests call it: the name of its file without the extension, or of its folder.
    pub name: String,
    /// SHA-256 over names, lengths and first bytes of its files, in lower-case hexadecimal digits.
    pub fingerprint: String,
    /// Bytes of device memory that its weights take.
    pub device_bytes: u64,
    /// Why the model cannot use it. Empty: it can.
    pub problem: String,
}
