//! The decoder on an NVIDIA GPU: one operation of burn's graph, see [`cuda`](crate::cuda).
//!
//! Images are channels-last in three buffers: `x` is the stream of the residual blocks, `normed` the input of a
//! convolution, `hidden` its result. Biases, residual sums and upsampling are fused into the kernels that read the
//! result of a convolution, and a kernel that writes `x` also computes the sums for the following norm. The images of a
//! batch are decoded one after the other, so they are independent and need the memory of one.

mod memory;
mod pass;
mod weights;

use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};

use self::memory::Buffers;
use self::pass::Pass;
use self::weights::{Pinning, Weights};
use super::decoder::Decoder;
use super::{AutoencoderKlConfig, Passes};
use crate::cuda::session::Layout;
use crate::cuda::{self, CudaError, Gpu, bridge};

/// Height and width of the latents of the trial decoding.
const TRIAL: usize = 8;
/// Bytes of an f32.
const F32: u64 = 4;

/// Addresses of a decoder's weights, valid as long as the autoencoder, which owns this value.
pub(crate) struct FastDecoder {
    gpu: Arc<Gpu>,
    weights: Arc<Weights>,
}

impl FastDecoder {
    /// The fast path of a loaded decoder; `None` if it is not in bf16 or the GPU or a library does not support it.
    pub(crate) fn of(config: &AutoencoderKlConfig, decoder: &Decoder) -> Option<Self> {
        let weight = &decoder.conv_in.weight;
        if weight.dtype() != DType::BF16 {
            return None;
        }
        let device = weight.device();
        let gpu = cuda::of(&device)?;
        let pinned = Pinning::new(&gpu).decoder(config, decoder);
        let fast = pinned.map(|weights| Self { gpu, weights: Arc::new(weights) });
        match fast.and_then(|fast| fast.try_out(&device).map(|()| fast)) {
            Ok(fast) => Some(fast),
            Err(error) => {
                tracing::warn!(%error, "the autoencoder runs on burn's own kernels, which are several times slower");
                None
            }
        }
    }

    /// Decodes a few latents: only a trial shows whether cuDNN supports convolutions of these channels.
    fn try_out(&self, device: &Device) -> Result<(), CudaError> {
        let latents = Tensor::zeros([1, self.weights.latent_channels, TRIAL, TRIAL], (device, DType::F32));
        let image = self.decode(&latents);
        let done = device.sync();
        drop(image);
        if let Some(fault) = self.gpu.take_fault() {
            return Err(fault);
        }
        done.map_err(|error| CudaError::Driver { doing: "decode a trial image", reason: error.to_string() })
    }
}

impl Passes for FastDecoder {
    fn decode(&self, model_latents: &Tensor<4>) -> Tensor<4> {
        let latents = model_latents.clone().cast(DType::F32);
        let [batch, channels, height, width] = latents.dims();
        assert_eq!(channels, self.weights.latent_channels, "channels of the latents");
        let weights = Arc::clone(&self.weights);
        let factor = 1 << weights.levels.iter().filter(|(_, doubling)| doubling.is_some()).count();
        let shape = [batch, 3, factor * height, factor * width];
        let image_bytes = (shape[1] * shape[2] * shape[3]) as u64 * F32;
        bridge::call(&self.gpu, &[bridge::handle(&latents)], shape, DType::F32, move |session, operands, out| {
            let Some(latents) = operands.first() else { return Ok(()) };
            let mut layout = Layout::default();
            let buffers = Buffers::new(&mut layout, &weights, [height, width]);
            let base = session.scratch(&layout)?;
            for row in 0..batch {
                let mut pass = Pass::new(session, base, &buffers);
                pass.decode(&weights, latents, row, out + row as u64 * image_bytes)?;
            }
            Ok(())
        })
    }
}
