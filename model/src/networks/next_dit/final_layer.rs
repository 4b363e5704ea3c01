//! The final layer: tokens to patch vectors of the velocity.

use burn::nn::Linear;
use burn::tensor::Tensor;

use super::NextDitConfig;
use crate::checkpoint::TensorReader;
use crate::nn::ops;

/// Epsilon of the final LayerNorm, which has no weights.
pub(super) const NORM_EPS: f64 = 1e-6;

/// `final_layer`: `Linear(LayerNorm(x) * (1 + scale))`; there is no shift.
#[derive(Debug)]
pub(crate) struct FinalLayer {
    pub(super) modulation: Linear,
    pub(super) linear: Linear,
}

impl FinalLayer {
    /// Loads `final_layer.{adaLN_modulation.1,linear}`.
    pub(crate) fn load(config: &NextDitConfig, weights: &TensorReader) -> Self {
        let weights = weights.at("final_layer");
        Self {
            modulation: weights.linear("adaLN_modulation.1", config.adaln_dim, config.dim, true),
            linear: weights.linear("linear", config.dim, config.patch_dim(), true),
        }
    }

    /// # Shapes
    ///
    /// - x: `[batch, sequence, dim]`
    /// - conditioning: `[batch, adaln_dim]`, after its SiLU
    /// - output: `[batch, sequence, patch_dim]`
    pub(crate) fn forward(&self, x: Tensor<3>, conditioning: &Tensor<2>) -> Tensor<3> {
        let scale = ops::linear(conditioning.clone(), &self.modulation).unsqueeze_dim::<3>(1);
        let x = ops::layer_norm(x, None, NORM_EPS).mul(scale.add_scalar(1.0));
        ops::linear(x, &self.linear)
    }
}
