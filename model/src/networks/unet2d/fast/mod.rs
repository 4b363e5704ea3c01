//! The U-Net and its control network on an NVIDIA GPU: each of their passes is one operation of burn's graph, see
//! [`cuda`](crate::cuda).
//!
//! Images are channels-last, all rows of a batch in each convolution and product. The result of a convolution is summed
//! with its bias, the shift for the time and the residual by one kernel, which also adds up the channels for the norm that
//! follows; norm and SiLU are one more. A skip is never concatenated: norms read two images, and shortcuts are two
//! products. Branches of transformers are added by the products that compute them.

mod control;
mod memory;
mod pass;
mod preparation;
mod weights;

use std::sync::Arc;

use burn::tensor::{DType, Tensor};

pub(super) use self::control::FastControlNet;
use self::memory::{Buffers, skip_images};
use self::pass::{Pass, Shared};
use self::preparation::{Preparation, trial};
use self::weights::Weights;
use super::conditioning::{Conditioning, Prepared};
use super::control::Residuals;
use super::{Passes, Unet};
use crate::cuda::session::Layout;
use crate::cuda::{self, CudaError, Gpu, bridge};

/// Addresses of a network's weights, valid as long as the network, which owns this value.
pub(super) struct FastUnet {
    gpu: Arc<Gpu>,
    weights: Arc<Weights>,
    preparation: Preparation,
}

impl FastUnet {
    /// The fast path of a loaded network; `None` if it is not in bf16 or the GPU or a library does not support it.
    pub(super) fn of(network: &Unet) -> Option<Self> {
        let weight = &network.down.conv_in.weight;
        if weight.dtype() != DType::BF16 {
            return None;
        }
        let gpu = cuda::of(&weight.device())?;
        let located = Weights::of(&gpu, &network.config, &network.down, &network.up);
        let tried = located.and_then(|weights| {
            let preparation = Preparation::new(&gpu, &weights.descent, network.down.time.features());
            let fast = Self { gpu, weights: Arc::new(weights), preparation };
            trial(&fast.preparation, &weight.device(), |sample, prepared| {
                drop(fast.evaluate(sample, 0, prepared, None));
            })?;
            Ok(fast)
        });
        match tried {
            Ok(fast) => Some(fast),
            Err(error) => {
                tracing::warn!(%error, "the U-Net runs on burn's own kernels, which are several times slower");
                None
            }
        }
    }

    /// The residuals of control networks, one after the other; `None` if their shapes are not those of the skips.
    fn packed(&self, control: &Residuals, rows: usize, size: [usize; 2]) -> Option<Tensor<1>> {
        let skips = skip_images(&self.weights.descent, size);
        let images = skips.iter().chain(skips.last());
        let residuals: Vec<&Tensor<4>> = control.skips.iter().chain([&control.mid]).collect();
        let fits = residuals.len() == skips.len() + 1
            && residuals
                .iter()
                .zip(images)
                .all(|(residual, image)| residual.dims() == [rows, image.channels, image.height, image.width]);
        let flat = |residual: &&Tensor<4>| {
            let values = residual.dims().iter().product::<usize>();
            (*residual).clone().cast(DType::BF16).reshape([values])
        };
        fits.then(|| Tensor::cat(residuals.iter().map(flat).collect(), 0))
    }
}

impl Passes for FastUnet {
    fn prepare(&self, conditioning: &Conditioning, times: &[f32]) -> Option<Prepared> {
        self.preparation.prepare(conditioning, times)
    }

    fn evaluate(
        &self,
        sample: &Tensor<4>,
        step: usize,
        prepared: &Prepared,
        control: Option<&Residuals>,
    ) -> Option<Tensor<4>> {
        let sample = sample.clone().cast(DType::F32);
        let [rows, channels, height, width] = sample.dims();
        if rows != prepared.rows || channels != self.weights.descent.in_channels {
            return None;
        }
        let mut operands =
            vec![bridge::handle(&sample), bridge::handle(&prepared.keys_values), bridge::handle(&prepared.shifts)];
        let control = match control {
            Some(control) => Some(self.packed(control, rows, [height, width])?),
            None => None,
        };
        operands.extend(control.as_ref().map(bridge::handle));
        let weights = Arc::clone(&self.weights);
        let tokens = prepared.tokens;
        let shape = [rows, weights.out_channels, height, width];
        Some(bridge::call(&self.gpu, &operands, shape, DType::F32, move |session, operands, out| {
            let [sample, keys_values, shifts, control @ ..] = operands else {
                return Err(CudaError::operands(operands.len(), "3 or 4"));
            };
            let mut layout = Layout::default();
            let buffers = Buffers::of_unet(&mut layout, &weights, rows, [height, width]);
            let base = session.scratch(&layout)?;
            let shared = Shared::new(rows, tokens, keys_values, shifts, step);
            let control = control.first().map(|control| control.at);
            Pass::new(session, base, &buffers, shared).evaluate(&weights, sample, control, out)
        }))
    }
}
