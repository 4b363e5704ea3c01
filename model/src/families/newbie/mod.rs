//! NewBie-image: a Next-DiT conditioned on Gemma 3 and Jina CLIP v2, with the autoencoder of FLUX.1.
//!
//! [`Pipeline`] reads the texts of a request and computes its steps. [`text`] has the tokenizers, `denoise` evaluates the Next-DiT under
//! guidance, `networks` loads the parts that `layout` lists, `info` describes the model, and [`synthetic`] writes small checkpoints.

mod adaptable;
mod adapters;
mod denoise;
mod info;
mod layout;
mod networks;
mod pipeline;
mod preview;
pub mod synthetic;
pub mod text;

pub use denoise::Denoiser;
pub use info::SAMPLING_DEFAULT;
pub(super) use layout::{FOLDER, single_file};
pub use networks::{Networks, TextFeatures, load_transformer};
pub use pipeline::Pipeline;

pub use super::{LoadOptions, WarmUpSize};
