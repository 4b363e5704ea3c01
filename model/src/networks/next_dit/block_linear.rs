//! The linear layers of a block, which hold nearly all weights of the network.

use burn::nn::Linear;
use burn::tensor::Tensor;

#[cfg(feature = "cuda")]
use crate::cuda::fp8_linear::Fp8Linear;
use crate::nn::ops;

/// A linear layer without bias.
#[derive(Debug)]
pub enum BlockLinear {
    /// As it was loaded.
    Loaded(Linear),
    /// Rounded to 8 bits, a scale for each output.
    #[cfg(feature = "cuda")]
    Fp8(Fp8Linear),
}

impl BlockLinear {
    /// `x W` over the last axis: `[.., d_input]` to `[.., d_output]`. Weights in 8 bits are computed with in bf16, and so is
    /// `x`: that is for comparisons and for batches that the fast path does not take.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Loaded(layer) => ops::linear(x, layer),
            #[cfg(feature = "cuda")]
            Self::Fp8(layer) => burn::tensor::module::linear(x, layer.weight(), None),
        }
    }
}
