//! Adapters of a request.

use std::path::PathBuf;

/// An adapter that a request applies to the model.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterChoice {
    /// Its name in requests, messages and metadata.
    pub name: String,
    /// A `.safetensors` file, or a PEFT folder with `adapter_model.safetensors` and `adapter_config.json`.
    pub path: PathBuf,
    /// SHA-256 of its content in lower-case hexadecimal digits, as
    /// [`AdapterDescription::sha256`](crate::AdapterDescription::sha256) has it. A file with another content is refused.
    pub sha256: String,
    /// Factor on its effect on the denoiser; 1 is as trained, 0 has no effect.
    pub scale: f32,
    /// Factor on its effect on the text encoders.
    pub text_scale: f32,
    /// Bytes of device memory that it takes, as [`AdapterDescription::device_bytes`](crate::AdapterDescription::device_bytes)
    /// has it.
    pub device_bytes: u64,
}
