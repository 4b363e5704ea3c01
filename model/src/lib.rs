//! NewBie-image-Exp0.1 in burn: text in, pictures out. This crate knows nothing of the server.
//!
//! Data flows one way. [`checkpoint`] reads a folder of weights into the four [`networks`]:
//! [`gemma3`](networks::gemma3) turns token ids into caption features, [`jina_clip`](networks::jina_clip) turns them into
//! one pooled vector, [`next_dit`](networks::next_dit) denoises latents conditioned on both, and
//! [`autoencoder_kl`](networks::autoencoder_kl) decodes latents to pixels ([`tiny_decoder`](networks::tiny_decoder) decodes
//! them approximately, for previews). [`tokenizer`] makes the token ids, [`sampler`] owns schedules and solvers, and
//! [`pipeline`] runs all of it.
//!
//! Shapes in the documentation: B batch, L padded text length, C = 16 latent channels, H and W of the latents (an eighth of
//! the image), N image tokens, S sequence length, D width of a network.
//!
//! A network imports burn, `nn`, [`checkpoint`] and, with the feature `cuda`, the module `cuda`; no network imports
//! another.

pub mod checkpoint;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod device;
pub mod error;
pub mod networks;
pub(crate) mod nn;
pub mod open;
pub mod pipeline;
pub mod pixels;
pub mod preview;
pub mod sampler;
mod shortage;
pub mod text;
pub mod tokenizer;
pub mod tokens;
