//! [`AdapterDescription`]: the contents of an adapter file, read from its header.

use std::path::Path;

use crate::EngineError;

/// The contents of an adapter file, and whether a model can use it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AdapterDescription {
    /// SHA-256 of the file, or of a folder's `adapter_model.safetensors` followed by its `adapter_config.json`, in lower-case
    /// hexadecimal digits.
    pub sha256: String,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// `LoRA`, `LoHa`, `LoKr` or `DoRA`.
    pub algorithm: String,
    /// The largest rank of its modules; 0: none has a rank.
    pub rank: u32,
    /// The base model in its metadata; empty if it names none.
    pub base_model: String,
    /// Trigger words from its metadata, or the tags that the metadata count most often.
    pub trigger_words: Vec<String>,
    /// Modules of the denoiser that it changes.
    pub modules: u32,
    /// Modules of text encoders that it changes.
    pub text_modules: u32,
    /// Modules, or keys of an unknown kind, for which the model has no counterpart.
    pub unmatched: u32,
    /// Why the model cannot use it, each with the key or module. Empty if it can.
    pub problems: Vec<String>,
    /// Why the model cannot use its part for text encoders. That part is not used if
    /// [`AdapterChoice::text_scale`](crate::AdapterChoice::text_scale) is 0.
    pub text_problems: Vec<String>,
    /// Bytes of device memory for the changed weights of the denoiser while it is applied, in addition to the originals.
    pub denoiser_bytes: u64,
    /// Bytes of device memory for the changed weights of the text encoders, likewise.
    pub text_bytes: u64,
    /// The known layout with the most similar names, such as `Stable Diffusion XL (kohya)`. Empty if the adapter fits the model
    /// or no layout is similar.
    pub nearest_layout: String,
}

impl AdapterDescription {
    /// Bytes of device memory that it takes while it is applied with these scales.
    pub fn device_bytes(&self, scale: f32, text_scale: f32) -> u64 {
        let used = |bytes: u64, scale: f32| if scale == 0.0 { 0 } else { bytes };
        used(self.denoiser_bytes, scale).saturating_add(used(self.text_bytes, text_scale))
    }

    /// Why the model cannot use it with this scale for the text encoders; empty if it can.
    pub fn problems_at(&self, text_scale: f32) -> Vec<&str> {
        let text = self.text_problems.iter().filter(|_| text_scale != 0.0);
        self.problems.iter().chain(text).map(String::as_str).collect()
    }
}

/// Describes adapter files for one model. It reads headers only, no weights.
pub trait AdapterInspector: Send + Sync {
    /// Describes the adapter at `path`. An adapter that the model cannot use has [`AdapterDescription::problems`].
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is not a complete safetensors file.
    fn inspect(&self, path: &Path) -> Result<AdapterDescription, EngineError>;
}
