//! Statistics of loading, for the log and `GetServerInfo`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The statistics of one component.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LoadReport {
    /// The component: `transformer`, `text_encoder`, `clip_model`, `vae` or `preview_decoder`.
    pub component: String,
    /// Tensors of the files that the network uses.
    pub tensors_used: usize,
    /// Elements in those tensors.
    pub parameters: u64,
    /// Their bytes on the device, in the working precision.
    pub bytes: u64,
    /// Bytes that are uploaded, which a copy in host memory holds: more than `bytes` where adapters are merged in f32.
    pub upload_bytes: u64,
    /// The number of used tensors by their type in the file, such as `BF16`.
    pub dtypes: BTreeMap<String, usize>,
    /// Tensors that are allowed to be unused: a vision tower, a layer whose output is not needed.
    pub tolerated: Vec<String>,
    /// When its loading began, since the loading of the checkpoint began.
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
    /// The factor on the adapter's change.
    pub strength: f32,
    /// The format: `LoRA`, `LoHa`, `LoKr` or `DoRA`.
    pub format: &'static str,
    /// The source of the scale, such as `adapter_config.json`.
    pub scale_source: &'static str,
    /// How many modules (linears and norms) were changed.
    pub modules: usize,
}
