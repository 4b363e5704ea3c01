//! The linear preview of Stable Diffusion XL's latents, in the model's scale `z * 0.13025`.
//!
//! The map was not fitted to the published autoencoder: the factors are those that ComfyUI uses for this latent space
//! (`latent_rgb_factors` of `SDXL` in `comfy/latent_formats.py`). They give RGB in -1..1; this map gives 0..1.

use crate::preview::KnownSpace;

/// RGB for each latent channel.
const WEIGHTS: [[f32; 3]; 4] =
    [[0.18255, 0.2116, 0.21705], [-0.12665, -0.0021, 0.0534], [0.0538, 0.05555, -0.0181], [-0.15825, -0.1246, -0.1094]];

/// The map of the published autoencoder.
pub(super) const LATENTS: KnownSpace = KnownSpace { weights: &WEIGHTS, bias: [0.5542, 0.49125, 0.49945] };
