//! Decodes or encodes one image.

use super::memory::{Buffers, Chunks};
use super::weights::{DecoderWeights, EncoderWeights, Middle, Residual, SelfAttention, TAPS};
use crate::cuda::BF16;
use crate::cuda::CudaError;
use crate::cuda::convolution::{Operands, Shape};
use crate::cuda::image_kernels::{GroupNorm, Image, Normed, Terms};
use crate::cuda::image_weights::Convolution;
use crate::cuda::kernels::Modulation;
use crate::cuda::operand::Operand;
use crate::cuda::product::{Factor, Matrix, Output, Product};
use crate::cuda::profile::Cost;
use crate::cuda::session::Session;

/// Side of every filter but those of shortcuts.
const KERNEL: usize = 3;

/// One image on its way through the decoder or the encoder.
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

    /// One row of model latents, f32 `[rows, channels, height, width]`, to RGB in 0..1: f32 `[3, 8 height, 8 width]` at `out`.
    ///
    /// # Errors
    ///
    /// A library or the driver refuses.
    pub(crate) fn decode(
        &mut self,
        weights: &DecoderWeights,
        latents: &Operand,
        row: usize,
        out: u64,
    ) -> Result<(), CudaError> {
        let (stream, kernels) = (self.session.stream, self.session.image_kernels);
        let mut image = self.begin(latents, row, &weights.conv_in, (weights.divisor, weights.shift))?;
        self.middle(&mut image, &weights.middle)?;

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

    /// One row of RGB in -1..1, f32 `[rows, 3, height, width]`, to the mode of the posterior as model latents: f32
    /// `[channels, height / 8, width / 8]` at `out`.
    ///
    /// # Errors
    ///
    /// A library or the driver refuses.
    pub(crate) fn encode(
        &mut self,
        weights: &EncoderWeights,
        pixels: &Operand,
        row: usize,
        out: u64,
    ) -> Result<(), CudaError> {
        let (stream, kernels) = (self.session.stream, self.session.image_kernels);
        let mut image = self.begin(pixels, row, &weights.conv_in, (1.0, 0.0))?;
        for (level, (blocks, halving)) in weights.levels.iter().enumerate() {
            self.session.layer(Some(level + 1));
            for block in blocks {
                let terms = self.residual(&mut image, block)?;
                self.merge(image, terms)?;
            }
            if let Some(conv) = halving {
                self.halved(&mut image, conv)?;
            }
        }
        self.session.layer(Some(0));
        self.middle(&mut image, &weights.middle)?;

        self.session.layer(None);
        self.normalise(image, &weights.norm_out, 0, self.x, true)?;
        let moments = image.with_channels(weights.conv_out.output);
        self.convolve(moments, &weights.conv_out, self.hidden)?;
        let biased = match &weights.quant {
            None => (self.hidden, weights.conv_out.bias),
            Some(layer) => {
                self.merge(moments, Terms { x: self.hidden, bias: weights.conv_out.bias, ..Terms::default() })?;
                let product = Product::linear(moments.pixels(), self.x, layer, self.normed);
                self.session.products.run(stream, &product)?;
                (self.normed, 0)
            }
        };
        let range = (weights.shift, weights.scale);
        kernels.channels_first(stream, moments, biased, out, weights.latent_channels, range)?;
        self.session.mark("latents", Cost::moved(2 * moments.elements()))
    }

    /// A row of an image of f32 values, `value / divisor + shift`, through the first convolution to the stream.
    fn begin(
        &mut self,
        values: &Operand,
        row: usize,
        conv: &Convolution,
        range: (f32, f32),
    ) -> Result<Image, CudaError> {
        let [_, _, height, width] = values.shape[..] else { unreachable!("images have four axes") };
        let stream = self.session.stream;
        self.session.enter("autoencoder_kl");
        let image = Image { height, width, channels: conv.output };
        self.session.image_kernels.channels_last(stream, values, row, self.normed, conv.input, range)?;
        // The middle counts as level 0.
        self.session.layer(Some(0));
        self.convolve(image, conv, self.x)?;
        self.merge(image, Terms { x: self.x, bias: conv.bias, ..Terms::default() })?;
        Ok(image)
    }

    fn middle(&mut self, image: &mut Image, middle: &Middle) -> Result<(), CudaError> {
        let terms = self.residual(image, &middle.first)?;
        self.merge(*image, terms)?;
        if let Some(attention) = &middle.attention {
            self.attend(*image, attention)?;
        }
        let terms = self.residual(image, &middle.second)?;
        self.merge(*image, terms)
    }

    /// The convolution with stride 2 of the stream, which reads zeros below and to the right of it: the image is copied to one
    /// with a row and a column of zeros more, since not every engine of cuDNN pads two sides only.
    fn halved(&mut self, image: &mut Image, conv: &Convolution) -> Result<(), CudaError> {
        let row_bytes = |image: &Image| image.width * image.channels * BF16 as usize;
        let extended = image.extended();
        self.session.zero(self.normed, extended.elements() * BF16 as usize)?;
        let (from, to) = ((self.x, row_bytes(image)), (self.normed, row_bytes(&extended)));
        self.session.copy_rows(from, to, row_bytes(image), image.height)?;
        self.session.mark("zeros for halving", Cost::moved(3 * image.elements()))?;
        *image = image.halved().with_channels(conv.output);
        self.convolve_by(*image, conv, self.x, (2, 0))?;
        self.merge(*image, Terms { x: self.x, bias: conv.bias, ..Terms::default() })
    }

    /// The convolution after upsampling, from `normed` to the stream.
    fn enlarged(&mut self, image: &mut Image, conv: &Convolution) -> Result<(), CudaError> {
        *image = image.doubled().with_channels(conv.output);
        self.convolve(*image, conv, self.x)?;
        self.merge(*image, Terms { x: self.x, bias: conv.bias, ..Terms::default() })
    }

    /// A residual block without its final sum, whose terms are returned.
    fn residual(&mut self, image: &mut Image, block: &Residual) -> Result<Terms, CudaError> {
        let stream = self.session.stream;
        self.normalise(*image, &block.norm1, 0, self.x, true)?;
        *image = image.with_channels(block.conv1.output);
        self.convolve(*image, &block.conv1, self.hidden)?;
        let terms = Terms { x: self.hidden, bias: block.conv1.bias, ..Terms::default() };
        self.session.image_kernels.merge(stream, (*image, 1), terms, 0, self.partials)?;
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
        Ok(Terms { x: self.hidden, bias: block.conv2.bias, residual, ..Terms::default() })
    }

    /// From `normed` to `y`, of the same height and width; `image` is the result.
    fn convolve(&mut self, image: Image, conv: &Convolution, y: u64) -> Result<(), CudaError> {
        self.convolve_by(image, conv, y, (1, KERNEL / 2))
    }

    /// From `normed` to `y` with this stride and padding; `image` is the result.
    fn convolve_by(
        &mut self,
        image: Image,
        conv: &Convolution,
        y: u64,
        (stride, padding): (usize, usize),
    ) -> Result<(), CudaError> {
        let input_size = [image.height, image.width].map(|size| (size - 1) * stride + KERNEL - 2 * padding);
        let (input, output) = (conv.input, conv.output);
        let shape = Shape { batch: 1, input_size, input, output, kernel: KERNEL, stride, padding };
        let operands = Operands { x: self.normed, filter: conv.filter, y };
        self.session.convolutions.run(self.session.stream, &shape, operands)?;
        self.session.mark("convolution", Cost::product(image.pixels(), KERNEL * KERNEL * conv.input, conv.output))
    }

    /// Writes the sum of `terms` to the stream.
    fn merge(&mut self, image: Image, terms: Terms) -> Result<(), CudaError> {
        self.session.image_kernels.merge(self.session.stream, (image, 1), terms, self.x, self.partials)?;
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
        let (partials, row_added) = (self.partials, Modulation::default());
        let normed = Normed { image, rows: 1, partials, tail: None, added, row_added };
        kernels.group_table(stream, &normed, norm, self.table)?;
        kernels.scale_shift(stream, (image, 1), from, None, self.table, self.normed, activate)?;
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
        self.merge(image, Terms { x: self.normed, residual: self.x, ..Terms::default() })
    }
}
