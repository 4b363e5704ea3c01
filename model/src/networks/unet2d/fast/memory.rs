//! The scratch memory of one evaluation.

use super::weights::{Descent, Residual, SpatialTransformer, Weights};
use crate::cuda::BF16;
use crate::cuda::image_kernels::Image;
use crate::cuda::session::{Layout, Place};

/// Bytes of an f32.
const F32: usize = 4;

/// Images of a batch with the sums for the norm that follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    pub(super) at: Place,
    pub(super) partials: Place,
}

/// Buffers in scratch memory.
#[derive(Debug, Clone)]
pub(super) struct Buffers {
    /// Inputs of convolutions and products.
    pub(super) normed: Place,
    /// Results of convolutions, and what a transformer adds up.
    pub(super) hidden: Place,
    /// Fused projections.
    pub(super) wide: Place,
    /// The unit of a feed-forward.
    pub(super) unit: Place,
    /// Sums of an image that is not stored.
    pub(super) partials: Place,
    pub(super) table: Place,
    /// What the way down leaves for the way up, in order.
    pub(super) skips: Vec<Stored>,
    /// The stream of the middle and the way up, which alternates between two.
    pub(super) streams: [Stored; 2],
}

/// Values that the buffers hold for an image.
#[derive(Debug, Default)]
struct Needs {
    normed: usize,
    hidden: usize,
    wide: usize,
    unit: usize,
    stream: usize,
    partials_bytes: usize,
    channels: usize,
}

impl Needs {
    fn image(&mut self, image: Image) {
        self.partials_bytes = self.partials_bytes.max(image.partials_bytes());
        self.channels = self.channels.max(image.channels);
    }

    /// An image that is the input of a convolution, and its result.
    fn convolution(&mut self, input: Image, output: Image) {
        self.normed = self.normed.max(input.elements());
        self.hidden = self.hidden.max(output.elements());
        self.image(input);
        self.image(output);
    }

    fn residual(&mut self, input: Image, block: &Residual) -> Image {
        let output = input.with_channels(block.conv1.output);
        self.convolution(input, output);
        self.convolution(output, output);
        output
    }

    fn transformer(&mut self, image: Image, transformer: &SpatialTransformer) {
        self.convolution(image, image);
        for block in &transformer.blocks {
            let widest = block.qkv.d_output.max(block.value_gate.d_output);
            self.wide = self.wide.max(image.pixels() * widest);
            self.unit = self.unit.max(image.pixels() * block.down.d_input);
        }
    }

    fn layer(&mut self, input: Image, (block, transformer): &(Residual, Option<SpatialTransformer>)) -> Image {
        let output = self.residual(input, block);
        if let Some(transformer) = transformer {
            self.transformer(output, transformer);
        }
        output
    }

    fn stream(&mut self, image: Image) {
        self.stream = self.stream.max(image.elements());
    }
}

impl Needs {
    /// Of the way down and the middle. Returns the images of the skips.
    fn descend(&mut self, descent: &Descent, [height, width]: [usize; 2]) -> Vec<Image> {
        let mut image = Image { height, width, channels: descent.conv_in.output };
        self.convolution(image.with_channels(descent.conv_in.input), image);
        let mut skips = vec![image];
        for level in &descent.down {
            for layer in &level.layers {
                image = self.layer(image, layer);
                skips.push(image);
            }
            if let Some(conv) = &level.resize {
                image = halved(image).with_channels(conv.output);
                self.image(image);
                skips.push(image);
            }
        }
        let (first, transformer, second) = &descent.mid;
        image = self.residual(image, first);
        self.transformer(image, transformer);
        image = self.residual(image, second);
        self.stream(image);
        skips
    }

    /// Of the way up from the middle, which has the size of the last skip.
    fn ascend(&mut self, weights: &Weights, skips: &[Image]) {
        let mut left = skips.to_vec();
        let mut image = left.last().map_or(Image { height: 0, width: 0, channels: 8 }, |last| {
            last.with_channels(weights.descent.mid.2.conv2.output)
        });
        for level in &weights.up {
            for layer in &level.layers {
                let skip = left.pop().map_or(0, |skip| skip.channels);
                image = self.layer(image.with_channels(image.channels + skip), layer);
                self.stream(image);
            }
            if let (Some(conv), Some(next)) = (&level.resize, left.last()) {
                let enlarged = Image { channels: image.channels, ..*next };
                image = enlarged.with_channels(conv.output);
                self.convolution(enlarged, image);
                self.stream(image);
            }
        }
        self.convolution(image, image.with_channels(weights.conv_out.output));
    }
}

/// The images of the skips of latents of this height and width.
pub(super) fn skip_images(descent: &Descent, size: [usize; 2]) -> Vec<Image> {
    Needs::default().descend(descent, size)
}

impl Buffers {
    /// For a U-Net and `rows` latents of this height and width.
    pub(super) fn of_unet(layout: &mut Layout, weights: &Weights, rows: usize, size: [usize; 2]) -> Self {
        let mut needs = Needs::default();
        let skips = needs.descend(&weights.descent, size);
        needs.ascend(weights, &skips);
        Self::new(layout, &needs, rows, &skips)
    }

    /// For a control network, likewise.
    pub(super) fn of_control(layout: &mut Layout, descent: &Descent, rows: usize, size: [usize; 2]) -> Self {
        let mut needs = Needs::default();
        let skips = needs.descend(descent, size);
        Self::new(layout, &needs, rows, &skips)
    }

    fn new(layout: &mut Layout, needs: &Needs, rows: usize, skips: &[Image]) -> Self {
        let mut place = |values: usize| layout.bf16(rows * values);
        let [normed, hidden, wide, unit] = [needs.normed, needs.hidden, needs.wide, needs.unit].map(&mut place);
        let mut stored = |values: usize, partials_bytes: usize| Stored {
            at: layout.bf16(rows * values),
            partials: layout.bytes(rows * partials_bytes),
        };
        let skips = skips.iter().map(|skip| stored(skip.elements(), skip.partials_bytes())).collect();
        let streams = [(); 2].map(|()| stored(needs.stream, needs.partials_bytes));
        Self {
            normed,
            hidden,
            wide,
            unit,
            partials: layout.bytes(rows * needs.partials_bytes),
            table: layout.bytes(rows * 2 * needs.channels * F32),
            skips,
            streams,
        }
    }
}

/// The size after a convolution with stride 2: half of it, rounded up.
pub(super) fn halved(image: Image) -> Image {
    Image { height: image.height.div_ceil(2), width: image.width.div_ceil(2), ..image }
}

/// Bytes of an image's values.
pub(super) fn bytes(image: Image) -> u64 {
    image.elements() as u64 * BF16
}
