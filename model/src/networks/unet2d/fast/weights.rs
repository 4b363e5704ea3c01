//! Addresses of the weights of a U-Net and of its control network.

use std::sync::Arc;

use burn::nn::Linear;

use crate::cuda::image_kernels::GroupNorm;
use crate::cuda::image_weights::{Convolution, ImagePins, Owned, check_channels};
use crate::cuda::product::{Layer, Matrix};
use crate::cuda::transformer_kernels::NORM_WIDTH_MAX;
use crate::cuda::{BF16, CudaError, Gpu};
use crate::networks::unet2d::config::UnetConfig;
use crate::networks::unet2d::down::Downward;
use crate::networks::unet2d::time::Mlp;
use crate::networks::unet2d::transformer::{self, Transformer};
use crate::networks::unet2d::up::Upward;
use crate::nn::block::Heads;
use crate::nn::conv::Conv;
use crate::nn::layer_norm::LayerNorm;
use crate::nn::resnet::Resnet;

/// Vectors of different layers begin at multiples of this many values, so that products write to aligned addresses.
const ALIGNED: usize = 128;

/// Addresses of the weights of the embeddings, the way down and the middle.
pub(super) struct Descent {
    pub(super) in_channels: usize,
    pub(super) context_dim: usize,
    pub(super) time: [Layer; 2],
    pub(super) added: [Layer; 2],
    /// What each residual block adds for the time, also those of the way up: its layer, and where its values begin in the
    /// vector of all.
    pub(super) shifts: Parts,
    /// Keys and values of the text of each block, likewise.
    pub(super) keys_values: Parts,
    pub(super) conv_in: Convolution,
    pub(super) down: Vec<Level>,
    pub(super) mid: (Residual, SpatialTransformer, Residual),
    #[expect(dead_code, reason = "it keeps the addresses above valid")]
    owned: Arc<Owned>,
}

/// Addresses of a U-Net's weights.
pub(super) struct Weights {
    pub(super) descent: Arc<Descent>,
    pub(super) out_channels: usize,
    pub(super) up: Vec<Level>,
    pub(super) norm_out: GroupNorm,
    /// Its channels are padded to 8.
    pub(super) conv_out: Convolution,
}

/// Addresses of a control network's weights.
pub(super) struct ControlWeights {
    pub(super) descent: Arc<Descent>,
    /// The convolutions that read the image, each with its stride.
    pub(super) image: Vec<(Convolution, usize)>,
    /// After each skip and the middle.
    pub(super) residuals: Vec<Layer>,
}

/// Layers whose results stand one after the other.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) layers: Vec<(Layer, usize)>,
    /// Values of all results with their gaps.
    pub(super) width: usize,
}

impl Parts {
    /// Adds a layer; returns where its result begins.
    fn push(&mut self, layer: Layer) -> usize {
        let start = self.width;
        self.width += layer.d_output.next_multiple_of(ALIGNED);
        self.layers.push((layer, start));
        start
    }
}

/// Residual blocks with the transformers after them, and the convolution that changes the size of the image.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) layers: Vec<(Residual, Option<SpatialTransformer>)>,
    pub(super) resize: Option<Convolution>,
}

#[derive(Debug)]
pub(super) struct Residual {
    pub(super) norm1: GroupNorm,
    pub(super) conv1: Convolution,
    /// Where its values begin in the shifts.
    pub(super) shift: usize,
    pub(super) norm2: GroupNorm,
    pub(super) conv2: Convolution,
    /// Of the stream, and of the skip that is concatenated to it.
    pub(super) shortcut: Option<(Layer, Option<Layer>)>,
}

#[derive(Debug)]
pub(super) struct SpatialTransformer {
    pub(super) heads: Heads,
    pub(super) norm: GroupNorm,
    pub(super) proj_in: Layer,
    pub(super) blocks: Vec<Block>,
    pub(super) proj_out: Layer,
}

#[derive(Debug)]
pub(super) struct Block {
    /// Weight and bias.
    pub(super) norms: [(u64, u64); 3],
    pub(super) norm_eps: f32,
    pub(super) qkv: Layer,
    pub(super) out: Layer,
    pub(super) q: Layer,
    /// Where its keys and values begin.
    pub(super) keys_values: usize,
    pub(super) text_out: Layer,
    pub(super) value_gate: Layer,
    pub(super) down: Layer,
}

