//! Evaluates the network for one batch.

use super::memory::{Buffers, Stored, bytes, halved};
use super::weights::{Block, ControlWeights, Descent, Residual, SpatialTransformer, Weights};
use crate::cuda::attention;
use crate::cuda::convolution::{Operands, Shape};
use crate::cuda::image_kernels::{GroupNorm, Image, Normed, Terms};
use crate::cuda::image_weights::Convolution;
use crate::cuda::kernels::Modulation;
use crate::cuda::operand::Operand;
use crate::cuda::product::{Layer, Product};
use crate::cuda::profile::Cost;
use crate::cuda::session::{Place, Session};
use crate::cuda::transformer_kernels::takes_keys;
use crate::cuda::{BF16, CudaError};

/// Side of every filter but those of shortcuts.
const KERNEL: usize = 3;

/// What was computed once for the batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shared {
    /// Rows of the batch.
    pub(super) rows: usize,
    /// Tokens of the text.
    pub(super) tokens: usize,
    /// Address of keys and values of all blocks.
    pub(super) keys_values: u64,
    /// The values that residual blocks add for the time of this step.
    pub(super) shifts: Modulation,
}

impl Shared {
    /// For the `step`-th of the times that `shifts` are for.
    pub(super) fn new(rows: usize, tokens: usize, keys_values: &Operand, shifts: &Operand, step: usize) -> Self {
        let stride = shifts.strides[0];
        let values = shifts.at + (step * rows * stride) as u64 * BF16;
        Self { rows, tokens, keys_values: keys_values.at, shifts: Modulation { values, stride: stride as i64 } }
    }
}

/// Images of a batch, and the sums of their channels.
#[derive(Debug, Clone, Copy)]
struct Features {
    image: Image,
    at: u64,
    partials: u64,
}

/// A batch on its way through the network.
pub(super) struct Pass<'p, 's> {
    session: &'p mut Session<'s>,
    shared: Shared,
    base: u64,
    buffers: &'p Buffers,
    /// Counts residual blocks, for profiles.
    layer: usize,
}

impl<'p, 's> Pass<'p, 's> {
    pub(super) fn new(session: &'p mut Session<'s>, base: u64, buffers: &'p Buffers, shared: Shared) -> Self {
        Self { session, shared, base, buffers, layer: 0 }
    }

    /// Latents, f32 `[rows, channels, height, width]`, to the prediction of the same size: f32
    /// `[rows, out_channels, height, width]` at `out`. `control` is the address of the residuals of control networks for all
    /// skips and the middle, `[rows, channels, height, width]` each, without gaps.
    ///
    /// # Errors
    ///
    /// A library or the driver refuses.
    pub(super) fn evaluate(
        &mut self,
        weights: &Weights,
        sample: &Operand,
        control: Option<u64>,
        out: u64,
    ) -> Result<(), CudaError> {
        self.session.enter("unet");
        let (mut skips, mut x) = self.descend(&weights.descent, sample, None)?;
        if let Some(control) = control {
            self.add_residuals(&skips, x, control)?;
        }
        let mut turn = 0;
        for level in &weights.up {
            for (block, transformer) in &level.layers {
                let skip = skips.pop();
                x = self.residual(x, skip, block, self.stream(turn))?;
                turn = 1 - turn;
                if let Some(transformer) = transformer {
                    self.transform(x, transformer)?;
                }
            }
            if let (Some(conv), Some(next)) = (&level.resize, skips.last()) {
                x = self.enlarge(x, conv, [next.image.height, next.image.width], self.stream(turn))?;
                turn = 1 - turn;
            }
        }
        self.session.layer(None);
        self.end(weights, x, out)
    }

