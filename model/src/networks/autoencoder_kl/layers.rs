//! Convolutions, residual blocks and the attention that encoder and decoder share.

use burn::nn::Linear;
use burn::tensor::Tensor;

use super::AutoencoderKlConfig;
use crate::checkpoint::TensorReader;
use crate::nn::ops;

/// Epsilon of every group norm; not in the configuration of diffusers.
pub(super) const EPS: f64 = 1e-6;

/// A convolution with bias that keeps height and width.
#[derive(Debug)]
pub(super) struct Conv {
    pub(super) weight: Tensor<4>,
    pub(super) bias: Tensor<1>,
    padding: usize,
}

impl Conv {
    /// `kernel` is odd.
    pub(super) fn load(weights: &TensorReader, input: usize, output: usize, kernel: usize) -> Self {
        Self {
            weight: weights.tensor("weight", [output, input, kernel, kernel]),
            bias: weights.vector("bias", output),
            padding: kernel / 2,
        }
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        ops::conv2d(x, self.weight.clone(), Some(self.bias.clone()), 1, [self.padding; 4])
    }

    /// Halves height and width, with zero padding below and to the right only.
    pub(super) fn forward_halving(&self, x: Tensor<4>) -> Tensor<4> {
        ops::conv2d(x, self.weight.clone(), Some(self.bias.clone()), 2, [0, 0, 1, 1])
    }

    /// Casts an input to the type of the weights.
    pub(super) fn adopt(&self, x: Tensor<4>) -> Tensor<4> {
        x.cast(self.weight.dtype())
    }
}

/// Group norm with weight and bias.
#[derive(Debug)]
pub(super) struct Norm {
    pub(super) weight: Tensor<1>,
    pub(super) bias: Tensor<1>,
    pub(super) groups: usize,
}

impl Norm {
    pub(super) fn load(config: &AutoencoderKlConfig, weights: &TensorReader, channels: usize) -> Self {
        Self {
            weight: weights.vector("weight", channels),
            bias: weights.vector("bias", channels),
            groups: config.norm_num_groups,
        }
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        ops::group_norm(x, self.weight.clone(), self.bias.clone(), self.groups, EPS)
    }
}

/// Two normalised convolutions and a shortcut.
#[derive(Debug)]
pub(super) struct Resnet {
    pub(super) norm1: Norm,
    pub(super) conv1: Conv,
    pub(super) norm2: Norm,
    pub(super) conv2: Conv,
    pub(super) shortcut: Option<Conv>,
}

impl Resnet {
    pub(super) fn load(config: &AutoencoderKlConfig, weights: &TensorReader, input: usize, output: usize) -> Self {
        Self {
            norm1: Norm::load(config, &weights.at("norm1"), input),
            conv1: Conv::load(&weights.at("conv1"), input, output, 3),
            norm2: Norm::load(config, &weights.at("norm2"), output),
            conv2: Conv::load(&weights.at("conv2"), output, output, 3),
            shortcut: (input != output).then(|| Conv::load(&weights.at("conv_shortcut"), input, output, 1)),
        }
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let hidden = self.conv1.forward(ops::silu(self.norm1.forward(x.clone())));
        let hidden = self.conv2.forward(ops::silu(self.norm2.forward(hidden)));
        let shortcut = match &self.shortcut {
            Some(conv) => conv.forward(x),
            None => x,
        };
        shortcut + hidden
    }
}

/// Single-head self-attention over all positions, with residual.
#[derive(Debug)]
pub(super) struct Attention {
    pub(super) norm: Norm,
    pub(super) to_q: Linear,
    pub(super) to_k: Linear,
    pub(super) to_v: Linear,
    pub(super) to_out: Linear,
}

impl Attention {
    pub(super) fn load(config: &AutoencoderKlConfig, weights: &TensorReader, channels: usize) -> Self {
        Self {
            norm: Norm::load(config, &weights.at("group_norm"), channels),
            to_q: pointwise(&weights.at("to_q"), channels),
            to_k: pointwise(&weights.at("to_k"), channels),
            to_v: pointwise(&weights.at("to_v"), channels),
            to_out: pointwise(&weights.at("to_out.0"), channels),
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

/// A linear over channels, stored as a 1x1 convolution in FLUX's own files.
fn pointwise(weights: &TensorReader, channels: usize) -> Linear {
    let weight = if weights.shape("weight") == Some(vec![channels, channels, 1, 1]) {
        weights.tensor("weight", [channels, channels, 1, 1]).reshape([channels, channels])
    } else {
        weights.tensor("weight", [channels, channels])
    };
    crate::checkpoint::linear_of(weight, Some(weights.vector("bias", channels)))
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
            first: Resnet::load(config, &weights.at("resnets.0"), channels, channels),
            attention: config
                .mid_block_attention
                .then(|| Attention::load(config, &weights.at("attentions.0"), channels)),
            second: Resnet::load(config, &weights.at("resnets.1"), channels, channels),
        }
    }

    pub(super) fn forward(&self, x: Tensor<4>, tap: &mut super::Tap<'_>) -> Tensor<4> {
        let mut x = self.first.forward(x);
        tap("mid_block.resnets.0", &x);
        if let Some(attention) = &self.attention {
            x = attention.forward(x);
            tap("mid_block.attentions.0", &x);
        }
        let x = self.second.forward(x);
        tap("mid_block", &x);
        x
    }
}
