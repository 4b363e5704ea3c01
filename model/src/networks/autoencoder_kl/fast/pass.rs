//! Decodes one image.

use super::memory::{Buffers, Chunks};
use super::weights::{Convolution, Residual, SelfAttention, TAPS, Weights};
use crate::cuda::BF16;
use crate::cuda::CudaError;
use crate::cuda::convolution::{Operands, Shape};
use crate::cuda::image_kernels::{GroupNorm, Image, Terms};
use crate::cuda::operand::Operand;
use crate::cuda::product::{Factor, Matrix, Output, Product};
use crate::cuda::profile::Cost;
use crate::cuda::session::Session;

/// Side of every filter but those of shortcuts.
const KERNEL: usize = 3;

/// One image on its way through the decoder.
pub(crate) struct Pass<'p, 's> {
    session: &'p mut Session<'s>,
    x: u64,
    normed: u64,
    hidden: u64,
    partials: u64,
    table: u64,
}

impl<'p, 's> Pass<'p, 's> {
    pub(crate) fn new(session: &'p mut Session<'s>, base: u64, buffers: &Buffers) -> Self {
        let [x, normed, hidden, partials, table] =
            [buffers.x, buffers.normed, buffers.hidden, buffers.partials, buffers.table]
                .map(|place| place.in_scratch(base));
        Self { session, x, normed, hidden, partials, table }
    }

    pub(crate) fn decode(
        &mut self,
        weights: &Weights,
        latents: &Operand,
        row: usize,
        out: u64,
    ) -> Result<(), CudaError> {
        let [_, _, height, width] = latents.shape[..] else { unreachable!("latents have four axes") };
        let stream = self.session.stream;
        self.session.enter("autoencoder_kl");
        let mut image = Image { height, width, channels: weights.conv_in.output };
        let range = (weights.divisor, weights.shift);
        let kernels = self.session.image_kernels;
        kernels.channels_last(stream, latents, row, self.normed, weights.conv_in.input, range)?;
        // The middle counts as level 0.
        self.session.layer(Some(0));
        self.convolve(image, &weights.conv_in, self.x)?;
        self.merge(image, Terms { x: self.x, bias: weights.conv_in.bias, residual: 0 })?;

        let terms = self.residual(&mut image, &weights.first)?;
        self.merge(image, terms)?;
        if let Some(attention) = &weights.attention {
            self.attend(image, attention)?;
        }
        let terms = self.residual(&mut image, &weights.second)?;
        self.merge(image, terms)?;

        for (level, (blocks, doubling)) in weights.levels.iter().enumerate() {
            self.session.layer(Some(level + 1));
            let last = blocks.len().saturating_sub(1);
            for (i, block) in blocks.iter().enumerate() {
                let terms = self.residual(&mut image, block)?;
                match doubling {
                    // Only the next convolution reads this sum. Not for a block with a shortcut, whose result is in
                    // `normed`.
                    Some(conv) if i == last && block.shortcut.is_none() => {
                        kernels.merge_double(stream, image, terms, self.normed)?;
                        self.session.mark("sum and double", Cost::moved(6 * image.elements()))?;
                        self.enlarged(&mut image, conv)?;
                    }
                    Some(conv) if i == last => {
                        self.merge(image, terms)?;
                        let alone = Terms { x: self.x, ..Terms::default() };
                        kernels.merge_double(stream, image, alone, self.normed)?;
                        self.session.mark("sum and double", Cost::moved(5 * image.elements()))?;
                        self.enlarged(&mut image, conv)?;
                    }
                    _ => self.merge(image, terms)?,
                }
            }
        }

        self.normalise(image, &weights.norm_out, 0, self.x, true)?;
        let taps =
            Product { output: Output::F32, ..Product::linear(image.pixels(), self.normed, &weights.taps, self.hidden) };
        self.session.products.run(stream, &taps)?;
        self.session.mark("last convolution", Cost::product(image.pixels(), image.channels, TAPS))?;
        kernels.gather_rgb(stream, image, (self.hidden, TAPS), weights.bias_out, out)?;
        self.session.layer(None);
        self.session.mark("gather colours", Cost { flops: 0.0, bytes: (image.pixels() * (TAPS + 3) * 4) as f64 })
    }

    /// The convolution after upsampling, from `normed` to the stream.
    fn enlarged(&mut self, image: &mut Image, conv: &Convolution) -> Result<(), CudaError> {
        *image = image.doubled().with_channels(conv.output);
        self.convolve(*image, conv, self.x)?;
        self.merge(*image, Terms { x: self.x, bias: conv.bias, residual: 0 })
    }

