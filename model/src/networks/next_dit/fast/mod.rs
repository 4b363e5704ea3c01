//! The network on an NVIDIA GPU: each of its passes is one operation of burn's graph, see [`cuda`](crate::cuda).
//!
//! The tokens of all rows are concatenated, each row padded to a multiple of [`ROW_MULTIPLE`] tokens, so captions of
//! different lengths cost little. Images of different sizes in one batch are left to the implementation in burn's
//! operations.

mod caption;
mod evaluate;
mod operands;
mod reuse;
mod weights;

use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};

use self::weights::Weights;
use super::conditioned::{Caption, Conditioned};
use super::reuse::{ReuseRow, Reusing};
use super::row_memory::RowMemory;
use super::{NextDit, Passes, ROW_MULTIPLE};
use crate::cuda::bridge;
use crate::cuda::rows::{ROWS_MAX, Rows};
use crate::cuda::{self, CudaError, Gpu};
use crate::nn::rope::RopeTable;

/// Addresses of a network's weights, valid as long as the network, which owns this value.
pub(crate) struct FastNextDit {
    gpu: Arc<Gpu>,
    weights: Arc<Weights>,
}

impl FastNextDit {
    /// The fast path of a loaded network; `None` if it is not in bf16 or the GPU or a library does not support it.
    pub(crate) fn of(network: &NextDit) -> Option<Self> {
        let weight = network.patches.weight.val();
        if weight.dtype() != DType::BF16 {
            return None;
        }
        let gpu = cuda::of(&weight.device())?;
        match Weights::pin(&gpu, network) {
            Ok(weights) => Some(Self { gpu, weights: Arc::new(weights) }),
            Err(error) => {
                tracing::warn!(%error, "the Next-DiT runs on burn's own kernels, which are several times slower");
                None
            }
        }
    }
}

impl FastNextDit {
    /// Gives the rows of the step cache that have none their memory.
    fn allocate(&self, rows: &Rows, image: usize, device: &Device, reused: &[ReuseRow]) -> Result<(), CudaError> {
        for (index, row) in reused.iter().enumerate() {
            let mut row = row.lock();
            if row.memory.is_none() {
                let values = 1 + row.decisions.settings().taylor_order as usize;
                let sizes = [image, rows.span(index), self.weights.geometry.dim];
                row.memory = Some(RowMemory::new(&self.gpu, device, sizes, values)?);
            }
        }
        Ok(())
    }
}

impl Passes for FastNextDit {
    /// Tokens beyond a row's length are zeros.
    fn refine(&self, caption: &Caption, width: usize, rope: &RopeTable) -> Option<Tensor<3>> {
        let rows = Rows::of(caption.lengths.iter().copied())?;
        let weights = Arc::clone(&self.weights);
        let features = caption.features.clone().cast(DType::BF16);
        let operands = [bridge::handle(&features), bridge::handle(&rope.cos), bridge::handle(&rope.sin)];
        let dim = weights.geometry.dim;
        let shape = [rows.count(), width, dim];
        Some(bridge::call(&self.gpu, &operands, shape, DType::BF16, move |session, operands, out| {
            weights.refine(session, &rows, width, operands, out)
        }))
    }

    fn project(&self, pooled: &Tensor<2>) -> Option<Tensor<2>> {
        let width = self.weights.pooled.as_ref()?.projection.d_output;
        let weights = Arc::clone(&self.weights);
        let pooled = pooled.clone().cast(DType::BF16);
        let [batch, _] = pooled.dims();
        let rows = Rows::of(std::iter::repeat_n(1, batch))?;
        let operands = [bridge::handle(&pooled)];
        Some(bridge::call(&self.gpu, &operands, [batch, width], DType::BF16, move |session, operands, out| {
            weights.project(session, &rows, &operands[0], out)
        }))
    }

    /// Supports images of one size.
    fn evaluate(
        &self,
        conditioned: &Conditioned,
        patches: &Tensor<3>,
        times: &[f32],
        reusing: Option<Reusing<'_>>,
    ) -> Option<Tensor<3>> {
        if conditioned.image_mask.is_some() || times.len() > ROWS_MAX {
            return None;
        }
        let image = conditioned.image_width();
        let lengths = conditioned.caption_lengths().iter().map(|length| image + length);
        let rows = Rows::filled_up(lengths, ROW_MULTIPLE)?;
        let whole = match conditioned.whole() {
            Some(lengths) => Some(Rows::filled_up(lengths.iter().map(|length| image + length), ROW_MULTIPLE)?),
            None => None,
        };
        if let Some(reusing) = reusing
            && let Err(error) = self.allocate(&rows, image, &patches.device(), reusing.rows)
        {
            self.gpu.note(error);
        }
        let reusing = reusing.map(|reusing| (reusing.rows.to_vec(), reusing.evaluation));
        let weights = Arc::clone(&self.weights);
        let patches = patches.clone().cast(DType::BF16);
        let mut operands = vec![
            bridge::handle(&patches),
            bridge::handle(&conditioned.caption),
            bridge::handle(&conditioned.rope.cos),
            bridge::handle(&conditioned.rope.sin),
        ];
        operands.extend(conditioned.pooled.as_ref().map(bridge::handle));
        let has_pooled = conditioned.pooled.is_some();
        let times = times.to_vec();
        let shape = [rows.count(), image, weights.patch_dim];
        Some(bridge::call(&self.gpu, &operands, shape, DType::BF16, move |session, operands, out| {
            let pooled = has_pooled.then(|| &operands[4]);
            let reusing = reusing.as_ref().map(|(rows, evaluation)| (rows.as_slice(), *evaluation));
            weights.evaluate(session, (&rows, whole.as_ref()), image, &times, operands, pooled, reusing, out)
        }))
    }
}
