//! Our kernels for channels-last images, `[height, width, channels]` in bf16: what an autoencoder and a U-Net compute
//! between their convolutions. Declarations are in `kernels/image.cu`.

use cudarc::driver::sys::{CUfunction, CUstream};

use super::error::CudaError;
use super::kernels::Modulation;
use super::launch::{arguments, function, launch, launch_each, launch_grid, module};
use super::operand::Operand;

/// Blocks that an image is divided among by pixelwise kernels: a few for each multiprocessor of a large GPU. It is the
/// same on every device, because it determines the order of sums.
const BLOCKS: usize = 1056;
/// Threads of such a block: the target, and the limit (`THREADS_MAX`).
const THREADS: usize = 256;
const THREADS_MAX: usize = 512;
/// Pixels of a block at least: with fewer, the partial sums of a small image would be as large as the image.
const PIXELS_MIN: usize = 8;
/// Pixels that a thread processes at once (`UNROLL`).
const UNROLL: usize = 4;
/// Threads of a block that sums or reads one row.
const ROW_THREADS: u32 = 512;
/// Channels of an image that these kernels take at most.
pub const CHANNELS_MAX: usize = THREADS_MAX * 8;

/// Sizes of an image, channels last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels, the innermost dimension.
    pub channels: usize,
}

impl Image {
    /// Height times width.
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Number of values: height times width times channels.
    pub fn elements(&self) -> usize {
        self.pixels() * self.channels
    }

    /// The same with other channels.
    #[must_use]
    pub fn with_channels(self, channels: usize) -> Self {
        Self { channels, ..self }
    }

    /// The same with twice the height and width.
    #[must_use]
    pub fn doubled(self) -> Self {
        Self { height: 2 * self.height, width: 2 * self.width, ..self }
    }

    /// The same with half the height and width, which are even.
    #[must_use]
    pub fn halved(self) -> Self {
        Self { height: self.height / 2, width: self.width / 2, ..self }
    }

    /// The same with a row and a column more.
    #[must_use]
    pub fn extended(self) -> Self {
        Self { height: self.height + 1, width: self.width + 1, ..self }
    }

    /// Bytes of the sums that [`ImageKernels::merge`] leaves for an image.
    pub fn partials_bytes(&self) -> usize {
        self.spread().blocks * 2 * self.channels * size_of::<f32>()
    }

    fn spread(&self) -> Spread {
        let vectors = self.channels / 8;
        let lanes = (THREADS / vectors.max(1)).max(1);
        let per_block = self.pixels().div_ceil(BLOCKS).max(PIXELS_MIN).next_multiple_of(lanes * UNROLL);
        Spread { threads: lanes * vectors, per_block, blocks: self.pixels().div_ceil(per_block) }
    }
}

/// How the pixels of an image are divided among blocks and threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spread {
    threads: usize,
    per_block: usize,
    blocks: usize,
}

/// The summands of [`ImageKernels::merge`]; an address of 0 is left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms {
    /// Address of an image.
    pub x: u64,
    /// Address of a vector over its channels.
    pub bias: u64,
    /// Such a vector for each image of a batch.
    pub row_bias: Modulation,
    /// Address of another image.
    pub residual: u64,
}

/// A group norm with weight and bias.
#[derive(Debug, Clone, Copy)]
pub struct GroupNorm {
    /// Address of a vector over the channels.
    pub weight: u64,
    /// Address of a vector over the channels.
    pub bias: u64,
    /// Groups, which divide the channels.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f32,
}

/// What the norm of a batch of images reads, and is a table for.
#[derive(Debug, Clone, Copy)]
pub struct Normed {
    /// Sizes of an image, with all channels.
    pub image: Image,
    /// Images.
    pub rows: usize,
    /// Address of the sums of [`ImageKernels::merge`].
    pub partials: u64,
    /// Of a second image that has the last channels, if there is one: its channels and the address of its sums.
    pub tail: Option<(usize, u64)>,
    /// Address of the bias that was summed but is not in the image, or 0.
    pub added: u64,
    /// Such a bias for each image.
    pub row_added: Modulation,
}

