//! The text side: captions through the context refiner, and the projection of the pooled embedding.

use super::operands::{row_address, tables};
use super::weights::{Pooled, Weights};
use crate::cuda::block::Buffers;
use crate::cuda::kernels::{Modulation, Next};
use crate::cuda::operand::Operand;
use crate::cuda::product::Product;
use crate::cuda::profile::Cost;
use crate::cuda::rows::Rows;
use crate::cuda::session::{Layout, Session};
use crate::cuda::stack::{self, Tokens};
use crate::cuda::{BF16, CudaError};

impl Weights {
    /// Embeds and refines the captions: `[rows, width, cap_feat_dim]` at `operands[0]` to `[rows, width, dim]` at `out`. The other
    /// operands are the cosines and sines of the positions. Tokens beyond a row's length are zeros.
    ///
    /// # Errors
    ///
    /// A library refuses.
    pub(super) fn refine(
        &self,
        session: &mut Session<'_>,
        rows: &Rows,
        width: usize,
        operands: &[Operand],
        out: u64,
    ) -> Result<(), CudaError> {
        let [features, cosine, sine] = operands else { return Err(CudaError::operands(operands.len(), "3")) };
        session.enter("next_dit");
        let (dim, tokens) = (self.geometry.dim, rows.tokens());
        let mut layout = Layout::default();
        let flat = layout.bf16(tokens * self.cap_feat_dim);
        let x = layout.bf16(tokens * dim);
        let longest = (0..rows.count()).map(|row| rows.length(row)).max().unwrap_or(0);
        let buffers = Buffers::for_texts(&mut layout, &self.geometry, tokens, longest);
        let base = session.scratch(&layout)?;
        let (flat, x) = (flat.in_scratch(base), x.in_scratch(base));

        let feature_bytes = self.cap_feat_dim * BF16 as usize;
        for row in 0..rows.count() {
            let to = flat + (rows.start(row) * feature_bytes) as u64;
            session.copy_rows(
                (row_address(features, row), features.strides[1] * BF16 as usize),
                (to, feature_bytes),
                feature_bytes,
                rows.length(row),
            )?;
        }
        let (norm, kind) = self.caption_norm;
        let span = (flat, self.cap_feat_dim as i64);
        let none = Modulation::default();
        session.kernels.rms_norm_scale(session.stream, span, norm, kind, none, rows, span, self.cap_feat_dim)?;
        session.products.run(session.stream, &Product::linear(tokens, flat, &self.caption, x))?;
        session.mark("embed captions", Cost::product(tokens, self.cap_feat_dim, dim))?;
        // Blocks are counted in the order of the published tensors: context refiner, noise refiner, layers.
        let over = Tokens { x, rows, tables: tables(cosine, sine), first_layer: 0 };
        stack::run(session, base, &self.geometry, &self.context_refiner, &[], over, &buffers, (Next::None, 0.0))?;

        let row_bytes = dim * BF16 as usize;
        session.zero(out, rows.count() * width * row_bytes)?;
        for row in 0..rows.count() {
            let from = x + (rows.start(row) * row_bytes) as u64;
            session.copy(from, out + (row * width * row_bytes) as u64, rows.length(row) * row_bytes)?;
        }
        Ok(())
    }

    /// Projects the pooled text embeddings, `[rows, clip_text_dim]`, to `[rows, d_output]` at `out`.
    ///
    /// # Errors
    ///
    /// A library refuses.
    pub(super) fn project(
        &self,
        session: &mut Session<'_>,
        rows: &Rows,
        pooled: &Operand,
        out: u64,
    ) -> Result<(), CudaError> {
        let Some(Pooled { norm: (norm, kind), projection, .. }) = &self.pooled else { return Ok(()) };
        let width = projection.d_input;
        let mut layout = Layout::default();
        let normed = layout.bf16(rows.count() * width);
        let normed = normed.in_scratch(session.scratch(&layout)?);
        session.enter("next_dit");
        let from = (pooled.at, pooled.strides[0] as i64);
        let (stream, none) = (session.stream, Modulation::default());
        session.kernels.rms_norm_scale(stream, from, *norm, *kind, none, rows, (normed, width as i64), width)?;
        session.products.run(stream, &Product::linear(rows.count(), normed, projection, out))?;
        session.mark("project pooled text", Cost::default())
    }
}
