//! What the U-Net and its control network read with the noisy latents.

use burn::tensor::Tensor;

/// What the network reads with the noisy latents and the time.
#[derive(Debug, Clone)]
pub struct Conditioning {
    /// The text's features, `[B, T, cross_attention_dim]`.
    pub context: Tensor<3>,
    /// The pooled text, `[B, pooled_dim]`.
    pub pooled: Tensor<2>,
    /// Sizes of each row, in pixels. The base model reads the height and the width of the original, the top and the left of the
    /// crop, the height and the width of the target; the refiner the first four and an aesthetic score.
    pub sizes: Vec<Vec<f32>>,
}