    /// Latents as in [`evaluate`](Self::evaluate) to the residuals of a control network: bf16, as `control` there. `hint` is
    /// the address of what the network read in its image, `[rows, height, width, channels]`.
    ///
    /// # Errors
    ///
    /// A library or the driver refuses.
    pub(super) fn steer(
        &mut self,
        weights: &ControlWeights,
        sample: &Operand,
        hint: u64,
        mut out: u64,
    ) -> Result<(), CudaError> {
        self.session.enter("controlnet");
        let (skips, mid) = self.descend(&weights.descent, sample, Some(hint))?;
        self.session.layer(None);
        let hidden = self.at(self.buffers.hidden);
        for (x, layer) in skips.iter().chain([&mid]).zip(&weights.residuals) {
            self.product(self.count(x.image), x.at, layer, hidden, "residual")?;
            let Image { height, width, channels } = x.image;
            let residual = Operand::contiguous(hidden, &[self.shared.rows, height, width, channels]);
            let (stream, kernels) = (self.session.stream, self.session.image_kernels);
            kernels.rearrange(stream, &residual, [0, 3, 1, 2], out, width)?;
            self.session.mark("channels first", Cost::moved(2 * self.count(x.image) * channels))?;
            out += self.shared.rows as u64 * bytes(x.image);
        }
        Ok(())
    }

    /// The way down and the middle: the skips and the stream.
    fn descend(
        &mut self,
        weights: &Descent,
        sample: &Operand,
        hint: Option<u64>,
    ) -> Result<(Vec<Features>, Features), CudaError> {
        let mut skips = Vec::with_capacity(self.buffers.skips.len());
        let mut x = self.begin(weights, sample, hint)?;
        skips.push(x);
        for level in &weights.down {
            for (block, transformer) in &level.layers {
                let to = self.skip(skips.len());
                x = self.residual(x, None, block, to)?;
                if let Some(transformer) = transformer {
                    self.transform(x, transformer)?;
                }
                skips.push(x);
            }
            if let Some(conv) = &level.resize {
                let to = self.skip(skips.len());
                x = self.halve(x, conv, to)?;
                skips.push(x);
            }
        }
        let (first, transformer, second) = &weights.mid;
        x = self.residual(x, None, first, self.stream(0))?;
        self.transform(x, transformer)?;
        x = self.residual(x, None, second, self.stream(1))?;
        Ok((skips, x))
    }

    fn at(&self, place: Place) -> u64 {
        place.in_scratch(self.base)
    }

    fn skip(&self, index: usize) -> Stored {
        self.buffers.skips[index]
    }

    fn stream(&self, turn: usize) -> Stored {
        self.buffers.streams[turn]
    }

    fn features(&self, image: Image, stored: Stored) -> Features {
        Features { image, at: self.at(stored.at), partials: self.at(stored.partials) }
    }

    /// Tokens or pixels of the batch.
    fn count(&self, image: Image) -> usize {
        self.shared.rows * image.pixels()
    }

    /// The first convolution, and the sum with `hint`.
    fn begin(&mut self, weights: &Descent, sample: &Operand, hint: Option<u64>) -> Result<Features, CudaError> {
        let [rows, _, height, width] = sample.shape[..] else { return Err(CudaError::operands(0, "latents")) };
        let conv = &weights.conv_in;
        let image = Image { height, width, channels: conv.output };
        let normed = self.at(self.buffers.normed);
        for row in 0..rows {
            let to = normed + row as u64 * bytes(image.with_channels(conv.input));
            let (stream, kernels) = (self.session.stream, self.session.image_kernels);
            kernels.channels_last(stream, sample, row, to, conv.input, (1.0, 0.0))?;
        }
        let x = self.features(image, self.skip(0));
        self.convolve([height, width], conv, normed, x.at, 1)?;
        let terms = Terms { x: x.at, bias: conv.bias, residual: hint.unwrap_or(0), ..Terms::default() };
        self.merge(x.image, terms, x.at, x.partials)?;
        Ok(x)
    }

