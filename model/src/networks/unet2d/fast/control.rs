//! The control network.

use std::sync::Arc;

use burn::tensor::{DType, Tensor};

use super::memory::{Buffers, skip_images};
use super::pass::{Pass, Shared};
use super::preparation::{Preparation, trial};
use super::weights::ControlWeights;
use crate::cuda::convolution::{Operands, Shape};
use crate::cuda::image_kernels::Image;
use crate::cuda::operand::Operand;
use crate::cuda::profile::Cost;
use crate::cuda::session::{Layout, Session};
use crate::cuda::{self, BF16, CudaError, Gpu, bridge};
use crate::networks::unet2d::conditioning::{Conditioning, Prepared};
use crate::networks::unet2d::control::{ControlNet, ControlPasses, Residuals};

/// Side of the filters that read the image.
const KERNEL: usize = 3;

/// Addresses of a network's weights, valid as long as the network, which owns this value.
pub(in crate::networks::unet2d) struct FastControlNet {
    gpu: Arc<Gpu>,
    weights: Arc<ControlWeights>,
    preparation: Preparation,
}

impl FastControlNet {
    /// The fast path of a loaded network; `None` if it is not in bf16 or the GPU or a library does not support it.
    pub(in crate::networks::unet2d) fn of(network: &ControlNet) -> Option<Self> {
        let down = network.down();
        let weight = &down.conv_in.weight;
        if weight.dtype() != DType::BF16 {
            return None;
        }
        let gpu = cuda::of(&weight.device())?;
        let (image, residuals) = (network.image_convolutions(), network.residual_convolutions());
        let located = ControlWeights::of(&gpu, &network.config().unet, down, &image, &residuals);
        let tried = located.and_then(|weights| {
            let preparation = Preparation::new(&gpu, &weights.descent, down.time.features());
            let fast = Self { gpu, weights: Arc::new(weights), preparation };
            trial(&fast.preparation, &weight.device(), |sample, prepared| {
                let [_, _, height, width] = sample.dims();
                let factor = network.config().factor();
                let image = Tensor::zeros([1, 3, factor * height, factor * width], (&sample.device(), DType::F32));
                if let Some(hint) = fast.hint(&image, 1) {
                    drop(fast.evaluate(sample, 0, prepared, &hint));
                }
            })?;
            Ok(fast)
        });
        match tried {
            Ok(fast) => Some(fast),
            Err(error) => {
                tracing::warn!(%error, "a control network runs on burn's own kernels, which are several times slower");
                None
            }
        }
    }
}

impl ControlPasses for FastControlNet {
    fn prepare(&self, conditioning: &Conditioning, times: &[f32]) -> Option<Prepared> {
        self.preparation.prepare(conditioning, times)
    }

    fn hint(&self, image: &Tensor<4>, rows: usize) -> Option<Tensor<1>> {
        let image = image.clone().cast(DType::F32);
        let [images, channels, height, width] = image.dims();
        if channels != 3 || images == 0 || !rows.is_multiple_of(images) {
            return None;
        }
        let weights = Arc::clone(&self.weights);
        let result = weights.images([height, width]).last().copied()?.1;
        let values = rows * result.elements();
        Some(bridge::call(
            &self.gpu,
            &[bridge::handle(&image)],
            [values],
            DType::BF16,
            move |session, operands, out| {
                let [image] = operands else { return Err(CudaError::operands(operands.len(), "1")) };
                session.enter("controlnet");
                let bytes = result.elements() * BF16 as usize;
                for row in 0..images {
                    weights.read_image(session, image, row, out + (row * bytes) as u64)?;
                }
                // The rows of a batch repeat the images.
                for row in images..rows {
                    session.copy(out + (row % images * bytes) as u64, out + (row * bytes) as u64, bytes)?;
                }
                Ok(())
            },
        ))
    }