impl Weights {
    /// # Errors
    ///
    /// The kernels do not take these sizes, or the device fails.
    pub(super) fn of(gpu: &Arc<Gpu>, config: &UnetConfig, down: &Downward, up: &Upward) -> Result<Self, CudaError> {
        check(config)?;
        let ((descent, up, ends), owned) = ImagePins::batched(gpu, |pins| {
            let mut locating = Locating::new(pins);
            let way = locating.way_down(down)?;
            let levels = locating.way_up(way.2.2.conv2.output, up)?;
            let ends =
                (pins.norm(&up.norm_out)?, pins.convolution_to(&up.conv_out, config.out_channels.next_multiple_of(8))?);
            Ok((locating.descent(config, down, way)?, levels, ends))
        })?;
        let descent = Arc::new(Descent { owned: Arc::new(owned), ..descent });
        let (norm_out, conv_out) = ends;
        Ok(Self { descent, out_channels: config.out_channels, up, norm_out, conv_out })
    }
}

impl ControlWeights {
    /// `image` are the convolutions that read the image with their strides, `residuals` those after the skips and the middle.
    ///
    /// # Errors
    ///
    /// As [`Weights::of`].
    pub(super) fn of(
        gpu: &Arc<Gpu>,
        config: &UnetConfig,
        down: &Downward,
        image: &[(&Conv, usize)],
        residuals: &[&Conv],
    ) -> Result<Self, CudaError> {
        check(config)?;
        check_channels(&image.iter().map(|(conv, _)| conv.weight.dims()[0]).collect::<Vec<_>>())?;
        let ((descent, image, residuals), owned) = ImagePins::batched(gpu, |pins| {
            let mut locating = Locating::new(pins);
            let way = locating.way_down(down)?;
            let image = image.iter().map(|(conv, stride)| Ok::<_, CudaError>((pins.convolution(conv)?, *stride)));
            let image = image.collect::<Result<Vec<_>, _>>()?;
            let residuals = residuals.iter().map(|conv| pins.pointwise(conv)).collect::<Result<Vec<_>, _>>()?;
            Ok((locating.descent(config, down, way)?, image, residuals))
        })?;
        Ok(Self { descent: Arc::new(Descent { owned: Arc::new(owned), ..descent }), image, residuals })
    }
}

fn check(config: &UnetConfig) -> Result<(), CudaError> {
    for level in &config.levels {
        // Both inputs of a layer on the way up.
        check_channels(&[level.channels, 2 * level.channels])?;
        let head = level.channels / level.heads;
        if level.has_attention && (!head.is_multiple_of(8) || head > 128) {
            let what = "the size of a head";
            return Err(CudaError::Unsupported { what, found: head, wanted: "a multiple of 8 up to 128" });
        }
        if level.has_attention && level.channels > NORM_WIDTH_MAX {
            let what = "the width of a transformer";
            return Err(CudaError::Unsupported { what, found: level.channels, wanted: "at most 2048" });
        }
    }
    check_channels(&[config.cross_attention_dim, config.added_features])
}

/// The first convolution, the levels and the middle.
type WayDown = (Convolution, Vec<Level>, (Residual, SpatialTransformer, Residual));

/// Collects the layers whose results are computed together while it locates weights.
struct Locating<'a, 'p> {
    pins: &'a ImagePins<'p>,
    shifts: Parts,
    keys_values: Parts,
}

impl<'a, 'p> Locating<'a, 'p> {
    fn new(pins: &'a ImagePins<'p>) -> Self {
        Self { pins, shifts: Parts::default(), keys_values: Parts::default() }
    }

    /// The first convolution, the levels and the middle.
    fn way_down(&mut self, down: &Downward) -> Result<WayDown, CudaError> {
        let pins = self.pins;
        let conv_in = pins.convolution(&down.conv_in)?;
        let mut levels = Vec::new();
        for block in &down.blocks {
            let layers = block.layers.iter().map(|layer| self.layer(layer, None)).collect::<Result<Vec<_>, _>>()?;
            let resize = block.halving.as_ref().map(|conv| pins.convolution(conv)).transpose()?;
            levels.push(Level { layers, resize });
        }
        let mid = (
            self.residual(&down.mid.first, None)?,
            self.transformer(&down.mid.transformer)?,
            self.residual(&down.mid.second, None)?,
        );
        Ok((conv_in, levels, mid))
    }

    /// The levels of the way up, whose first layer reads `stream` channels and a skip.
    fn way_up(&mut self, mut stream: usize, up: &Upward) -> Result<Vec<Level>, CudaError> {
        let mut levels = Vec::new();
        for block in &up.blocks {
            let mut layers = Vec::new();
            for layer in &block.layers {
                layers.push(self.layer(layer, Some(stream))?);
                stream = layer.0.conv2.weight.dims()[0];
            }
            let resize = block.doubling.as_ref().map(|conv| self.pins.convolution(conv)).transpose()?;
            levels.push(Level { layers, resize });
        }
        Ok(levels)
    }

