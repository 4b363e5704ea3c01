//! Addresses of the weights of a decoder or an encoder, copied to the layouts of the kernels where these differ.

use std::sync::Arc;

use burn::tensor::{DType, Tensor};

use crate::cuda::BF16;
use crate::cuda::bridge::{self, Pins};
use crate::cuda::image_kernels::{CHANNELS_MAX, GroupNorm};
use crate::cuda::operand::Operand;
use crate::cuda::product::{Layer, Matrix};
use crate::cuda::{CudaError, Gpu};
use crate::networks::autoencoder_kl::AutoencoderKlConfig;
use crate::networks::autoencoder_kl::decoder::Decoder;
use crate::networks::autoencoder_kl::encoder::Encoder;
use crate::networks::autoencoder_kl::layers::{Attention, MidBlock};
use crate::nn::conv::{self, Conv};
use crate::nn::resnet::Resnet;

/// Rows of the last filter as one matrix: three channels for each of its nine positions, padded to whole vectors.
pub(crate) const TAPS: usize = 32;

/// What keeps the weights at their addresses.
#[derive(Default)]
pub(crate) struct Owned {
    /// The filters in the order of the kernels.
    #[expect(dead_code, reason = "it owns the memory of addresses")]
    filters: Vec<Tensor<4>>,
    #[expect(dead_code, reason = "it keeps weights at their addresses")]
    pins: Option<Pins>,
}

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

#[derive(Debug, Clone, Copy)]
pub(crate) struct Convolution {
    pub filter: u64,
    pub bias: u64,
    pub input: usize,
    pub output: usize,
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

/// Pins weights, and copies those whose layout differs from that of the kernels.
pub(crate) struct Pinning {
    pins: Pins,
    filters: Vec<Tensor<4>>,
}

impl Pinning {
    pub(crate) fn new(gpu: &Arc<Gpu>) -> Self {
        Self { pins: Pins::new(gpu), filters: Vec::new() }
    }

    /// # Errors
    ///
    /// The kernels do not take these channels, or the device fails.
    pub(crate) fn decoder(
        mut self,
        config: &AutoencoderKlConfig,
        decoder: &Decoder,
    ) -> Result<DecoderWeights, CudaError> {
        check_channels(&config.block_out_channels)?;
        let conv_in = self.convolution(&decoder.conv_in)?;
        let middle = self.middle(&decoder.mid)?;
        let levels = self.levels(&decoder.levels)?;
        let norm_out = self.norm(&decoder.norm_out)?;
        let [_, channels, ..] = decoder.conv_out.weight.dims();
        Ok(DecoderWeights {
            latent_channels: config.latent_channels,
            divisor: config.scaling_factor as f32,
            shift: config.shift_factor as f32,
            conv_in,
            middle,
            levels,
            norm_out,
            taps: self.matrix(&decoder.conv_out, [TAPS, channels], None)?,
            bias_out: self.pins.vector(&decoder.conv_out.bias)?,
            owned: self.owned(),
        })
    }

    /// # Errors
    ///
    /// As [`decoder`](Self::decoder).
    pub(crate) fn encoder(
        mut self,
        config: &AutoencoderKlConfig,
        encoder: &Encoder,
        quant_conv: Option<&Conv>,
    ) -> Result<EncoderWeights, CudaError> {
        check_channels(&config.block_out_channels)?;
        check_channels(&[2 * config.latent_channels])?;
        Ok(EncoderWeights {
            latent_channels: config.latent_channels,
            shift: config.shift_factor as f32,
            scale: config.scaling_factor as f32,
            conv_in: self.convolution(&encoder.conv_in)?,
            levels: self.levels(&encoder.levels)?,
            middle: self.middle(&encoder.mid)?,
            norm_out: self.norm(&encoder.norm_out)?,
            conv_out: self.convolution(&encoder.conv_out)?,
            quant: quant_conv.map(|conv| self.pointwise(conv)).transpose()?,
            owned: self.owned(),
        })
    }

    fn owned(self) -> Owned {
        Owned { filters: self.filters, pins: Some(self.pins) }
    }