/// Sums of neighbouring channels; the layout of `struct ChannelSums`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct ChannelSums {
    partials: u64,
    blocks: i32,
    channels: i32,
}

impl ChannelSums {
    fn new(image: Image, partials: u64) -> Self {
        Self { partials, blocks: image.spread().blocks as i32, channels: image.channels as i32 }
    }
}

/// Extents and strides of four axes; the layout of `struct Axes`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Axes {
    extent: [i64; 4],
    stride: [i64; 4],
}

/// The loaded functions. Every call only queues its work on `stream`; addresses must stay valid until it is done.
pub struct ImageKernels {
    merge: CUfunction,
    merge_double: CUfunction,
    group_table: CUfunction,
    scale_shift: CUfunction,
    bias_silu: CUfunction,
    enlarge: CUfunction,
    channels_last: CUfunction,
    channels_first: CUfunction,
    rearrange: CUfunction,
    softmax_rows: CUfunction,
    gather_rgb: CUfunction,
}

// SAFETY: a CUfunction is an address inside a module that is never unloaded; the driver lets any thread use it.
unsafe impl Send for ImageKernels {}

impl ImageKernels {
    /// Compiles and loads everything for this compute capability of the current context.
    ///
    /// # Errors
    ///
    /// NVRTC or the driver refuses.
    pub fn load(capability: (i32, i32)) -> Result<Self, CudaError> {
        let image = module(capability, "image.cu", include_str!("kernels/image.cu"))?;
        Ok(Self {
            merge: function(image, "merge")?,
            merge_double: function(image, "merge_double")?,
            group_table: function(image, "group_table")?,
            scale_shift: function(image, "scale_shift")?,
            bias_silu: function(image, "bias_silu")?,
            enlarge: function(image, "enlarge")?,
            channels_last: function(image, "channels_last")?,
            channels_first: function(image, "channels_first")?,
            rearrange: function(image, "rearrange")?,
            softmax_rows: function(image, "softmax_rows")?,
            gather_rgb: function(image, "gather_rgb")?,
        })
    }

    /// Writes the sum of `terms` of `rows` images to `out`, unless that is 0; `out` may be one of them. Partial sums for
    /// the group norm of the result go to `partials`, [`Image::partials_bytes`] for each image.
    pub fn merge(
        &self,
        stream: CUstream,
        (image, rows): (Image, usize),
        terms: Terms,
        out: u64,
        partials: u64,
    ) -> Result<(), CudaError> {
        let Terms { x, bias, row_bias, residual } = terms;
        let Spread { threads, per_block, blocks } = image.spread();
        let (pixels, channels, per_block) = (image.pixels() as i64, image.channels as i32, per_block as i32);
        let mut arguments = arguments![x, bias, row_bias, residual, out, partials, pixels, channels, per_block];
        launch_grid(self.merge, blocks as u64, rows as u32, threads as u32, stream, &mut arguments)
    }

    /// Writes the sum of `terms` to `out`, upsampled to twice the height and width by repetition; `out` must not be one
    /// of them.
    pub fn merge_double(&self, stream: CUstream, image: Image, terms: Terms, out: u64) -> Result<(), CudaError> {
        let Terms { x, bias, residual, .. } = terms;
        let Spread { threads, per_block, blocks } = image.spread();
        let (pixels, channels, per_block) = (image.pixels() as i64, image.channels as i32, per_block as i32);
        let width = image.width as i32;
        let mut arguments = arguments![x, bias, residual, out, pixels, channels, per_block, width];
        launch(self.merge_double, blocks as u64, threads as u32, stream, &mut arguments)
    }