    /// What was located, with the embeddings.
    fn descent(
        self,
        config: &UnetConfig,
        down: &Downward,
        (conv_in, levels, mid): WayDown,
    ) -> Result<Descent, CudaError> {
        let pins = self.pins.pins;
        let mlp = |mlp: &Mlp| Ok::<_, CudaError>([pins.linear(&mlp.input)?, pins.linear(&mlp.output)?]);
        Ok(Descent {
            in_channels: config.in_channels,
            context_dim: config.cross_attention_dim,
            time: mlp(&down.time.time)?,
            added: mlp(&down.time.added)?,
            shifts: self.shifts,
            keys_values: self.keys_values,
            conv_in,
            down: levels,
            mid,
            owned: Arc::default(),
        })
    }

    fn layer(
        &mut self,
        (resnet, transformer): &(Resnet, Option<Transformer>),
        stream: Option<usize>,
    ) -> Result<(Residual, Option<SpatialTransformer>), CudaError> {
        let transformer = |located: &mut Self| transformer.as_ref().map(|layer| located.transformer(layer)).transpose();
        Ok((self.residual(resnet, stream)?, transformer(self)?))
    }

    /// A residual block. `stream` is the number of its input's channels that are not of a skip, if it has one.
    fn residual(&mut self, block: &Resnet, stream: Option<usize>) -> Result<Residual, CudaError> {
        let pins = self.pins;
        let [output, input, ..] = block.conv1.weight.dims();
        let shortcut = match (&block.shortcut, stream) {
            (None, None) => None,
            // Without a layer for the concatenated image it would have to be stored for the sum.
            (None, Some(_)) => {
                let what = "the channels of a layer with a skip";
                return Err(CudaError::Unsupported { what, found: input, wanted: "others than its result has" });
            }
            (Some(conv), None) => Some((pins.pointwise(conv)?, None)),
            (Some(conv), Some(channels)) => {
                let whole = pins.pointwise(conv)?;
                let skip = Matrix { at: whole.weight.at + channels as u64 * BF16, ..whole.weight };
                let skip = Layer { weight: skip, bias: None, d_input: input - channels, ..whole };
                Some((Layer { d_input: channels, ..whole }, Some(skip)))
            }
        };
        let time = block.time.as_ref().ok_or(CudaError::Unsupported {
            what: "the layers for the time of a residual block",
            found: 0,
            wanted: "1",
        })?;
        let shift = self.shifts.push(pins.pins.linear(time)?);
        let conv = |conv| pins.convolution(conv);
        debug_assert_eq!(block.conv2.weight.dims()[0], output, "both convolutions have the same result");
        Ok(Residual {
            norm1: pins.norm(&block.norm1)?,
            conv1: conv(&block.conv1)?,
            shift,
            norm2: pins.norm(&block.norm2)?,
            conv2: conv(&block.conv2)?,
            shortcut,
        })
    }

    fn transformer(&mut self, transformer: &Transformer) -> Result<SpatialTransformer, CudaError> {
        let pins = self.pins;
        let proj_in = pins.pins.linear(&transformer.proj_in)?;
        let heads = transformer.blocks.first().map_or(1, |block| block.own.heads);
        Ok(SpatialTransformer {
            heads: Heads { query: heads, kv: heads, dim: proj_in.d_output / heads },
            norm: pins.norm(&transformer.norm)?,
            proj_in,
            blocks: transformer.blocks.iter().map(|block| self.block(block)).collect::<Result<_, _>>()?,
            proj_out: pins.pins.linear(&transformer.proj_out)?,
        })
    }

    fn block(&mut self, block: &transformer::Block) -> Result<Block, CudaError> {
        let pins = self.pins.pins;
        let linear = |layer: &Linear| pins.linear(layer);
        let norm = |norm: &LayerNorm| Ok::<_, CudaError>((pins.vector(&norm.weight)?, pins.vector(&norm.bias)?));
        let [first, second, third] = &block.norms;
        Ok(Block {
            norms: [norm(first)?, norm(second)?, norm(third)?],
            norm_eps: transformer::LAYER_NORM_EPS as f32,
            qkv: linear(&block.own.qkv)?,
            out: linear(&block.own.out)?,
            q: linear(&block.text.q)?,
            keys_values: self.keys_values.push(linear(&block.text.kv)?),
            text_out: linear(&block.text.out)?,
            value_gate: linear(&block.value_gate)?,
            down: linear(&block.down)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_layers_begin_at_aligned_values() {
        let layer = |d_output| Layer { weight: Matrix { at: 0, row_stride: 8 }, bias: None, d_input: 8, d_output };
        let mut parts = Parts::default();
        assert_eq!([320, 8, 1280].map(|width| parts.push(layer(width))), [0, 384, 512]);
        assert_eq!((parts.width, parts.layers.len()), (1792, 3));
    }
}
