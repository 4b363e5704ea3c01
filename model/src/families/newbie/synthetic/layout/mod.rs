//! Names, shapes and statistics of every tensor of a checkpoint, and the configuration files, for each part.

pub(super) mod autoencoder_kl;
pub(super) mod gemma3;
pub(super) mod jina_clip;
pub(super) mod next_dit;