    /// Converts a group norm to a scale and a shift for each image and channel, f32 `[rows, 2, channels]`, from the partial
    /// sums of [`merge`](Self::merge).
    pub fn group_table(
        &self,
        stream: CUstream,
        normed: &Normed,
        norm: &GroupNorm,
        table: u64,
    ) -> Result<(), CudaError> {
        let &Normed { image, rows, partials, tail, added, row_added } = normed;
        let (tail_channels, tail_partials) = tail.unwrap_or((0, 0));
        let head = ChannelSums::new(image.with_channels(image.channels - tail_channels), partials);
        let tail = ChannelSums::new(image.with_channels(tail_channels), tail_partials);
        let pixels = image.pixels() as i64;
        let mut arguments = arguments![head, tail, pixels, norm.weight, norm.bias, added, row_added, norm.eps, table];
        launch_grid(self.group_table, norm.groups as u64, rows as u32, ROW_THREADS, stream, &mut arguments)
    }

    /// `out = x * scale + shift` of `rows` images with a table of [`group_table`](Self::group_table), and its SiLU if
    /// `activate`. `tail` has the last channels where the table is for two images: how many, and their address.
    #[expect(clippy::too_many_arguments, reason = "they are the operands of one kernel")]
    pub fn scale_shift(
        &self,
        stream: CUstream,
        (image, rows): (Image, usize),
        x: u64,
        tail: Option<(usize, u64)>,
        table: u64,
        out: u64,
        activate: bool,
    ) -> Result<(), CudaError> {
        let Spread { threads, per_block, blocks } = image.spread();
        let (tail_channels, tail) = tail.unwrap_or((0, 0));
        let split = (image.channels - tail_channels) as i32;
        let (pixels, channels, per_block) = (image.pixels() as i64, image.channels as i32, per_block as i32);
        let activate = i32::from(activate);
        let mut arguments = arguments![x, tail, split, table, out, pixels, channels, per_block, activate];
        launch_grid(self.scale_shift, blocks as u64, rows as u32, threads as u32, stream, &mut arguments)
    }

    /// `x = x + bias` of an image, or its SiLU if `activate`, in place.
    pub fn bias_silu(
        &self,
        stream: CUstream,
        image: Image,
        x: u64,
        bias: u64,
        activate: bool,
    ) -> Result<(), CudaError> {
        let (channels, activate) = (image.channels as i32, i32::from(activate));
        let vectors = (image.elements() / 8) as i64;
        launch_each(self.bias_silu, vectors as u64, stream, &mut arguments![x, bias, channels, activate, vectors])
    }

    /// Upsamples `rows` images to this height and width, twice theirs or one less, by repetition.
    pub fn enlarge(
        &self,
        stream: CUstream,
        (image, rows): (Image, usize),
        x: u64,
        [height, width]: [usize; 2],
        out: u64,
    ) -> Result<(), CudaError> {
        let vectors = (rows * height * width * image.channels / 8) as i64;
        let [small_height, small_width, large_height, large_width, channels] =
            [image.height, image.width, height, width, image.channels].map(|size| size as i32);
        let mut arguments = arguments![x, out, small_height, small_width, large_height, large_width, channels, vectors];
        launch_each(self.enlarge, vectors as u64, stream, &mut arguments)
    }

    /// `latents / divisor + shift` of one row of an f32 operand `[rows, channels, height, width]`, channels-last in
    /// bf16 and filled up with zeros to `out_channels`.
    pub fn channels_last(
        &self,
        stream: CUstream,
        latents: &Operand,
        row: usize,
        out: u64,
        out_channels: usize,
        (divisor, shift): (f32, f32),
    ) -> Result<(), CudaError> {
        let [row_stride, channel_stride, y_stride, x_stride] = four(&latents.strides).map(|stride| stride as i64);
        let [_, channels, height, width] = four(&latents.shape);
        let at = latents.at + row as u64 * row_stride as u64 * size_of::<f32>() as u64;
        let elements = (height * width * out_channels) as i64;
        let (width, channels, out_channels) = (width as i32, channels as i32, out_channels as i32);
        let mut arguments = arguments![
            at,
            channel_stride,
            y_stride,
            x_stride,
            out,
            width,
            channels,
            out_channels,
            divisor,
            shift,
            elements
        ];
        launch_each(self.channels_last, elements as u64, stream, &mut arguments)
    }