    /// The last norm and convolution.
    fn end(&mut self, weights: &Weights, x: Features, out: u64) -> Result<(), CudaError> {
        let (normed, hidden) = (self.at(self.buffers.normed), self.at(self.buffers.hidden));
        self.normalise(x, None, &weights.norm_out, true)?;
        let conv = &weights.conv_out;
        self.convolve([x.image.height, x.image.width], conv, normed, hidden, 1)?;
        let image = x.image.with_channels(conv.output);
        let plane_bytes = image.pixels() * weights.out_channels * size_of::<f32>();
        for row in 0..self.shared.rows {
            let from = hidden + row as u64 * bytes(image);
            let to = out + (row * plane_bytes) as u64;
            let (stream, kernels) = (self.session.stream, self.session.image_kernels);
            kernels.channels_first(stream, image, (from, conv.bias), to, weights.out_channels, (0.0, 1.0))?;
        }
        self.session.mark("prediction", Cost::moved(3 * self.count(image) * conv.output))
    }

    /// Adds the residuals of control networks to the skips and the middle.
    fn add_residuals(&mut self, skips: &[Features], mid: Features, mut at: u64) -> Result<(), CudaError> {
        let hidden = self.at(self.buffers.hidden);
        for x in skips.iter().chain([&mid]) {
            let Image { height, width, channels } = x.image;
            let residual = Operand::contiguous(at, &[self.shared.rows, channels, height, width]);
            let (stream, kernels) = (self.session.stream, self.session.image_kernels);
            kernels.rearrange(stream, &residual, [0, 2, 3, 1], hidden, channels)?;
            self.merge(x.image, Terms { x: x.at, residual: hidden, ..Terms::default() }, x.at, x.partials)?;
            at += self.shared.rows as u64 * bytes(x.image);
        }
        Ok(())
    }

    /// A residual block over `x` and the channels of a skip.
    fn residual(
        &mut self,
        x: Features,
        skip: Option<Features>,
        block: &Residual,
        to: Stored,
    ) -> Result<Features, CudaError> {
        self.session.layer(Some(self.layer));
        self.layer += 1;
        let (normed, hidden) = (self.at(self.buffers.normed), self.at(self.buffers.hidden));
        let size = [x.image.height, x.image.width];
        let out = self.features(x.image.with_channels(block.conv1.output), to);
        self.normalise(x, skip, &block.norm1, true)?;
        self.convolve(size, &block.conv1, normed, hidden, 1)?;
        let Modulation { values, stride } = self.shared.shifts;
        let row_bias = Modulation { values: values + block.shift as u64 * BF16, stride };
        let bias = block.conv1.bias;
        let partials = self.at(self.buffers.partials);
        let terms = Terms { x: hidden, bias, row_bias, residual: 0 };
        self.sums(out.image, terms, partials)?;
        let summed =
            Normed { image: out.image, rows: self.shared.rows, partials, tail: None, added: bias, row_added: row_bias };
        self.normalise_by(&summed, hidden, None, &block.norm2, true)?;
        self.convolve(size, &block.conv2, normed, hidden, 1)?;
        let residual = match &block.shortcut {
            None => x.at,
            Some((layer, skip_layer)) => {
                let count = self.count(x.image);
                self.product(count, x.at, layer, out.at, "shortcut")?;
                if let (Some(layer), Some(skip)) = (skip_layer, skip) {
                    self.add_product(count, skip.at, layer, out.at, "shortcut")?;
                }
                out.at
            }
        };
        let terms = Terms { x: hidden, bias: block.conv2.bias, residual, ..Terms::default() };
        self.merge(out.image, terms, out.at, out.partials)?;
        Ok(out)
    }

    /// The convolution that halves height and width.
    fn halve(&mut self, x: Features, conv: &Convolution, to: Stored) -> Result<Features, CudaError> {
        let out = self.features(halved(x.image).with_channels(conv.output), to);
        self.convolve([x.image.height, x.image.width], conv, x.at, out.at, 2)?;
        self.merge(out.image, Terms { x: out.at, bias: conv.bias, ..Terms::default() }, out.at, out.partials)?;
        Ok(out)
    }