    /// A residual block without its final sum, whose terms are returned.
    fn residual(&mut self, image: &mut Image, block: &Residual) -> Result<Terms, CudaError> {
        let stream = self.session.stream;
        self.normalise(*image, &block.norm1, 0, self.x, true)?;
        *image = image.with_channels(block.conv1.output);
        self.convolve(*image, &block.conv1, self.hidden)?;
        let terms = Terms { x: self.hidden, bias: block.conv1.bias, residual: 0 };
        self.session.image_kernels.merge(stream, *image, terms, 0, self.partials)?;
        self.session.mark("sums for the norm", Cost::moved(image.elements()))?;
        self.normalise(*image, &block.norm2, block.conv1.bias, self.hidden, true)?;
        self.convolve(*image, &block.conv2, self.hidden)?;
        let residual = match &block.shortcut {
            Some(layer) => {
                let product = Product::linear(image.pixels(), self.x, layer, self.normed);
                self.session.products.run(stream, &product)?;
                self.session.mark("shortcut", Cost::product(image.pixels(), layer.d_input, layer.d_output))?;
                self.normed
            }
            None => self.x,
        };
        Ok(Terms { x: self.hidden, bias: block.conv2.bias, residual })
    }

    /// From `normed` to `y`; `image` is the result.
    fn convolve(&mut self, image: Image, conv: &Convolution, y: u64) -> Result<(), CudaError> {
        let shape =
            Shape { height: image.height, width: image.width, input: conv.input, output: conv.output, kernel: KERNEL };
        let operands = Operands { x: self.normed, filter: conv.filter, y };
        self.session.convolutions.run(self.session.stream, &shape, operands)?;
        self.session.mark("convolution", Cost::product(image.pixels(), KERNEL * KERNEL * conv.input, conv.output))
    }

    /// Writes the sum of `terms` to the stream.
    fn merge(&mut self, image: Image, terms: Terms) -> Result<(), CudaError> {
        self.session.image_kernels.merge(self.session.stream, image, terms, self.x, self.partials)?;
        self.session.mark("sum of branches", Cost::moved(3 * image.elements()))
    }

    /// The norm of the last sum, of `from` and the bias `added`, to `normed`.
    fn normalise(
        &mut self,
        image: Image,
        norm: &GroupNorm,
        added: u64,
        from: u64,
        activate: bool,
    ) -> Result<(), CudaError> {
        let (stream, kernels) = (self.session.stream, self.session.image_kernels);
        kernels.group_table(stream, image, norm, added, self.partials, self.table)?;
        kernels.scale_shift(stream, image, from, self.table, self.normed, activate)?;
        self.session.mark("group norm and SiLU", Cost::moved(2 * image.elements()))
    }

    /// Single-head self-attention over all positions, with residual.
    fn attend(&mut self, image: Image, attention: &SelfAttention) -> Result<(), CudaError> {
        let (stream, kernels) = (self.session.stream, self.session.image_kernels);
        let (positions, channels) = (image.pixels(), image.channels);
        let chunks = Chunks::of(positions);
        self.normalise(image, &attention.norm, 0, self.x, false)?;
        let [q, k, v, attended] = [0, 1, 2, 3].map(|part| self.hidden + (part * chunks.tokens_bytes(channels)) as u64);
        for (layer, to) in [(&attention.q, q), (&attention.k, k), (&attention.v, v)] {
            self.session.products.run(stream, &Product::linear(positions, self.normed, layer, to))?;
        }
        // The scores reuse the memory of the projections' input.
        let (scores, weights) = (self.normed, self.normed + chunks.scores_bytes() as u64);
        let token = |at: u64, index: usize| Matrix { at: at + (index * channels) as u64 * BF16, row_stride: channels };
        for first in (0..positions).step_by(chunks.rows) {
            let rows = chunks.rows.min(positions - first);
            let product = Product {
                size: [rows, channels, positions],
                x: token(q, first),
                w: token(k, 0),
                factor: Factor::OutIn,
                bias: None,
                y: Matrix { at: scores, row_stride: chunks.stride },
                output: Output::F32,
                alpha: 1.0 / (channels as f32).sqrt(),
                batch: None,
            };
            self.session.products.run(stream, &product)?;
            kernels.softmax_rows(stream, scores, weights, [rows, positions], chunks.stride)?;
            let product = Product {
                size: [rows, positions, channels],
                x: Matrix { at: weights, row_stride: chunks.stride },
                w: token(v, 0),
                factor: Factor::InOut,
                y: token(attended, first),
                output: Output::Bf16,
                alpha: 1.0,
                ..product
            };
            self.session.products.run(stream, &product)?;
        }
        self.session.products.run(stream, &Product::linear(positions, attended, &attention.out, self.normed))?;
        let flops = Cost::product(positions, channels, 2 * positions + 4 * channels).flops;
        self.session.mark("attention", Cost { flops, bytes: 0.0 })?;
        self.merge(image, Terms { x: self.normed, bias: 0, residual: self.x })
    }
}
