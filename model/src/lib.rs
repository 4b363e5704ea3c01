//! NewBie-image-Exp0.1 in burn: what the server needs to turn text into pictures, and nothing of the server.
//!
//! Data flows one way. A checkpoint folder goes through [`loader`] into four networks: [`gemma3`] turns token ids into
//! caption features, [`jina_clip`] turns them into one pooled vector, the Next-DiT turns noise and both into latents step by
//! step, and [`autoencoder_kl`] turns latents into pixels ([`tiny_decoder`] does so roughly, for previews). [`tokenizer`]
//! makes the ids, [`lora`] changes weights while they are read, [`ops`] holds the arithmetic that every network shares.
//!
//! Shapes in the documentation: B batch, L padded text length, C = 16 latent channels, H and W of the latents (an eighth of
//! the image), N image tokens, S sequence length, D width of a network.
//!
//! The networks import burn, [`ops`], [`token_lru`] and the reader of [`loader`], and never each other.

pub mod autoencoder_kl;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod device;
pub mod embedded;
pub mod error;
pub mod gemma3;
pub mod jina_clip;
pub mod loader;
pub mod lora;
pub mod next_dit;
pub mod ops;
pub mod pipeline;
pub mod pixels;
pub mod preview;
pub mod profile;
pub mod progress;
pub mod sampler;
pub mod spec;
pub mod synthetic;
pub mod text;
pub mod tiny_decoder;
pub mod token_lru;
pub mod tokenizer;
pub mod tokens;
