//! The way up.

use burn::tensor::Tensor;

use super::conditioning::Conditioning;
use super::config::UnetConfig;
use super::down::{Bottom, layers, resnet, transformer};
use super::tap::{Scope, Tap, Tapped};
use super::transformer::Transformer;
use crate::checkpoint::TensorReader;
use crate::nn::adaptable::{self, AdaptableWeight};
use crate::nn::conv::{Conv, GroupNorm};
use crate::nn::ops;
use crate::nn::resnet::Resnet;

#[derive(Debug)]
pub(super) struct UpBlock {
    pub(super) layers: Vec<(Resnet, Option<Transformer>)>,
    pub(super) doubling: Option<Conv>,
}

/// `up_blocks`, `conv_norm_out` and `conv_out`.
#[derive(Debug)]
pub(super) struct Upward {
    pub(super) blocks: Vec<UpBlock>,
    pub(super) norm_out: GroupNorm,
    pub(super) conv_out: Conv,
}

impl Upward {
    pub(super) fn load(config: &UnetConfig, weights: &TensorReader) -> Self {
        let levels: Vec<_> = config.levels.iter().rev().collect();
        let last = levels.len() - 1;
        let block = |index: usize| {
            let weights = weights.at(format!("up_blocks.{index}"));
            let level = levels[index];
            // The last skip of a level on the way up was made by the level above it, before it was halved.
            let above = levels[(index + 1).min(last)].channels;
            let layer = |i: usize| {
                let input = if i == 0 { levels[index.saturating_sub(1)].channels } else { level.channels };
                let skip = if i == config.layers_per_block { above } else { level.channels };
                let resnet = resnet(config, &weights.at(format!("resnets.{i}")), [input + skip, level.channels]);
                let attention = weights.at(format!("attentions.{i}"));
                (resnet, level.has_attention.then(|| transformer(config, level, &attention)))
            };
            let doubling =
                (index < last).then(|| Conv::load(&weights.at("upsamplers.0.conv"), level.channels, level.channels, 3));
            UpBlock { layers: (0..=config.layers_per_block).map(layer).collect(), doubling }
        };
        let channels = config.levels[0].channels;
        Self {
            blocks: (0..levels.len()).map(block).collect(),
            norm_out: GroupNorm::load(&weights.at("conv_norm_out"), config.norm(), channels),
            conv_out: Conv::load(&weights.at("conv_out"), channels, config.out_channels, 3),
        }
    }

    /// The weights that adapters may change, by their names in diffusers.
    pub(super) fn adaptable(&mut self) -> Vec<AdaptableWeight<'_>> {
        let mut weights = Vec::new();
        for (index, block) in self.blocks.iter_mut().enumerate() {
            let path = format!("up_blocks.{index}");
            weights.extend(layers(&path, &mut block.layers));
            let doubling = block.doubling.iter_mut();
            weights.extend(doubling.flat_map(|conv| adaptable::conv(&format!("{path}.upsamplers.0.conv"), conv)));
        }
        weights.extend(adaptable::group_norm("conv_norm_out", &mut self.norm_out));
        weights.extend(adaptable::conv("conv_out", &mut self.conv_out));
        weights
    }

    /// `[B, out_channels, H, W]`
    pub(super) fn forward(&self, bottom: Bottom, conditioning: &Conditioning, tap: &mut Tap<'_>) -> Tensor<4> {
        let Bottom { mut x, mut skips, time } = bottom;
        let context = conditioning.context.clone().cast(self.conv_out.weight.dtype());
        for (index, block) in self.blocks.iter().enumerate() {
            let mut scope = Scope::new(tap, format!("up_blocks.{index}"));
            for (i, (resnet, transformer)) in block.layers.iter().enumerate() {
                let skip = skips.pop().expect("the way down left a skip for every layer of the way up");
                x = resnet.forward(Tensor::cat(vec![x, skip], 1), Some(&time));
                scope.images(&format!("resnets.{i}"), &x);
                if let Some(transformer) = transformer {
                    x = transformer.forward(x, &context, &mut scope.at(&format!("attentions.{i}")));
                }
            }
            if let Some(conv) = &block.doubling {
                // An edge that was odd when it was halved is one shorter than twice its half.
                let [.., height, width] = skips.last().expect("the next level has skips").dims();
                let doubled = ops::upsample_nearest_2x(x).narrow(2, 0, height).narrow(3, 0, width);
                x = conv.forward(doubled);
            }
            scope.images("", &x);
        }
        let x = self.norm_out.forward(x);
        tap("conv_norm_out", Tapped::Images(x.clone()));
        self.conv_out.forward(ops::silu(x))
    }
}