    /// `(x + bias - shift) * scale` of the first `channels` of an image, as planes in f32, `[channels, height, width]`. A `bias`
    /// of 0 is left out.
    pub fn channels_first(
        &self,
        stream: CUstream,
        image: Image,
        (x, bias): (u64, u64),
        out: u64,
        channels: usize,
        (shift, scale): (f32, f32),
    ) -> Result<(), CudaError> {
        let (pixels, in_channels) = (image.pixels() as i64, image.channels as i32);
        let elements = pixels * channels as i64;
        let mut arguments = arguments![x, in_channels, bias, out, pixels, shift, scale, elements];
        launch_each(self.channels_first, elements as u64, stream, &mut arguments)
    }

    /// A bf16 operand of four axes with its axes in this order; the rows of `out`, the last axis, are `pitch` apart.
    pub fn rearrange(
        &self,
        stream: CUstream,
        operand: &Operand,
        order: [usize; 4],
        out: u64,
        pitch: usize,
    ) -> Result<(), CudaError> {
        let (shape, strides) = (four(&operand.shape), four(&operand.strides));
        let axes =
            Axes { extent: order.map(|axis| shape[axis] as i64), stride: order.map(|axis| strides[axis] as i64) };
        let (elements, pitch) = (axes.extent.iter().product::<i64>(), pitch as i64);
        let mut arguments = arguments![operand.at, axes, out, pitch, elements];
        launch_each(self.rearrange, elements as u64, stream, &mut arguments)
    }

    /// The softmax of each row of f32 scores, in bf16. Rows of both are `stride` apart, a multiple of 4 and not less
    /// than `columns`.
    pub fn softmax_rows(
        &self,
        stream: CUstream,
        scores: u64,
        out: u64,
        [rows, columns]: [usize; 2],
        stride: usize,
    ) -> Result<(), CudaError> {
        let (columns, stride) = (columns as i32, stride as i64);
        launch(self.softmax_rows, rows as u64, ROW_THREADS, stream, &mut arguments![scores, out, columns, stride])
    }

    /// Three planes in 0..1, f32 `[3, height, width]`, from the products of a 3x3 filter: f32 `[pixels, pitch]`, for
    /// each of its nine positions the three channels.
    pub fn gather_rgb(
        &self,
        stream: CUstream,
        image: Image,
        taps: (u64, usize),
        bias: u64,
        out: u64,
    ) -> Result<(), CudaError> {
        let (height, width, pitch) = (image.height as i32, image.width as i32, taps.1 as i32);
        let mut arguments = arguments![taps.0, pitch, bias, out, height, width];
        launch_each(self.gather_rgb, image.pixels() as u64, stream, &mut arguments)
    }
}

/// The axes of an operand of four; axes beyond are 1 long.
fn four(values: &[usize]) -> [usize; 4] {
    std::array::from_fn(|axis| values.get(axis).copied().unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_belongs_to_one_block() {
        for (height, width, channels) in [(128, 128, 512), (1024, 1024, 128), (3, 5, 24), (1, 1, 8), (16, 8, 4096)] {
            let Spread { threads, per_block, blocks } = Image { height, width, channels }.spread();
            assert!(blocks * per_block >= height * width && (blocks - 1) * per_block < height * width);
            assert!(per_block >= PIXELS_MIN);
            assert!(threads.is_multiple_of(channels / 8) && threads <= THREADS_MAX && blocks <= BLOCKS);
        }
    }

    #[test]
    fn large_images_keep_every_thread_busy() {
        let spread = Image { height: 1024, width: 1024, channels: 128 }.spread();
        assert_eq!(spread, Spread { threads: 256, per_block: 1024, blocks: 1024 });
    }
}
