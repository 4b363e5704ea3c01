//! Image models in burn: from text to pixels. This crate does not depend on the server.
//!
//! [`ModelFiles`](open::ModelFiles) describes a checkpoint without reading its weights, opens it on a device as a
//! [`sakuga_model_core::OpenModel`], and opens it again from a copy of the weights in host memory. Below it, data flows one
//! way: [`families`] recognises a checkpoint, runs the networks of its family in order, and documents how to add a family;
//! [`checkpoint`] reads weights and merges adapters; [`networks`] has the networks; [`sampler`] has schedules, solvers, guidance and
//! noise; [`tokenizer`] makes token ids. [`inspect`] describes any model file.
//!
//! Shapes in the documentation: B batch, L padded text length, C latent channels, H and W of the latents (an eighth of
//! the image), N image tokens, S sequence length, D width of a network.
//!
//! A network imports burn, `nn`, [`checkpoint`], the step cache of `sampler` and, with the feature `cuda`, the module `cuda`; no
//! network imports another.
//!
//! Items that are hidden from this documentation are for tests that compare intermediate values with a reference.

mod bounded;
pub mod checkpoint;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod device;
mod digest;
pub mod error;
pub mod families;
pub mod inspect;
pub mod networks;
pub(crate) mod nn;
pub mod open;
mod pixels;
mod preview;
pub mod sampler;
mod shortage;
pub mod tokenizer;
pub mod tokens;
