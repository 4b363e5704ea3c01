//! The stages of a generation.

/// A stage of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The weights are put on the device. The server reports it, not the model, and only if they were not there.
    LoadModel,
    /// The weights are changed to those with the request's adapters, or back to those without; only if they were others.
    LoadAdapters,
    /// The text encoders read the prompt.
    TextEncode,
    /// The encoder turns pixels into latents: those of the initial image, or those that a second pass begins from.
    VaeEncode,
    /// The sampler carries noise to latents.
    Denoise,
    /// The decoder turns latents into pixels.
    Decode,
    /// Pixels become files. The server reports it, not the model.
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