    fn evaluate(&self, sample: &Tensor<4>, step: usize, prepared: &Prepared, hint: &Tensor<1>) -> Option<Residuals> {
        let sample = sample.clone().cast(DType::F32);
        let [rows, channels, height, width] = sample.dims();
        let images = skip_images(&self.weights.descent, [height, width]);
        let mid = images.last().copied()?;
        let first = images.first()?;
        if rows != prepared.rows || channels != self.weights.descent.in_channels {
            return None;
        }
        if hint.dims() != [rows * first.elements()] {
            return None;
        }
        let weights = Arc::clone(&self.weights);
        let tokens = prepared.tokens;
        let values = |image: &Image| rows * image.elements();
        let all = images.iter().chain([&mid]).map(values).sum();
        let operands = [
            bridge::handle(&sample),
            bridge::handle(&prepared.keys_values),
            bridge::handle(&prepared.shifts),
            bridge::handle(hint),
        ];
        let packed: Tensor<1> =
            bridge::call(&self.gpu, &operands, [all], DType::BF16, move |session, operands, out| {
                let [sample, keys_values, shifts, hint] = operands else {
                    return Err(CudaError::operands(operands.len(), "4"));
                };
                let mut layout = Layout::default();
                let buffers = Buffers::of_control(&mut layout, &weights.descent, rows, [height, width]);
                let base = session.scratch(&layout)?;
                let shared = Shared::new(rows, tokens, keys_values, shifts, step);
                Pass::new(session, base, &buffers, shared).steer(&weights, sample, hint.at, out)
            });
        let mut start = 0;
        let mut part = |image: &Image| {
            let length = values(image);
            start += length;
            packed.clone().narrow(0, start - length, length).reshape([rows, image.channels, image.height, image.width])
        };
        let skips = images.iter().map(&mut part).collect();
        Some(Residuals { skips, mid: part(&mid) })
    }
}

impl ControlWeights {
    /// The input of each convolution that reads the image, and its result, for images of this height and width.
    fn images(&self, [height, width]: [usize; 2]) -> Vec<(Image, Image)> {
        let mut size = [height, width];
        let images = self.image.iter().map(|(conv, stride)| {
            let [height, width] = size;
            let input = Image { height, width, channels: conv.input };
            size = size.map(|edge| edge.div_ceil(*stride));
            let [height, width] = size;
            (input, Image { height, width, channels: conv.output })
        });
        images.collect()
    }

    /// One of some RGB images, f32 `[rows, 3, 8 height, 8 width]`, to `[height, width, channels]` at `out`.
    fn read_image(&self, session: &mut Session<'_>, image: &Operand, row: usize, out: u64) -> Result<(), CudaError> {
        let [_, _, height, width] = image.shape[..] else { return Err(CudaError::operands(0, "an image")) };
        let images = self.images([height, width]);
        let most = images.iter().map(|(input, output)| input.elements().max(output.elements())).max().unwrap_or(0);
        let mut layout = Layout::default();
        let places = [(); 2].map(|()| layout.bf16(most));
        let base = session.scratch(&layout)?;
        let [mut x, mut y] = places.map(|place| place.in_scratch(base));
        let (stream, kernels) = (session.stream, session.image_kernels);
        let Some(((first, _), (conv, _))) = images.first().zip(self.image.first()) else { return Ok(()) };
        debug_assert_eq!(first.channels, conv.input, "images begin with the first convolution");
        kernels.channels_last(stream, image, row, x, conv.input, (1.0, 0.0))?;
        for (index, ((input, output), &(conv, stride))) in images.iter().zip(&self.image).enumerate() {
            let is_last = index + 1 == self.image.len();
            let shape = Shape {
                batch: 1,
                input_size: [input.height, input.width],
                input: conv.input,
                output: conv.output,
                kernel: KERNEL,
                stride,
                padding: KERNEL / 2,
            };
            let to = if is_last { out } else { y };
            session.convolutions.run(stream, &shape, Operands { x, filter: conv.filter, y: to })?;
            session.mark("convolution", Cost { flops: shape.flops() as f64, bytes: 0.0 })?;
            kernels.bias_silu(stream, *output, to, conv.bias, !is_last)?;
            session.mark("bias and SiLU", Cost::moved(2 * output.elements()))?;
            (x, y) = (y, x);
        }
        Ok(())
    }
}
