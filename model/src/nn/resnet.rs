//! The residual block of the autoencoder and the U-Net.

use burn::nn::Linear;
use burn::tensor::Tensor;

use super::conv::{Conv, GroupNorm, GroupNormKind};
use super::ops;
use crate::checkpoint::TensorReader;

/// `shortcut(x) + conv2(silu(norm2(conv1(silu(norm1(x))) + time)))` (diffusers' `ResnetBlock2D`).
#[derive(Debug)]
pub(crate) struct Resnet {
    pub(crate) norm1: GroupNorm,
    pub(crate) conv1: Conv,
    /// From the time embedding to a value for each channel, in networks with a time embedding.
    pub(crate) time: Option<Linear>,
    pub(crate) norm2: GroupNorm,
    pub(crate) conv2: Conv,
    /// Where the number of channels changes.
    pub(crate) shortcut: Option<Conv>,
}

impl Resnet {
    /// Reads a block from `input` to `output` channels. `time_dim` is the width of the time embedding, if there is one.
    pub(crate) fn load(
        weights: &TensorReader,
        norm: GroupNormKind,
        [input, output]: [usize; 2],
        time_dim: Option<usize>,
    ) -> Self {
        Self {
            norm1: GroupNorm::load(&weights.at("norm1"), norm, input),
            conv1: Conv::load(&weights.at("conv1"), input, output, 3),
            time: time_dim.map(|width| weights.linear("time_emb_proj", width, output, true)),
            norm2: GroupNorm::load(&weights.at("norm2"), norm, output),
            conv2: Conv::load(&weights.at("conv2"), output, output, 3),
            shortcut: (input != output).then(|| Conv::load(&weights.at("conv_shortcut"), input, output, 1)),
        }
    }

    /// # Shapes
    ///
    /// - x: `[B, input, H, W]`
    /// - time: `[B, time_dim]`, after its SiLU; ignored by a block without a time projection
    /// - output: `[B, output, H, W]`
    pub(crate) fn forward(&self, x: Tensor<4>, time: Option<&Tensor<2>>) -> Tensor<4> {
        let mut hidden = self.conv1.forward(ops::silu(self.norm1.forward(x.clone())));
        if let (Some(layer), Some(time)) = (&self.time, time) {
            let shift = ops::linear(time.clone(), layer);
            let [batch, channels] = shift.dims();
            hidden = hidden + shift.reshape([batch, channels, 1, 1]);
        }
        let hidden = self.conv2.forward(ops::silu(self.norm2.forward(hidden)));
        let shortcut = match &self.shortcut {
            Some(conv) => conv.forward(x),
            None => x,
        };
        shortcut + hidden
    }
}
