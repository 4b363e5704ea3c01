//! What was loaded: figures for the log and for `GetServerInfo`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What one component's loading amounted to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LoadReport {
    /// The component: `transformer`, `text_encoder`, `clip_model`, `vae` or `preview_decoder`.
    pub component: String,
    /// Tensors of the files that the network uses.
    pub tensors_used: usize,
    /// Elements in those tensors.
    pub parameters: u64,
    /// Bytes that they take on the device, in the working precision.
    pub bytes: u64,
    /// How many of the used tensors have which type in the file, such as `BF16`.
    pub dtypes: BTreeMap<String, usize>,
    /// Tensors that may be there unused, and were: a vision tower, a layer whose output nobody needs.
    pub tolerated: Vec<String>,
    /// When its loading began, from the beginning of the whole checkpoint's.
    pub begin: Duration,
    /// How long it took.
    pub duration: Duration,
    /// Adapters merged while loading.
    pub lora: Vec<LoraReport>,
}

/// What one adapter changed.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraReport {
    /// The adapter's file or directory.
    pub path: PathBuf,
    /// The strength asked for.
    pub strength: f32,
    /// The format: `LoRA` or `LoKr`.
    pub format: &'static str,
    /// Which rule gave the scale, such as `adapter_config.json`.
    pub scale_source: &'static str,
    /// How many modules (linears and norms) were changed.
    pub modules: usize,
}
