//! The networks. Each owns its configuration, its weights and its forward pass, and none imports another.

pub mod autoencoder_kl;
pub mod clip_text;
pub mod gemma3;
pub mod jina_clip;
pub mod next_dit;
pub(crate) mod text_passes;
pub mod tiny_decoder;
pub(crate) mod token_lru;
pub mod unet2d;

pub use token_lru::TextCounts;
