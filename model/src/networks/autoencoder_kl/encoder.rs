//! Pixels to the posterior's parameters.

use burn::tensor::Tensor;

use super::layers::{self, MidBlock};
use super::{AutoencoderKlConfig, Tap};
use crate::checkpoint::TensorReader;
use crate::nn::conv::{Conv, GroupNorm};
use crate::nn::ops;
use crate::nn::resnet::Resnet;

/// Pixels `[B, 3, 8 H, 8 W]` to the moments of the latents `[B, 2 C, H, W]`.
#[derive(Debug)]
pub struct Encoder {
    pub(super) conv_in: Conv,
    pub(super) levels: Vec<(Vec<Resnet>, Option<Conv>)>,
    pub(super) mid: MidBlock,
    pub(super) norm_out: GroupNorm,
    pub(super) conv_out: Conv,
}

impl Encoder {
    /// Reads the weights under `encoder`.
    pub(super) fn load(config: &AutoencoderKlConfig, weights: &TensorReader) -> Self {
        let channels = &config.block_out_channels;
        let last = channels.len() - 1;
        let levels = channels.iter().enumerate().map(|(level, &output)| {
            let weights = weights.at(format!("down_blocks.{level}"));
            let resnets = (0..config.layers_per_block).map(|i| {
                let input = if i == 0 { channels[level.saturating_sub(1)] } else { output };
                layers::resnet(config, &weights.at(format!("resnets.{i}")), input, output)
            });
            let resnets = resnets.collect();
            let halving = (level < last).then(|| Conv::load(&weights.at("downsamplers.0.conv"), output, output, 3));
            (resnets, halving)
        });
        Self {
            levels: levels.collect(),
            conv_in: Conv::load(&weights.at("conv_in"), 3, channels[0], 3),
            mid: MidBlock::load(config, &weights.at("mid_block"), channels[last]),
            norm_out: layers::norm(config, &weights.at("conv_norm_out"), channels[last]),
            conv_out: Conv::load(&weights.at("conv_out"), channels[last], 2 * config.latent_channels, 3),
        }
    }

    /// RGB in -1..1, `[B, 3, 8H, 8W]`, to mean and log-variance stacked, `[B, 2C, H, W]`.
    pub(super) fn forward(&self, image: Tensor<4>, tap: &mut Tap<'_>) -> Tensor<4> {
        let mut x = self.conv_in.forward(self.conv_in.adopt(image));
        tap("conv_in", &x);
        for (level, (resnets, halving)) in self.levels.iter().enumerate() {
            for resnet in resnets {
                x = resnet.forward(x, None);
            }
            if let Some(conv) = halving {
                x = conv.forward_halving_from_corner(x);
            }
            tap(&format!("down_blocks.{level}"), &x);
        }
        let x = self.mid.forward(x, tap);
        self.conv_out.forward(ops::silu(self.norm_out.forward(x)))
    }
}
