//! What is known of an adapter's file before it is used.

use std::path::Path;

use crate::EngineError;

/// What an adapter's file is, and whether a model can use it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AdapterDescription {
    /// SHA-256 of the file, or of a folder's `adapter_model.safetensors` followed by its `adapter_config.json`, in lower-case
    /// hexadecimal digits.
    pub sha256: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// `LoRA`, `LoHa`, `LoKr` or `DoRA`.
    pub algorithm: String,
    /// The largest rank of its modules; 0: none has a rank.
    pub rank: u32,
    /// The base model that its metadata name. Empty: they name none.
    pub base_model: String,
    /// The words that its metadata name as triggers, or the tags that they count most often.
    pub trigger_words: Vec<String>,
    /// Modules of the denoiser that it changes.
    pub modules: u32,
    /// Modules of text encoders that it changes.
    pub text_modules: u32,
    /// Modules, or keys of an unknown kind, for which the model has no counterpart.
    pub unmatched: u32,
    /// Why the model cannot use it: each names a key or a module. Empty: it can.
    pub problems: Vec<String>,
    /// Why the model cannot use its part for text encoders. With [`AdapterChoice::text_scale`](crate::AdapterChoice::text_scale) 0 that part is not used.
    pub text_problems: Vec<String>,
    /// Bytes of device memory that the weights of the denoiser which it changes take while it is applied, next to the originals.
    pub denoiser_bytes: u64,
    /// The same of text encoders.
    pub text_bytes: u64,
    /// The known layout whose names are most like its own, such as `Stable Diffusion XL (kohya)`. Empty if it fits, or if no
    /// layout is like it.
    pub nearest_layout: String,
}

impl AdapterDescription {
    /// Bytes of device memory that it takes while it is applied with these scales.
    pub fn device_bytes(&self, scale: f32, text_scale: f32) -> u64 {
        let used = |bytes: u64, scale: f32| if scale == 0.0 { 0 } else { bytes };
        used(self.denoiser_bytes, scale).saturating_add(used(self.text_bytes, text_scale))
    }

    /// Why the model cannot use it with this scale of its part for text encoders. Empty: it can.
    pub fn problems_at(&self, text_scale: f32) -> Vec<&str> {
        let text = self.text_problems.iter().filter(|_| text_scale != 0.0);
        self.problems.iter().chain(text).map(String::as_str).collect()
    }
}

/// Says what adapters are and whether a model can use them, from headers alone: it reads no weights of the model.
pub trait AdapterInspector: Send + Sync {
    /// Describes the adapter at `path`. What the model cannot use is in [`AdapterDescription::problems`].
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is not a complete safetensors file.
    fn inspect(&self, path: &Path) -> Result<AdapterDescription, EngineError>;
}
