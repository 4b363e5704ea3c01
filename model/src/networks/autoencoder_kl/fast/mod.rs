//! The decoder and the encoder on an NVIDIA GPU: each is one operation of burn's graph, see [`cuda`](crate::cuda).
//!
//! Images are channels-last in three buffers: `x` is the stream of the residual blocks, `normed` the input of a
//! convolution, `hidden` its result. Biases, residual sums and upsampling are fused into the kernels that read the
//! result of a convolution, and a kernel that writes `x` also computes the sums for the following norm. The images of a
//! batch are computed one after the other, so they are independent and need the memory of one.

mod memory;
mod pass;
mod weights;

use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};

use self::memory::Buffers;
use self::pass::Pass;
use self::weights::{DecoderWeights, EncoderWeights};
use super::decoder::Decoder;
use super::encoder::Encoder;
use super::{AutoencoderKlConfig, Passes};
use crate::cuda::session::Layout;
use crate::cuda::{self, CudaError, Gpu, bridge};
use crate::nn::conv::Conv;

/// Height and width of the latents of the trial.
const TRIAL: usize = 8;
/// Bytes of an f32.
const F32: u64 = 4;

/// Addresses of a decoder's weights, valid as long as the autoencoder, which owns this value.
pub(crate) struct FastDecoder {
    gpu: Arc<Gpu>,
    weights: Arc<DecoderWeights>,
}

/// Addresses of an encoder's weights, valid as long as the autoencoder, which owns this value.
pub(crate) struct FastEncoder {
    gpu: Arc<Gpu>,
    weights: Arc<EncoderWeights>,
}

impl FastDecoder {
    /// The fast path of a loaded decoder; `None` if it is not in bf16 or the GPU or a library does not support it.
    pub(crate) fn of(config: &AutoencoderKlConfig, decoder: &Decoder) -> Option<Self> {
        let (gpu, device) = gpu_of(&decoder.conv_in)?;
        let pinned = DecoderWeights::of(&gpu, config, decoder);
        let fast = pinned.map(|weights| Self { gpu, weights: Arc::new(weights) });
        tried(fast, "decoder", |fast| {
            let shape = [1, fast.weights.latent_channels, TRIAL, TRIAL];
            try_out(&fast.gpu, fast, &Tensor::zeros(shape, (&device, DType::F32)))
        })
    }
}

impl FastEncoder {
    /// The fast path of a loaded encoder; `None` if it is not in bf16 or the GPU or a library does not support it.
    pub(crate) fn of(config: &AutoencoderKlConfig, encoder: &Encoder, quant_conv: Option<&Conv>) -> Option<Self> {
        let (gpu, device) = gpu_of(&encoder.conv_in)?;
        let pinned = EncoderWeights::of(&gpu, config, encoder, quant_conv);
        let fast = pinned.map(|weights| Self { gpu, weights: Arc::new(weights) });
        tried(fast, "encoder", |fast| {
            let edge = TRIAL * factor(&fast.weights.levels);
            try_out(&fast.gpu, fast, &Tensor::zeros([1, 3, edge, edge], (&device, DType::F32)))
        })
    }
}

/// Pixels per latent position along an edge.
fn factor(levels: &[weights::Level]) -> usize {
    1 << levels.iter().filter(|(_, resampling)| resampling.is_some()).count()
}

/// GPU and device of the weights of a convolution in bf16.
fn gpu_of(conv: &Conv) -> Option<(Arc<Gpu>, Device)> {
    let device = conv.weight.device();
    let is_bf16 = conv.weight.dtype() == DType::BF16;
    Some((is_bf16.then(|| cuda::of(&device)).flatten()?, device))
}

/// `fast`, if it could be made and a trial succeeds. Else the log says why.
fn tried<T>(
    fast: Result<T, CudaError>,
    part: &'static str,
    trial: impl FnOnce(&T) -> Result<(), CudaError>,
) -> Option<T> {
    match fast.and_then(|fast| trial(&fast).map(|()| fast)) {
        Ok(fast) => Some(fast),
        Err(error) => {
            tracing::warn!(%error, part, "the autoencoder runs on burn's own kernels, which are several times slower");
            None
        }
    }
}

/// Computes a small image: only a trial shows whether cuDNN supports convolutions of these channels.
fn try_out(gpu: &Gpu, passes: &dyn Passes, input: &Tensor<4>) -> Result<(), CudaError> {
    let image = passes.run(input);
    let done = input.device().sync();
    drop(image);
    if let Some(fault) = gpu.take_fault() {
        return Err(fault);
    }
    done.map_err(|error| CudaError::Driver { doing: "compute a trial image", reason: error.to_string() })
}

impl Passes for FastDecoder {
    fn run(&self, model_latents: &Tensor<4>) -> Tensor<4> {
        let latents = model_latents.clone().cast(DType::F32);
        let [batch, channels, height, width] = latents.dims();
        assert_eq!(channels, self.weights.latent_channels, "channels of the latents");
        let weights = Arc::clone(&self.weights);
        let factor = factor(&weights.levels);
        let shape = [batch, 3, factor * height, factor * width];
        let image_bytes = (shape[1] * shape[2] * shape[3]) as u64 * F32;
        bridge::call(&self.gpu, &[bridge::handle(&latents)], shape, DType::F32, move |session, operands, out| {
            let Some(latents) = operands.first() else { return Ok(()) };
            let mut layout = Layout::default();
            let buffers = Buffers::of_decoder(&mut layout, &weights, [height, width]);
            let base = session.scratch(&layout)?;
            for row in 0..batch {
                let mut pass = Pass::new(session, base, &buffers);
                pass.decode(&weights, latents, row, out + row as u64 * image_bytes)?;
            }
            Ok(())
        })
    }
}

impl Passes for FastEncoder {
    fn run(&self, image: &Tensor<4>) -> Tensor<4> {
        let image = image.clone().cast(DType::F32);
        let [batch, channels, height, width] = image.dims();
        let factor = factor(&self.weights.levels);
        assert!(channels == 3 && height % factor == 0 && width % factor == 0, "RGB in whole latent positions");
        let weights = Arc::clone(&self.weights);
        let shape = [batch, weights.latent_channels, height / factor, width / factor];
        let latent_bytes = (shape[1] * shape[2] * shape[3]) as u64 * F32;
        bridge::call(&self.gpu, &[bridge::handle(&image)], shape, DType::F32, move |session, operands, out| {
            let Some(image) = operands.first() else { return Ok(()) };
            let mut layout = Layout::default();
            let buffers = Buffers::of_encoder(&mut layout, &weights, [height, width]);
            let base = session.scratch(&layout)?;
            for row in 0..batch {
                let mut pass = Pass::new(session, base, &buffers);
                pass.encode(&weights, image, row, out + row as u64 * latent_bytes)?;
            }
            Ok(())
        })
    }
}
