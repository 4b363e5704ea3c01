//! Latents to pixels.

use burn::tensor::Tensor;

use super::layers::{self, MidBlock};
use super::{AutoencoderKlConfig, Tap};
use crate::checkpoint::TensorReader;
use crate::nn::conv::{Conv, GroupNorm};
use crate::nn::ops;
use crate::nn::resnet::Resnet;

/// Latents `[B, C, H, W]` to pixels `[B, 3, 8 H, 8 W]`.
#[derive(Debug)]
pub struct Decoder {
    pub(super) conv_in: Conv,
    pub(super) mid: MidBlock,
    pub(super) levels: Vec<(Vec<Resnet>, Option<Conv>)>,
    pub(super) norm_out: GroupNorm,
    pub(super) conv_out: Conv,
}

impl Decoder {
    /// Reads the weights under `decoder`.
    pub(super) fn load(config: &AutoencoderKlConfig, weights: &TensorReader) -> Self {
        let channels: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
        let last = channels.len() - 1;
        let levels = channels.iter().enumerate().map(|(level, &output)| {
            let weights = weights.at(format!("up_blocks.{level}"));
            // The decoder has one block more than the encoder.
            let resnets = (0..=config.layers_per_block).map(|i| {
                let input = if i == 0 { channels[level.saturating_sub(1)] } else { output };
                layers::resnet(config, &weights.at(format!("resnets.{i}")), input, output)
            });
            let resnets = resnets.collect();
            let doubling = (level < last).then(|| Conv::load(&weights.at("upsamplers.0.conv"), output, output, 3));
            (resnets, doubling)
        });
        Self {
            levels: levels.collect(),
            conv_in: Conv::load(&weights.at("conv_in"), config.latent_channels, channels[0], 3),
            mid: MidBlock::load(config, &weights.at("mid_block"), channels[0]),
            norm_out: layers::norm(config, &weights.at("conv_norm_out"), channels[last]),
            conv_out: Conv::load(&weights.at("conv_out"), channels[last], 3, 3),
        }
    }

    /// Latents in the autoencoder's own space, `[B, C, H, W]`, to RGB around -1..1, `[B, 3, 8H, 8W]`.
    pub(super) fn forward(&self, latents: Tensor<4>, tap: &mut Tap<'_>) -> Tensor<4> {
        let x = self.conv_in.forward(self.conv_in.adopt(latents));
        tap("conv_in", &x);
        let mut x = self.mid.forward(x, tap);
        for (level, (resnets, doubling)) in self.levels.iter().enumerate() {
            for resnet in resnets {
                x = resnet.forward(x, None);
            }
            if let Some(conv) = doubling {
                x = conv.forward(ops::upsample_nearest_2x(x));
            }
            tap(&format!("up_blocks.{level}"), &x);
        }
        self.conv_out.forward(ops::silu(self.norm_out.forward(x)))
    }
}
