//! The addresses of a layer's weights, on the device or in host memory.

use std::cell::RefCell;

use burn::nn::Linear;
use burn::tensor::Tensor;

use crate::cuda::CudaError;
use crate::cuda::block::BlockWeights;
use crate::cuda::bridge::Pins;
use crate::cuda::product::Layer;
use crate::nn::block::{Block, Projection};

/// Gives a weight its permanent address.
pub(super) trait Pin {
    fn linear(&mut self, layer: &Linear) -> Result<Layer, CudaError>;
    /// The weight of a norm.
    fn norm(&mut self, norm: &Tensor<1>) -> Result<u64, CudaError>;
}

impl Pin for Pins {
    fn linear(&mut self, layer: &Linear) -> Result<Layer, CudaError> {
        Pins::linear(self, layer)
    }

    fn norm(&mut self, norm: &Tensor<1>) -> Result<u64, CudaError> {
        self.vector(norm)
    }
}

/// The addresses of the weights of a layer.
pub(super) fn pin(block: &Block, to: &mut impl Pin) -> Result<BlockWeights, CudaError> {
    let to = RefCell::new(to);
    BlockWeights::pin(
        block,
        |norm| to.borrow_mut().norm(&norm.weight),
        |layer| match layer {
            Projection::Loaded(layer) => to.borrow_mut().linear(layer),
            Projection::Quantised(_) => {
                let what = "the bits of a weight of Gemma 3";
                Err(CudaError::Unsupported { what, found: 8, wanted: "16" })
            }
        },
    )
}
