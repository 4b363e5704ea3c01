//! Norms, residual blocks and the attention that encoder and decoder share.

use burn::nn::Linear;
use burn::tensor::Tensor;

use super::AutoencoderKlConfig;
use crate::checkpoint::TensorReader;
use crate::nn::conv::{self, GroupNorm, GroupNormKind};
use crate::nn::ops;
use crate::nn::resnet::Resnet;

/// Epsilon of every group norm; not in the configuration of diffusers.
const EPS: f64 = 1e-6;

/// Groups and epsilon of every group norm of the network.
pub(super) fn norm_kind(config: &AutoencoderKlConfig) -> GroupNormKind {
    GroupNormKind { groups: config.norm_num_groups, eps: EPS }
}

/// A residual block from `input` to `output` channels.
pub(super) fn resnet(config: &AutoencoderKlConfig, weights: &TensorReader, input: usize, output: usize) -> Resnet {
    Resnet::load(weights, norm_kind(config), [input, output], None)
}

pub(super) fn norm(config: &AutoencoderKlConfig, weights: &TensorReader, channels: usize) -> GroupNorm {
    GroupNorm::load(weights, norm_kind(config), channels)
}

/// Single-head self-attention over all positions, with residual.
#[derive(Debug)]
pub(super) struct Attention {
    pub(super) norm: GroupNorm,
    pub(super) to_q: Linear,
    pub(super) to_k: Linear,
    pub(super) to_v: Linear,
    pub(super) to_out: Linear,
}

impl Attention {
    pub(super) fn load(config: &AutoencoderKlConfig, weights: &TensorReader, channels: usize) -> Self {
        Self {
            norm: norm(config, &weights.at("group_norm"), channels),
            to_q: conv::pointwise(&weights.at("to_q"), channels, channels),
            to_k: conv::pointwise(&weights.at("to_k"), channels, channels),
            to_v: conv::pointwise(&weights.at("to_v"), channels, channels),
            to_out: conv::pointwise(&weights.at("to_out.0"), channels, channels),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let positions = height * width;
        let tokens = self.norm.forward(x.clone()).reshape([batch, channels, positions]).swap_dims(1, 2);
        let project = |layer: &Linear| ops::linear(tokens.clone(), layer).reshape([batch, positions, 1, channels]);
        let out = ops::attention(project(&self.to_q), project(&self.to_k), project(&self.to_v), None, false);
        let out = ops::linear(out.reshape([batch, positions, channels]), &self.to_out);
        x + out.swap_dims(1, 2).reshape([batch, channels, height, width])
    }
}

/// Residual block, attention, residual block at the lowest resolution.
#[derive(Debug)]
pub(super) struct MidBlock {
    pub(super) first: Resnet,
    pub(super) attention: Option<Attention>,
    pub(super) second: Resnet,
}

impl MidBlock {
    pub(super) fn load(config: &AutoencoderKlConfig, weights: &TensorReader, channels: usize) -> Self {
        Self {
            first: resnet(config, &weights.at("resnets.0"), channels, channels),
            attention: config
                .mid_block_attention
                .then(|| Attention::load(config, &weights.at("attentions.0"), channels)),
            second: resnet(config, &weights.at("resnets.1"), channels, channels),
        }
    }

    pub(super) fn forward(&self, x: Tensor<4>, tap: &mut super::Tap<'_>) -> Tensor<4> {
        let mut x = self.first.forward(x, None);
        tap("mid_block.resnets.0", &x);
        if let Some(attention) = &self.attention {
            x = attention.forward(x);
            tap("mid_block.attentions.0", &x);
        }
        let x = self.second.forward(x, None);
        tap("mid_block", &x);
        x
    }
}
