//! The scratch memory of one image.

use super::F32;
use super::weights::{Residual, TAPS, Weights};
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

    fn of(weights: &Weights, [height, width]: [usize; 2]) -> Self {
        let mut needs = Self::default();
        let mut image = Image { height, width, channels: weights.conv_in.output };
        needs.images(image, image.with_channels(weights.conv_in.input), image);
        image = needs.residual(image, &weights.first);
        if weights.attention.is_some() {
            let chunks = Chunks::of(image.pixels());
            needs.images(image, image, image);
            needs.hidden = needs.hidden.max(4 * chunks.tokens_bytes(image.channels));
            needs.normed = needs.normed.max(chunks.scores_bytes() + chunks.weights_bytes());
        }
        image = needs.residual(image, &weights.second);
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
}

impl Buffers {
    pub(crate) fn new(layout: &mut Layout, weights: &Weights, latent_size: [usize; 2]) -> Self {
        let needs = Needs::of(weights, latent_size);
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
    /// Rows of a chunk.
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
    use crate::cuda::product::{Layer, Matrix};
    use crate::networks::autoencoder_kl::fast::weights::{Convolution, SelfAttention};

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

    /// FLUX's decoder.
    fn weights() -> Weights {
        let level = |input: usize, output: usize, doubled: bool| {
            let blocks = vec![residual(input, output), residual(output, output), residual(output, output)];
            (blocks, doubled.then(|| conv(output, output)))
        };
        Weights {
            latent_channels: 16,
            divisor: 0.3611,
            shift: 0.1159,
            conv_in: conv(16, 512),
            first: residual(512, 512),
            attention: Some(SelfAttention {
                norm: norm(),
                q: layer(512, 512),
                k: layer(512, 512),
                v: layer(512, 512),
                out: layer(512, 512),
            }),
            second: residual(512, 512),
            levels: vec![level(512, 512, true), level(512, 512, true), level(512, 256, true), level(256, 128, false)],
            norm_out: norm(),
            taps: layer(128, TAPS),
            bias_out: 0,
            filters: Vec::new(),
            pins: None,
        }
    }

    #[test]
    fn a_picture_of_1024_fits_into_its_share_of_memory() {
        let needs = Needs::of(&weights(), [128, 128]);
        let megabyte = 1 << 20;
        // 256 channels at full size twice, 128 once.
        assert_eq!((needs.x, needs.normed, needs.hidden), (512 * megabyte, 512 * megabyte, 256 * megabyte));
        assert!(needs.partials < 5 * megabyte);
    }

    #[test]
    fn scores_are_cut_to_what_fits() {
        assert_eq!(Chunks::of(16_384), Chunks { positions: 16_384, stride: 16_384, rows: 4096 });
        assert_eq!(Chunks::of(15), Chunks { positions: 15, stride: 16, rows: 15 });
        assert_eq!(Chunks::of(1 << 20).rows, 128);
    }
}
