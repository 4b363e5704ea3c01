//! The stages of a generation.

/// A stage of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The weights are loaded to the device. Reported by the server, and only if they were not there.
    LoadModel,
    /// The request's adapters are applied to the weights, or those of the previous request are removed. Only if they
    /// differ.
    LoadAdapters,
    /// The text encoders read the prompt.
    TextEncode,
    /// The VAE encodes pixels to latents: an initial image, or the images that a second pass starts from.
    VaeEncode,
    /// The sampler integrates from noise to latents.
    Denoise,
    /// The VAE decodes latents to pixels.
    Decode,
    /// Pixels are encoded to image files. Reported by the server.
    EncodeImage,
}

impl Stage {
    /// The lower-case name, such as `text_encode`, as metrics and the activity have it.
    pub fn name(self) -> &'static str {
        match self {
            Stage::LoadModel => "load_model",
            Stage::LoadAdapters => "load_adapters",
            Stage::TextEncode => "text_encode",
            Stage::VaeEncode => "vae_encode",
            Stage::Denoise => "denoise",
            Stage::Decode => "decode",
            Stage::EncodeImage => "encode_image",
        }
    }
}
