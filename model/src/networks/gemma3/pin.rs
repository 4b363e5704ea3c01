//! The addresses of a layer's weights, on the device or in the host's memory.

use burn::nn::Linear;
use burn::tensor::Tensor;

use super::LayerKind;
use super::block::Block;
use crate::cuda::CudaError;
use crate::cuda::bridge::Pins;
use crate::cuda::product::Layer;
use crate::cuda::stack::BlockWeights;

/// Gives a weight its permanent address.
pub(super) trait Pin {
    /// A linear layer.
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
pub(super) fn pin(block: &Block, to: &mut impl Pin) -> Result<(LayerKind, BlockWeights), CudaError> {
    let attention = &block.self_attn;
    let weights = BlockWeights {
        qkv: to.linear(&attention.qkv)?,
        out: to.linear(&attention.o_proj)?,
        gate_up: to.linear(&block.gate_up)?,
        down: to.linear(&block.down_proj)?,
        attention_norm: [to.norm(&block.input_layernorm)?, to.norm(&block.post_attention_layernorm)?],
        ffn_norm: [to.norm(&block.pre_feedforward_layernorm)?, to.norm(&block.post_feedforward_layernorm)?],
        head_norm: Some((to.norm(&attention.q_norm)?, to.norm(&attention.k_norm)?)),
    };
    Ok((attention.kind, weights))
}
