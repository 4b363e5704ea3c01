//! The way down and the middle, which the U-Net and its control network have in common.

use burn::tensor::Tensor;

use super::conditioning::Conditioning;
use super::config::{Level, UnetConfig};
use super::tap::{Scope, Tap, Tapped};
use super::time::TimeEmbedding;
use super::transformer::{Transformer, TransformerKind};
use crate::checkpoint::TensorReader;
use crate::nn::adaptable::{self, AdaptableWeight};
use crate::nn::conv::Conv;
use crate::nn::resnet::Resnet;

/// Reads the transformer of a level, which the way down, the middle and the way up build alike.
pub(super) fn transformer(config: &UnetConfig, level: &Level, weights: &TensorReader) -> Transformer {
    let kind = TransformerKind {
        channels: level.channels,
        heads: level.heads,
        depth: level.depth,
        context_dim: config.cross_attention_dim,
        groups: config.norm_num_groups,
    };
    Transformer::load(weights, kind)
}

/// A residual block of the U-Net.
pub(super) fn resnet(config: &UnetConfig, weights: &TensorReader, channels: [usize; 2]) -> Resnet {
    Resnet::load(weights, config.norm(), channels, Some(config.time_dim()))
}

#[derive(Debug)]
pub(super) struct DownBlock {
    pub(super) layers: Vec<(Resnet, Option<Transformer>)>,
    pub(super) halving: Option<Conv>,
}

#[derive(Debug)]
pub(super) struct MidBlock {
    pub(super) first: Resnet,
    pub(super) transformer: Transformer,
    pub(super) second: Resnet,
}

/// `conv_in`, the embeddings, `down_blocks` and `mid_block`.
#[derive(Debug)]
pub(super) struct Downward {
    pub(super) conv_in: Conv,
    pub(super) time: TimeEmbedding,
    pub(super) blocks: Vec<DownBlock>,
    pub(super) mid: MidBlock,
}

/// All weights of the layers of a level at `path`.
pub(super) fn layers<'a>(
    path: &str,
    layers: &'a mut [(Resnet, Option<Transformer>)],
) -> impl Iterator<Item = AdaptableWeight<'a>> {
    layers.iter_mut().enumerate().flat_map(move |(i, (resnet, transformer))| {
        let mut weights = adaptable::resnet(&format!("{path}.resnets.{i}"), resnet);
        weights.extend(transformer.iter_mut().flat_map(|layer| layer.adaptable(&format!("{path}.attentions.{i}"))));
        weights
    })
}

/// The results of the way down, which the way up reads.
pub(super) struct Bottom {
    /// After the middle, `[B, channels, h, w]`.
    pub(super) x: Tensor<4>,
    /// The skips, which the layers of the way up read, in the order in which they were made.
    pub(super) skips: Vec<Tensor<4>>,
    /// `[B, time_dim]`, after its SiLU.
    pub(super) time: Tensor<2>,
}

impl Downward {
    pub(super) fn load(config: &UnetConfig, weights: &TensorReader) -> Self {
        let levels = &config.levels;
        let last = levels.len() - 1;
        let block = |index: usize, level: &Level| {
            let weights = weights.at(format!("down_blocks.{index}"));
            let layer = |i: usize| {
                let input = if i == 0 { levels[index.saturating_sub(1)].channels } else { level.channels };
                let resnet = resnet(config, &weights.at(format!("resnets.{i}")), [input, level.channels]);
                let attention = weights.at(format!("attentions.{i}"));
                (resnet, level.has_attention.then(|| transformer(config, level, &attention)))
            };
            let halving = (index < last)
                .then(|| Conv::load(&weights.at("downsamplers.0.conv"), level.channels, level.channels, 3));
            DownBlock { layers: (0..config.layers_per_block).map(layer).collect(), halving }
        };
        let bottom = &levels[last];
        let mid = weights.at("mid_block");
        let mid_resnet = |i: usize| resnet(config, &mid.at(format!("resnets.{i}")), [bottom.channels; 2]);
        Self {
            conv_in: Conv::load(&weights.at("conv_in"), config.in_channels, levels[0].channels, 3),
            time: TimeEmbedding::load(config, weights),
            blocks: levels.iter().enumerate().map(|(index, level)| block(index, level)).collect(),
            mid: MidBlock {
                first: mid_resnet(0),
                transformer: transformer(config, bottom, &mid.at("attentions.0")),
                second: mid_resnet(1),
            },
        }
    }

    /// The weights that adapters may change, by their names in diffusers.
    pub(super) fn adaptable(&mut self) -> Vec<AdaptableWeight<'_>> {
        let mut weights = adaptable::conv("conv_in", &mut self.conv_in);
        weights.extend(self.time.adaptable());
        for (index, block) in self.blocks.iter_mut().enumerate() {
            let path = format!("down_blocks.{index}");
            weights.extend(layers(&path, &mut block.layers));
            let halving = block.halving.iter_mut();
            weights.extend(halving.flat_map(|conv| adaptable::conv(&format!("{path}.downsamplers.0.conv"), conv)));
        }
        let MidBlock { first, transformer, second } = &mut self.mid;
        weights.extend(adaptable::resnet("mid_block.resnets.0", first));
        weights.extend(transformer.adaptable("mid_block.attentions.0"));
        weights.extend(adaptable::resnet("mid_block.resnets.1", second));
        weights
    }

    /// `hint` is added after the first convolution, `[B, channels, H, W]`.
    pub(super) fn forward(
        &self,
        sample: Tensor<4>,
        times: &[f32],
        conditioning: &Conditioning,
        hint: Option<Tensor<4>>,
        tap: &mut Tap<'_>,
    ) -> Bottom {
        let time = self.time.forward(times, &conditioning.pooled, &conditioning.sizes, tap);
        let [batch, ..] = sample.dims();
        let time_dim = time.dims()[1];
        let time = time.expand([batch, time_dim]);
        let context = conditioning.context.clone().cast(self.conv_in.weight.dtype());
        let mut x = self.conv_in.forward(self.conv_in.adopt(sample));
        if let Some(hint) = hint {
            x = x + hint;
        }
        tap("conv_in", Tapped::Images(x.clone()));
        let mut skips = vec![x.clone()];
        for (index, block) in self.blocks.iter().enumerate() {
            let mut scope = Scope::new(tap, format!("down_blocks.{index}"));
            for (i, (resnet, transformer)) in block.layers.iter().enumerate() {
                x = resnet.forward(x, Some(&time));
                scope.images(&format!("resnets.{i}"), &x);
                if let Some(transformer) = transformer {
                    x = transformer.forward(x, &context, &mut scope.at(&format!("attentions.{i}")));
                }
                skips.push(x.clone());
            }
            if let Some(conv) = &block.halving {
                x = conv.forward_halving(x);
                skips.push(x.clone());
            }
            scope.images("", &x);
        }
        let mut scope = Scope::new(tap, "mid_block");
        x = self.mid.first.forward(x, Some(&time));
        scope.images("resnets.0", &x);
        x = self.mid.transformer.forward(x, &context, &mut scope.at("attentions.0"));
        x = self.mid.second.forward(x, Some(&time));
        scope.images("", &x);
        Bottom { x, skips, time }
    }

    /// Casts an image to the type of the weights.
    pub(super) fn adopt(&self, image: Tensor<4>) -> Tensor<4> {
        self.conv_in.adopt(image)
    }
}
