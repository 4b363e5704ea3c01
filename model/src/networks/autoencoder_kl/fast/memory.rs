//! The scratch memory of one image.

use super::F32;
use super::weights::{DecoderWeights, EncoderWeights, Middle, Residual, TAPS};
use crate::cuda::BF16;
use crate::cuda::image_kernels::Image;
use crate::cuda::session::{Layout, Place};

/// Attention scores that are stored at once: 256 MiB. With fewer rows the product with the values is too small to fill
/// a large GPU; with more, the scores would not fit the buffer of the largest images.
const SCORES_MAX: usize = 64 << 20;

/// Buffers in scratch memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Buffers {
    pub x: Place,
    pub normed: Place,
    pub hidden: Place,
    pub partials: Place,
    pub table: Place,
}

/// Bytes that the buffers need.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Needs {
    x: usize,
    normed: usize,
    hidden: usize,
    partials: usize,
    channels: usize,
}

impl Needs {
    /// An image in the stream, as inputs of convolutions and as their results.
    fn images(&mut self, x: Image, normed: Image, hidden: Image) {
        let bytes = |image: Image| image.elements() * BF16 as usize;
        self.x = self.x.max(bytes(x));
        self.normed = self.normed.max(bytes(normed));
        self.hidden = self.hidden.max(bytes(hidden));
        for image in [x, normed, hidden] {
            self.partials = self.partials.max(image.partials_bytes());
            self.channels = self.channels.max(image.channels);
        }
    }

    fn residual(&mut self, image: Image, block: &Residual) -> Image {
        let (input, output) = (image, image.with_channels(block.conv1.output));
        let wider = if input.channels > output.channels { input } else { output };
        self.images(wider, wider, output);
        output
    }

    fn middle(&mut self, image: Image, middle: &Middle) -> Image {
        let image = self.residual(image, &middle.first);
        if middle.attention.is_some() {
            let chunks = Chunks::of(image.pixels());
            self.images(image, image, image);
            self.hidden = self.hidden.max(4 * chunks.tokens_bytes(image.channels));
            self.normed = self.normed.max(chunks.scores_bytes() + chunks.weights_bytes());
        }
        self.residual(image, &middle.second)
    }

    /// Of a decoder and latents of this height and width.
    fn of_decoder(weights: &DecoderWeights, [height, width]: [usize; 2]) -> Self {
        let mut needs = Self::default();
        let mut image = Image { height, width, channels: weights.conv_in.output };
        needs.images(image, image.with_channels(weights.conv_in.input), image);
        image = needs.middle(image, &weights.middle);
        for (blocks, doubling) in &weights.levels {
            image = blocks.iter().fold(image, |image, block| needs.residual(image, block));
            if let Some(conv) = doubling {
                let doubled = image.doubled();
                image = doubled.with_channels(conv.output);
                needs.images(image, doubled, Image { height: 0, ..image });
            }
        }
        needs.hidden = needs.hidden.max(image.pixels() * TAPS * F32 as usize);
        needs
    }

    /// Of an encoder and an image of this height and width.
    fn of_encoder(weights: &EncoderWeights, [height, width]: [usize; 2]) -> Self {
        let mut needs = Self::default();
        let mut image = Image { height, width, channels: weights.conv_in.output };
        needs.images(image, image.with_channels(weights.conv_in.input), image);
        for (blocks, halving) in &weights.levels {
            image = blocks.iter().fold(image, |image, block| needs.residual(image, block));
            if let Some(conv) = halving {
                let halved = image.halved().with_channels(conv.output);
                needs.images(halved, image.extended(), halved);
                image = halved;
            }
        }
        image = needs.middle(image, &weights.middle);
        let moments = image.with_channels(weights.conv_out.output);
        needs.images(moments, image, moments);
        needs.images(moments, moments, moments);
        needs
    }
}

impl Buffers {
    /// For a decoder and latents of this height and width.
    pub(crate) fn of_decoder(layout: &mut Layout, weights: &DecoderWeights, size: [usize; 2]) -> Self {
        Self::new(layout, Needs::of_decoder(weights, size))
    }

    /// For an encoder and an image of this height and width.
    pub(crate) fn of_encoder(layout: &mut Layout, weights: &EncoderWeights, size: [usize; 2]) -> Self {
        Self::new(layout, Needs::of_encoder(weights, size))
    }

    fn new(layout: &mut Layout, needs: Needs) -> Self {
        Self {
            x: layout.bytes(needs.x),
            normed: layout.bytes(needs.normed),
            hidden: layout.bytes(needs.hidden),
            partials: layout.bytes(needs.partials),
            table: layout.bytes(2 * needs.channels * F32 as usize),
        }
    }
}

/// Attention scores in chunks of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunks {
    positions: usize,
    /// Elements from one row of scores to the next.
    pub stride: usize,
    /// Rows that are computed at once.
    pub rows: usize,
}