    /// Upsampling to `size` and the convolution after it.
    fn enlarge(
        &mut self,
        x: Features,
        conv: &Convolution,
        size: [usize; 2],
        to: Stored,
    ) -> Result<Features, CudaError> {
        let normed = self.at(self.buffers.normed);
        let [height, width] = size;
        let out = self.features(Image { height, width, channels: conv.output }, to);
        let (stream, kernels) = (self.session.stream, self.session.image_kernels);
        kernels.enlarge(stream, (x.image, self.shared.rows), x.at, size, normed)?;
        self.session.mark("double", Cost::moved(self.count(out.image) * x.image.channels * 5 / 4))?;
        self.convolve(size, conv, normed, out.at, 1)?;
        self.merge(out.image, Terms { x: out.at, bias: conv.bias, ..Terms::default() }, out.at, out.partials)?;
        Ok(out)
    }

    /// Adds what a transformer makes of `x` to it, in place.
    fn transform(&mut self, x: Features, transformer: &SpatialTransformer) -> Result<(), CudaError> {
        let (normed, tokens) = (self.at(self.buffers.normed), self.at(self.buffers.hidden));
        let count = self.count(x.image);
        self.normalise(x, None, &transformer.norm, false)?;
        self.product(count, normed, &transformer.proj_in, tokens, "product in")?;
        for block in &transformer.blocks {
            self.block(x.image.pixels(), tokens, transformer, block)?;
        }
        self.add_product(count, tokens, &transformer.proj_out, x.at, "product out of transformer")?;
        self.sums(x.image, Terms { x: x.at, ..Terms::default() }, x.partials)
    }

    /// One block of a transformer over `pixels` tokens of each row at `x`, in place.
    fn block(
        &mut self,
        pixels: usize,
        x: u64,
        transformer: &SpatialTransformer,
        block: &Block,
    ) -> Result<(), CudaError> {
        let rows = self.shared.rows;
        let (count, heads, dim) = (rows * pixels, transformer.heads, transformer.proj_in.d_output);
        let [normed, wide, unit] =
            [self.buffers.normed, self.buffers.wide, self.buffers.unit].map(|place| self.at(place));
        let [own, text, feed_forward] = block.norms;
        let flops = |keys: usize| Cost { flops: 4.0 * (count * keys) as f64 * dim as f64, bytes: 0.0 };
        let part = |at: u64, index: usize| at + (index * dim) as u64 * BF16;

        self.layer_norm(x, own, block.norm_eps, normed, count, dim)?;
        self.product(count, normed, &block.qkv, wide, "product qkv")?;
        let operands = attention::Operands { q: wide, k: part(wide, 1), v: part(wide, 2), out: normed };
        let shape = attention::Shape::fused(rows, pixels, heads);
        self.session.attention.run(self.session.stream, &shape, operands)?;
        self.session.mark("self-attention", flops(pixels))?;
        self.add_product(count, normed, &block.out, x, "product out")?;

        self.layer_norm(x, text, block.norm_eps, normed, count, dim)?;
        self.product(count, normed, &block.q, wide, "product q")?;
        let tokens = self.shared.tokens;
        let keys = self.shared.keys_values + (rows * tokens * block.keys_values) as u64 * BF16;
        if takes_keys(heads, tokens) {
            let kernels = self.session.transformer_kernels;
            let sizes = [pixels, tokens];
            kernels.cross_attention(self.session.stream, [wide, keys, normed], rows, sizes, heads.query)?;
        } else {
            let operands = attention::Operands { q: wide, k: keys, v: part(keys, 1), out: normed };
            let shape = attention::Shape::crossed(rows, pixels, tokens, heads);
            self.session.attention.run(self.session.stream, &shape, operands)?;
        }
        self.session.mark("cross-attention", flops(tokens))?;
        self.add_product(count, normed, &block.text_out, x, "product out of text")?;

        self.layer_norm(x, feed_forward, block.norm_eps, normed, count, dim)?;
        self.product(count, normed, &block.value_gate, wide, "product values and gates")?;
        let width = block.down.d_input;
        self.session.transformer_kernels.gated_gelu(self.session.stream, wide, unit, count, width)?;
        self.session.mark("gated unit", Cost::moved(3 * count * width))?;
        self.add_product(count, unit, &block.down, x, "product down")
    }

