//! Addresses of the weights of a decoder or an encoder.

use std::sync::Arc;

use crate::cuda::image_kernels::GroupNorm;
use crate::cuda::image_weights::{Convolution, ImagePins, Owned, check_channels};
use crate::cuda::product::Layer;
use crate::cuda::{CudaError, Gpu};
use crate::networks::autoencoder_kl::AutoencoderKlConfig;
use crate::networks::autoencoder_kl::decoder::Decoder;
use crate::networks::autoencoder_kl::encoder::Encoder;
use crate::networks::autoencoder_kl::layers::{Attention, MidBlock};
use crate::nn::conv::Conv;
use crate::nn::resnet::Resnet;

/// Rows of the last filter as one matrix: three channels for each of its nine positions, padded to whole vectors.
pub(crate) const TAPS: usize = 32;

/// Addresses of a decoder's weights.
pub(crate) struct DecoderWeights {
    pub latent_channels: usize,
    /// From model latents to the decoder's own.
    pub divisor: f32,
    pub shift: f32,
    pub conv_in: Convolution,
    pub middle: Middle,
    pub levels: Vec<Level>,
    pub norm_out: GroupNorm,
    /// The last convolution, as one product for all positions of its filter.
    pub taps: Layer,
    pub bias_out: u64,
    #[expect(dead_code, reason = "it keeps the addresses above valid")]
    pub owned: Owned,
}

/// Addresses of an encoder's weights.
pub(crate) struct EncoderWeights {
    pub latent_channels: usize,
    /// From the encoder's latents to model latents.
    pub shift: f32,
    pub scale: f32,
    pub conv_in: Convolution,
    pub levels: Vec<Level>,
    pub middle: Middle,
    pub norm_out: GroupNorm,
    pub conv_out: Convolution,
    /// Mixes the channels of the result.
    pub quant: Option<Layer>,
    #[expect(dead_code, reason = "it keeps the addresses above valid")]
    pub owned: Owned,
}

/// The blocks of a level, and the convolution that changes the size of the image after them.
pub(crate) type Level = (Vec<Residual>, Option<Convolution>);

/// Residual block, attention, residual block at the lowest resolution.
pub(crate) struct Middle {
    pub first: Residual,
    pub attention: Option<SelfAttention>,
    pub second: Residual,
}

pub(crate) struct Residual {
    pub norm1: GroupNorm,
    pub conv1: Convolution,
    pub norm2: GroupNorm,
    pub conv2: Convolution,
    pub shortcut: Option<Layer>,
}

pub(crate) struct SelfAttention {
    pub norm: GroupNorm,
    pub q: Layer,
    pub k: Layer,
    pub v: Layer,
    pub out: Layer,
}

impl DecoderWeights {
    /// # Errors
    ///
    /// The kernels do not take these channels, or the device fails.
    pub(crate) fn of(gpu: &Arc<Gpu>, config: &AutoencoderKlConfig, decoder: &Decoder) -> Result<Self, CudaError> {
        check_channels(&config.block_out_channels)?;
        let [_, channels, ..] = decoder.conv_out.weight.dims();
        let (weights, owned) = ImagePins::batched(gpu, |pins| {
            Ok(Self {
                latent_channels: config.latent_channels,
                divisor: config.scaling_factor as f32,
                shift: config.shift_factor as f32,
                conv_in: pins.convolution(&decoder.conv_in)?,
                middle: middle(pins, &decoder.mid)?,
                levels: levels(pins, &decoder.levels)?,
                norm_out: pins.norm(&decoder.norm_out)?,
                taps: pins.matrix(&decoder.conv_out, [TAPS, channels], None)?,
                bias_out: pins.pins.vector(&decoder.conv_out.bias)?,
                owned: Owned::default(),
            })
        })?;
        Ok(Self { owned, ..weights })
    }
}

impl EncoderWeights {
    /// # Errors
    ///
    /// As [`DecoderWeights::of`].
    pub(crate) fn of(
        gpu: &Arc<Gpu>,
        config: &AutoencoderKlConfig,
        encoder: &Encoder,
        quant_conv: Option<&Conv>,
    ) -> Result<Self, CudaError> {
        check_channels(&config.block_out_channels)?;
        check_channels(&[2 * config.latent_channels])?;
        let (weights, owned) = ImagePins::batched(gpu, |pins| {
            Ok(Self {
                latent_channels: config.latent_channels,
                shift: config.shift_factor as f32,
                scale: config.scaling_factor as f32,
                conv_in: pins.convolution(&encoder.conv_in)?,
                levels: levels(pins, &encoder.levels)?,
                middle: middle(pins, &encoder.mid)?,
                norm_out: pins.norm(&encoder.norm_out)?,
                conv_out: pins.convolution(&encoder.conv_out)?,
                quant: quant_conv.map(|conv| pins.pointwise(conv)).transpose()?,
                owned: Owned::default(),
            })
        })?;
        Ok(Self { owned, ..weights })
    }
}

fn levels(pins: &ImagePins<'_>, levels: &[(Vec<Resnet>, Option<Conv>)]) -> Result<Vec<Level>, CudaError> {
    let level = |(blocks, resize): &(Vec<Resnet>, Option<Conv>)| {
        let blocks = blocks.iter().map(|block| residual(pins, block)).collect::<Result<Vec<_>, _>>()?;
        Ok((blocks, resize.as_ref().map(|conv| pins.convolution(conv)).transpose()?))
    };
    levels.iter().map(level).collect()
}

fn middle(pins: &ImagePins<'_>, middle: &MidBlock) -> Result<Middle, CudaError> {
    Ok(Middle {
        first: residual(pins, &middle.first)?,
        attention: middle.attention.as_ref().map(|layer| attention(pins, layer)).transpose()?,
        second: residual(pins, &middle.second)?,
    })
}

fn residual(pins: &ImagePins<'_>, block: &Resnet) -> Result<Residual, CudaError> {
    Ok(Residual {
        shortcut: block.shortcut.as_ref().map(|conv| pins.pointwise(conv)).transpose()?,
        norm1: pins.norm(&block.norm1)?,
        conv1: pins.convolution(&block.conv1)?,
        norm2: pins.norm(&block.norm2)?,
        conv2: pins.convolution(&block.conv2)?,
    })
}

fn attention(pins: &ImagePins<'_>, attention: &Attention) -> Result<SelfAttention, CudaError> {
    Ok(SelfAttention {
        norm: pins.norm(&attention.norm)?,
        q: pins.pins.linear(&attention.to_q)?,
        k: pins.pins.linear(&attention.to_k)?,
        v: pins.pins.linear(&attention.to_v)?,
        out: pins.pins.linear(&attention.to_out)?,
    })
}