impl Chunks {
    pub(crate) fn of(positions: usize) -> Self {
        let stride = positions.next_multiple_of(8);
        let rows = (SCORES_MAX / stride / 128 * 128).max(128).min(positions);
        Self { positions, stride, rows }
    }

    pub(crate) fn scores_bytes(&self) -> usize {
        aligned(self.rows * self.stride * F32 as usize)
    }

    pub(crate) fn weights_bytes(&self) -> usize {
        aligned(self.rows * self.stride * BF16 as usize)
    }

    pub(crate) fn tokens_bytes(&self, channels: usize) -> usize {
        aligned(self.positions * channels * BF16 as usize)
    }
}

/// Rounds up to the alignment that the libraries' fastest kernels need.
fn aligned(bytes: usize) -> usize {
    bytes.next_multiple_of(256)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::image_kernels::GroupNorm;
    use crate::cuda::image_weights::{Convolution, Owned};
    use crate::cuda::product::{Layer, Matrix};
    use crate::networks::autoencoder_kl::fast::weights::SelfAttention;

    fn norm() -> GroupNorm {
        GroupNorm { weight: 0, bias: 0, groups: 32, eps: 1e-6 }
    }

    fn conv(input: usize, output: usize) -> Convolution {
        Convolution { filter: 0, bias: 0, input, output }
    }

    fn residual(input: usize, output: usize) -> Residual {
        let (norm1, norm2) = (norm(), norm());
        let shortcut = (input != output).then(|| layer(input, output));
        Residual { norm1, conv1: conv(input, output), norm2, conv2: conv(output, output), shortcut }
    }

    fn layer(d_input: usize, d_output: usize) -> Layer {
        Layer { weight: Matrix { at: 0, row_stride: d_input }, bias: None, d_input, d_output }
    }

    fn middle(channels: usize) -> Middle {
        let [q, k, v, out] = [0; 4].map(|_| layer(channels, channels));
        let attention = Some(SelfAttention { norm: norm(), q, k, v, out });
        Middle { first: residual(channels, channels), attention, second: residual(channels, channels) }
    }

    /// FLUX's decoder.
    fn decoder() -> DecoderWeights {
        let level = |input: usize, output: usize, doubled: bool| {
            let blocks = vec![residual(input, output), residual(output, output), residual(output, output)];
            (blocks, doubled.then(|| conv(output, output)))
        };
        DecoderWeights {
            latent_channels: 16,
            divisor: 0.3611,
            shift: 0.1159,
            conv_in: conv(16, 512),
            middle: middle(512),
            levels: vec![level(512, 512, true), level(512, 512, true), level(512, 256, true), level(256, 128, false)],
            norm_out: norm(),
            taps: layer(128, TAPS),
            bias_out: 0,
            owned: Owned::default(),
        }
    }

    /// FLUX's encoder.
    fn encoder() -> EncoderWeights {
        let level = |input: usize, output: usize, halved: bool| {
            (vec![residual(input, output), residual(output, output)], halved.then(|| conv(output, output)))
        };
        EncoderWeights {
            latent_channels: 16,
            shift: 0.1159,
            scale: 0.3611,
            conv_in: conv(8, 128),
            levels: vec![level(128, 128, true), level(128, 256, true), level(256, 512, true), level(512, 512, false)],
            middle: middle(512),
            norm_out: norm(),
            conv_out: conv(512, 32),
            quant: None,
            owned: Owned::default(),
        }
    }

    #[test]
    fn a_picture_of_1024_fits_into_its_share_of_memory() {
        let needs = Needs::of_decoder(&decoder(), [128, 128]);
        let megabyte = 1 << 20;
        // 256 channels at full size twice, 128 once.
        assert_eq!((needs.x, needs.normed, needs.hidden), (512 * megabyte, 512 * megabyte, 256 * megabyte));
        assert!(needs.partials < 5 * megabyte);
        // The encoder has 128 channels at full size, and in the middle as many scores as the decoder.
        let encoding = Needs::of_encoder(&encoder(), [1024, 1024]);
        assert_eq!((encoding.x, encoding.normed), (256 * megabyte, 384 * megabyte));
        // Where there are few scores: a row and a column more, before a level is halved.
        let small = Needs::of_encoder(&encoder(), [64, 64]);
        assert_eq!(small.normed, 65 * 65 * 128 * 2);
        assert!(encoding.hidden <= needs.hidden && encoding.partials <= needs.partials, "{encoding:?}");
    }

    #[test]
    fn scores_are_cut_to_what_fits() {
        assert_eq!(Chunks::of(16_384), Chunks { positions: 16_384, stride: 16_384, rows: 4096 });
        assert_eq!(Chunks::of(15), Chunks { positions: 15, stride: 16, rows: 15 });
        assert_eq!(Chunks::of(1 << 20).rows, 128);
    }
}