    fn levels(&mut self, levels: &[(Vec<Resnet>, Option<Conv>)]) -> Result<Vec<Level>, CudaError> {
        let level = |(blocks, resize): &(Vec<Resnet>, Option<Conv>)| {
            let blocks = blocks.iter().map(|block| self.residual(block)).collect::<Result<Vec<_>, _>>()?;
            Ok((blocks, resize.as_ref().map(|conv| self.convolution(conv)).transpose()?))
        };
        levels.iter().map(level).collect()
    }

    fn middle(&mut self, middle: &MidBlock) -> Result<Middle, CudaError> {
        Ok(Middle {
            first: self.residual(&middle.first)?,
            attention: middle.attention.as_ref().map(|attention| self.attention(attention)).transpose()?,
            second: self.residual(&middle.second)?,
        })
    }

    /// The filter as `[output, kernel, kernel, input]`, with inputs zero-padded to whole vectors.
    fn convolution(&mut self, conv: &Conv) -> Result<Convolution, CudaError> {
        let [output, input, kernel, _] = conv.weight.dims();
        let input = input.next_multiple_of(8);
        let filter = self.rearranged(&conv.weight, [0, 2, 3, 1], [output, kernel, kernel, input])?;
        Ok(Convolution { filter, bias: self.pins.vector(&conv.bias)?, input, output })
    }

    /// The filter as a matrix `[positions * output, input]`, zero-padded.
    fn matrix(&mut self, conv: &Conv, [rows, input]: [usize; 2], bias: Option<u64>) -> Result<Layer, CudaError> {
        let at = self.rearranged(&conv.weight, [2, 3, 0, 1], [1, 1, rows, input])?;
        Ok(Layer { weight: Matrix { at, row_stride: input }, bias, d_input: input, d_output: rows })
    }

    /// A convolution of width 1 with its bias.
    fn pointwise(&mut self, conv: &Conv) -> Result<Layer, CudaError> {
        let [output, input, ..] = conv.weight.dims();
        let bias = self.pins.vector(&conv.bias)?;
        self.matrix(conv, [output, input], Some(bias))
    }

    /// The address of a copy with its axes in this order, zero-padded to `shape`.
    fn rearranged(&mut self, weight: &Tensor<4>, order: [usize; 4], shape: [usize; 4]) -> Result<u64, CudaError> {
        let bytes = shape.iter().product::<usize>() * BF16 as usize;
        let copy = bridge::call(
            self.pins.gpu(),
            &[bridge::handle(weight)],
            shape,
            DType::BF16,
            move |session, operands, out| {
                session.zero(out, bytes)?;
                session.image_kernels.rearrange(session.stream, &operands[0], order, out, shape[3])
            },
        );
        let Operand { at, .. } = self.pins.tensor(&copy)?;
        self.filters.push(copy);
        Ok(at)
    }

    fn norm(&self, norm: &conv::GroupNorm) -> Result<GroupNorm, CudaError> {
        Ok(GroupNorm {
            weight: self.pins.vector(&norm.weight)?,
            bias: self.pins.vector(&norm.bias)?,
            groups: norm.kind.groups,
            eps: norm.kind.eps as f32,
        })
    }

    fn residual(&mut self, block: &Resnet) -> Result<Residual, CudaError> {
        Ok(Residual {
            shortcut: block.shortcut.as_ref().map(|conv| self.pointwise(conv)).transpose()?,
            norm1: self.norm(&block.norm1)?,
            conv1: self.convolution(&block.conv1)?,
            norm2: self.norm(&block.norm2)?,
            conv2: self.convolution(&block.conv2)?,
        })
    }

    fn attention(&self, attention: &Attention) -> Result<SelfAttention, CudaError> {
        Ok(SelfAttention {
            norm: self.norm(&attention.norm)?,
            q: self.pins.linear(&attention.to_q)?,
            k: self.pins.linear(&attention.to_k)?,
            v: self.pins.linear(&attention.to_v)?,
            out: self.pins.linear(&attention.to_out)?,
        })
    }
}

/// Refuses channels that the kernels do not take.
fn check_channels(channels: &[usize]) -> Result<(), CudaError> {
    match channels.iter().find(|channels| !channels.is_multiple_of(8) || **channels > CHANNELS_MAX) {
        None => Ok(()),
        Some(&found) => Err(CudaError::Unsupported {
            what: "the number of channels of the autoencoder",
            found,
            wanted: "a multiple of 8 up to 4096",
        }),
    }
}
