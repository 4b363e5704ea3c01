//! The linear preview of FLUX.1's latents, in the model's scale `(z - 0.1159) * 0.3611`.
//!
//! The map was fitted for this project by `model/scripts/fit_linear_preview.py`: 96 drawn pictures of 256 x 256 (colour fields,
//! shapes, outlines), encoded with TAEF1's encoder, ridge regression of the mean colour of each 8 x 8 block on its latent
//! vector. On 12 pictures held back the error is 0.050 (root mean square, of a range of 1) where the colours themselves spread
//! by 0.256.

use crate::preview::KnownSpace;

/// RGB for each latent channel.
const WEIGHTS: [[f32; 3]; 16] = [
    [-0.02367, 0.02537, 0.05284],
    [0.02138, 0.02453, 0.05750],
    [0.03502, -0.04017, -0.00964],
    [-0.01091, 0.00697, 0.03154],
    [0.03746, 0.03642, 0.01401],
    [-0.01552, 0.01097, 0.00773],
    [0.03042, 0.05154, 0.04461],
    [-0.01950, -0.02765, -0.01892],
    [-0.02286, -0.00630, 0.07284],
    [0.06481, 0.05514, -0.02720],
    [-0.01110, 0.04459, 0.01368],
    [0.05602, 0.01994, 0.01262],
    [0.02625, 0.03069, 0.03638],
    [-0.07296, -0.01222, -0.06611],
    [-0.00719, -0.04501, -0.01795],
    [-0.05745, -0.03717, -0.03101],
];

/// The map of the published autoencoder.
pub(super) const LATENTS: KnownSpace = KnownSpace { weights: &WEIGHTS, bias: [0.50086, 0.48183, 0.46606] };
