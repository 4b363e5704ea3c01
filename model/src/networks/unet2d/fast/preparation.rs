//! What is computed once for all evaluations of a batch.

use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};

use super::weights::{Descent, Parts};
use crate::cuda::operand::Operand;
use crate::cuda::product::{Layer, Matrix, Product};
use crate::cuda::profile::Cost;
use crate::cuda::session::{Layout, Session};
use crate::cuda::{BF16, CudaError, Gpu, bridge};
use crate::networks::unet2d::conditioning::{Conditioning, Prepared};
use crate::networks::unet2d::time::Features;

/// Height and width of the latents of a trial, and tokens of its text.
const TRIAL: usize = 32;
const TRIAL_TOKENS: usize = 77;

/// Computes keys and values of the text and the time embeddings of a network.
pub(super) struct Preparation {
    gpu: Arc<Gpu>,
    descent: Arc<Descent>,
    features: Features,
}

/// Evaluates small latents by `evaluate`: only a trial shows whether cuDNN supports the channels and heads of a network.
///
/// # Errors
///
/// A library refuses.
pub(super) fn trial(
    preparation: &Preparation,
    device: &Device,
    evaluate: impl FnOnce(&Tensor<4>, &Prepared),
) -> Result<(), CudaError> {
    let Preparation { gpu, descent, features } = preparation;
    let options = (device, DType::BF16);
    let conditioning = Conditioning {
        context: Tensor::zeros([1, TRIAL_TOKENS, descent.context_dim], options),
        pooled: Tensor::zeros([1, features.added - features.size], options),
        sizes: vec![vec![0.0]],
    };
    let sample = Tensor::zeros([1, descent.in_channels, TRIAL, TRIAL], (device, DType::F32));
    if let Some(prepared) = preparation.prepare(&conditioning, &[0.0]) {
        evaluate(&sample, &prepared);
    }
    let done = device.sync();
    if let Some(fault) = gpu.take_fault() {
        return Err(fault);
    }
    done.map_err(|error| CudaError::Driver { doing: "evaluate trial latents", reason: error.to_string() })
}

impl Preparation {
    pub(super) fn new(gpu: &Arc<Gpu>, descent: &Arc<Descent>, features: Features) -> Self {
        Self { gpu: Arc::clone(gpu), descent: Arc::clone(descent), features }
    }

    /// `None` if the rows of the conditioning differ, or there is no time.
    pub(super) fn prepare(&self, conditioning: &Conditioning, times: &[f32]) -> Option<Prepared> {
        let [rows, tokens, _] = conditioning.context.dims();
        if conditioning.pooled.dims()[0] != rows || conditioning.sizes.len() != rows || times.is_empty() {
            return None;
        }
        let keys_values = self.keys_values(&conditioning.context);
        Some(Prepared { keys_values, shifts: self.shifts(conditioning, times), rows, tokens })
    }

    fn keys_values(&self, context: &Tensor<3>) -> Tensor<1> {
        let context = context.clone().cast(DType::BF16);
        let [rows, tokens, _] = context.dims();
        let descent = Arc::clone(&self.descent);
        let values = rows * tokens * descent.keys_values.width;
        bridge::call(&self.gpu, &[bridge::handle(&context)], [values], DType::BF16, move |session, operands, out| {
            let [context] = operands else { return Err(CudaError::operands(operands.len(), "1")) };
            session.enter("unet");
            descent.keys_values(session, context, out)
        })
    }

    fn shifts(&self, conditioning: &Conditioning, times: &[f32]) -> Tensor<2> {
        let device = conditioning.pooled.device();
        let sinusoids = self.features.of_times(times, &device).cast(DType::BF16);
        let added = self.features.of_rows(&conditioning.pooled, &conditioning.sizes).cast(DType::BF16);
        let [rows, _] = added.dims();
        let descent = Arc::clone(&self.descent);
        let shape = [times.len() * rows, descent.shifts.width];
        let operands = [bridge::handle(&sinusoids), bridge::handle(&added)];
        bridge::call(&self.gpu, &operands, shape, DType::BF16, move |session, operands, out| {
            let [times, added] = operands else { return Err(CudaError::operands(operands.len(), "2")) };
            session.enter("unet");
            descent.shifts(session, times, added, out)
        })
    }
}

impl Descent {
    /// Keys and values of a text `[rows, tokens, context_dim]` for each block, `[rows * tokens, 2 channels]` at its place.
    fn keys_values(&self, session: &mut Session<'_>, context: &Operand, out: u64) -> Result<(), CudaError> {
        let [rows, tokens, width] = context.shape[..] else { return Err(CudaError::operands(0, "a text")) };
        let mut layout = Layout::default();
        let text = layout.bf16(rows * tokens * width);
        let text = text.in_scratch(session.scratch(&layout)?);
        let bytes = width * BF16 as usize;
        for row in 0..rows {
            let from = context.at + (row * context.strides[0]) as u64 * BF16;
            let to = text + (row * tokens * bytes) as u64;
            session.copy_rows((from, context.strides[1] * BF16 as usize), (to, bytes), bytes, tokens)?;
        }
        let count = rows * tokens;
        for (layer, start) in &self.keys_values.layers {
            let to = out + (count * start) as u64 * BF16;
            session.products.run(session.stream, &Product::linear(count, text, layer, to))?;
        }
        session.mark("keys and values of the text", Cost::product(count, width, self.keys_values.width))
    }

    /// What residual blocks add for each time and row, from the sinusoids of the times and the features of the rows.
    fn shifts(&self, session: &mut Session<'_>, times: &Operand, added: &Operand, out: u64) -> Result<(), CudaError> {
        let dim = self.time[1].d_output;
        let (time_count, row_count) = (times.shape[0], added.shape[0]);
        let most = time_count.max(row_count);
        let mut layout = Layout::default();
        let [inner, activated, of_times, of_rows, sums] =
            [most, most, time_count, row_count, time_count * row_count].map(|count| layout.bf16(count * dim));
        let base = session.scratch(&layout)?;
        let [inner, activated, of_times, of_rows, sums] =
            [inner, activated, of_times, of_rows, sums].map(|place| place.in_scratch(base));
        let stream = session.stream;
        for (operand, [input, output], to) in [(times, &self.time, of_times), (added, &self.added, of_rows)] {
            let count = operand.shape[0];
            let x = Matrix { at: operand.at, row_stride: operand.strides[0] };
            session.products.run(stream, &Product { x, ..Product::linear(count, 0, input, inner) })?;
            session.kernels.silu_each(stream, inner, activated, count * dim)?;
            session.products.run(stream, &Product::linear(count, activated, output, to))?;
        }
        session.transformer_kernels.silu_sums(stream, [of_times, of_rows], [time_count, row_count], dim, sums)?;
        let Parts { layers, width } = &self.shifts;
        let count = time_count * row_count;
        for (layer, start) in layers {
            let y = Matrix { at: out + *start as u64 * BF16, row_stride: *width };
            let layer: &Layer = layer;
            session.products.run(stream, &Product { y, ..Product::linear(count, sums, layer, 0) })?;
        }
        session.mark("times and sizes", Cost::product(count, dim, *width))
    }
}
