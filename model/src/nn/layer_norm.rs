//! Layer norm with weight and bias.

use burn::tensor::Tensor;

use super::ops;
use crate::checkpoint::TensorReader;

/// A layer norm over the last axis.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    /// `[width]`
    pub(crate) weight: Tensor<1>,
    /// `[width]`
    pub(crate) bias: Tensor<1>,
    eps: f64,
}

impl LayerNorm {
    /// Reads `weight` and `bias`.
    pub(crate) fn load(weights: &TensorReader, width: usize, eps: f64) -> Self {
        Self { weight: weights.vector("weight", width), bias: weights.vector("bias", width), eps }
    }

    /// `[.., width]` to the same.
    pub(crate) fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        ops::layer_norm(x, Some((self.weight.clone(), self.bias.clone())), self.eps)
    }
}