    fn layer_norm(
        &mut self,
        x: u64,
        norm: (u64, u64),
        eps: f32,
        out: u64,
        count: usize,
        dim: usize,
    ) -> Result<(), CudaError> {
        self.session.transformer_kernels.layer_norm(self.session.stream, x, norm, eps, out, count, dim)?;
        self.session.mark("layer norm", Cost::moved(2 * count * dim))
    }

    fn product(&mut self, count: usize, x: u64, layer: &Layer, y: u64, name: &'static str) -> Result<(), CudaError> {
        self.session.products.run(self.session.stream, &Product::linear(count, x, layer, y))?;
        self.session.mark(name, Cost::product(count, layer.d_input, layer.d_output))
    }

    /// [`product`](Self::product), added to `y`.
    fn add_product(
        &mut self,
        count: usize,
        x: u64,
        layer: &Layer,
        y: u64,
        name: &'static str,
    ) -> Result<(), CudaError> {
        self.session.products.add(self.session.stream, &Product::linear(count, x, layer, y))?;
        self.session.mark(name, Cost::product(count, layer.d_input, layer.d_output))
    }

    /// From `x`, of this size, to `y`.
    fn convolve(
        &mut self,
        input_size: [usize; 2],
        conv: &Convolution,
        x: u64,
        y: u64,
        stride: usize,
    ) -> Result<(), CudaError> {
        let &Convolution { filter, input, output, .. } = conv;
        let shape =
            Shape { batch: self.shared.rows, input_size, input, output, kernel: KERNEL, stride, padding: KERNEL / 2 };
        self.session.convolutions.run(self.session.stream, &shape, Operands { x, filter, y })?;
        self.session.mark("convolution", Cost { flops: shape.flops() as f64, bytes: 0.0 })
    }

    /// Writes the sum of `terms` to `out`, and the sums of its channels.
    fn merge(&mut self, image: Image, terms: Terms, out: u64, partials: u64) -> Result<(), CudaError> {
        let images = (image, self.shared.rows);
        self.session.image_kernels.merge(self.session.stream, images, terms, out, partials)?;
        let operands = if terms.residual == 0 { 2 } else { 3 };
        self.session.mark("sum of branches", Cost::moved(operands * self.count(image) * image.channels))
    }

    /// Sums the channels of the sum of `terms`, which is not stored.
    fn sums(&mut self, image: Image, terms: Terms, partials: u64) -> Result<(), CudaError> {
        let images = (image, self.shared.rows);
        self.session.image_kernels.merge(self.session.stream, images, terms, 0, partials)?;
        self.session.mark("sums for the norm", Cost::moved(self.count(image) * image.channels))
    }

    /// The norm of `x` and the channels of a skip, to `normed`.
    fn normalise(
        &mut self,
        x: Features,
        skip: Option<Features>,
        norm: &GroupNorm,
        activate: bool,
    ) -> Result<(), CudaError> {
        let skip_channels = skip.map_or(0, |skip| skip.image.channels);
        let normed = Normed {
            image: x.image.with_channels(x.image.channels + skip_channels),
            rows: self.shared.rows,
            partials: x.partials,
            tail: skip.map(|skip| (skip_channels, skip.partials)),
            added: 0,
            row_added: Modulation::default(),
        };
        self.normalise_by(&normed, x.at, skip.map(|skip| (skip_channels, skip.at)), norm, activate)
    }

    fn normalise_by(
        &mut self,
        normed: &Normed,
        x: u64,
        tail: Option<(usize, u64)>,
        norm: &GroupNorm,
        activate: bool,
    ) -> Result<(), CudaError> {
        let (table, to) = (self.at(self.buffers.table), self.at(self.buffers.normed));
        let (stream, kernels) = (self.session.stream, self.session.image_kernels);
        kernels.group_table(stream, normed, norm, table)?;
        kernels.scale_shift(stream, (normed.image, normed.rows), x, tail, table, to, activate)?;
        self.session.mark("group norm and SiLU", Cost::moved(2 * self.count(normed.image) * normed.image.channels))
    }
}
