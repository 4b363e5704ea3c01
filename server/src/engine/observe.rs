//! What an engine tells about itself beside its pictures: how it was opened, how it computes, what memory it holds, and
//! where the time of a job went.

use std::sync::Arc;
use std::time::Duration;

use super::Stage;

/// Says what memory an engine holds. Any thread calls it, some times a second and while a job is drawn: it returns at
/// once and waits for nothing that the engine's thread holds while it computes.
pub type MemoryProbe = Arc<dyn Fn() -> Vec<MemoryPool> + Send + Sync>;

/// Memory of the device that an engine has taken for one purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPool {
    /// What for: `weights and tensors`, `scratch` or `library workspace`.
    pub name: &'static str,
    /// Bytes that are in use.
    pub used_bytes: u64,
    /// Bytes that are held, in use or not.
    pub held_bytes: u64,
}

/// A part of an engine's opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadingPhase {
    /// What was done: `device`, the name of a part of the model, or `warm-up`.
    pub name: String,
    /// When it began, from the beginning of the opening.
    pub begin: Duration,
    /// How long it took.
    pub duration: Duration,
    /// Bytes that were read. 0: none.
    pub bytes: u64,
}

/// How a part of the model is computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputePath {
    /// What is computed: a network, such as `next_dit`.
    pub operation: String,
    /// What computes it, such as `cuBLASLt 13.1` or `burn`.
    pub implementation: String,
    /// Why it is not the fast one. Empty: it is, or there is no other.
    pub reason: String,
}

/// Where the device's time in one part of the pipeline went.
#[derive(Clone, Debug, PartialEq)]
pub struct StageProfile {
    /// The part.
    pub stage: Stage,
    /// The operations, summed up by network, layer and name, in the order of their first appearance.
    pub spans: Vec<ProfileSpan>,
    /// The device's time in all spans, in milliseconds.
    pub device_ms: f64,
    /// The time of the part by the host's clock, in milliseconds.
    pub wall_ms: f64,
    /// What the device reaches in a large product, in floating-point operations a second, if it was measured.
    pub peak_flops_per_second: Option<f64>,
    /// What it reaches in a large copy, in bytes read and written a second, if it was measured.
    pub peak_bytes_per_second: Option<f64>,
}

/// All operations of one name in one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileSpan {
    /// `gemma3`, `jina_clip`, `next_dit` or `autoencoder_kl`.
    pub network: String,
    /// The layer or block, from 0; `None` outside of them.
    pub layer: Option<u32>,
    /// What was done, such as `attention` or `product qkv`.
    pub name: String,
    /// How often.
    pub count: u32,
    /// Time on the device, in milliseconds.
    pub ms: f64,
    /// Floating-point operations of products and attention, two for each multiplication and addition. 0: neither.
    pub flops: f64,
    /// Bytes that must be read and written at least. 0: bound by arithmetic.
    pub bytes: f64,
}
