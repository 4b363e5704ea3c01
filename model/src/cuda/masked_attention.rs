//! Masked attention by two batched products and our softmax kernel.
//!
//! For texts of at most [`KEYS_MAX`] tokens the scores are small enough to be stored. Numbers of queries and keys are
//! padded to multiples of [`ROUND`], so that texts of different lengths share plans. Padding does not affect results,
//! but its values must be finite.

use super::BF16;
use super::error::CudaError;
use super::product::{Batch, Factor, Layer, Matrix, Output, Product};
use super::profile::Cost;
use super::session::Session;
use super::text_kernels::{KEYS_MAX, Visible};
use crate::nn::block::Heads;

/// Queries and keys are rounded up to a multiple of this.
pub(crate) const ROUND: usize = 64;
/// Products choose their algorithm for this number of tokens, whatever the actual number: the bits of a token must not
/// depend on the length of the text, see [`Products::run_as`](super::product::Products::run_as).
pub(crate) const PLANNED_TOKENS: usize = 512;

/// Queries whose scores are stored at once.
const QUERIES_MAX: usize = 1024;

/// The sizes and the mask of one call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MaskedAttention {
    /// Numbers of query and key heads, and elements of one.
    pub heads: Heads,
    /// Multiplies the scores.
    pub scale: f32,
    /// Number of queries.
    pub queries: usize,
    /// Number of keys.
    pub keys: usize,
    /// Which keys a query attends to.
    pub visible: Visible,
}

/// The operands: a row for each token with all of its heads. There are rows for the padded numbers of queries and keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operands {
    /// `[queries, query heads * head_dim]`
    pub q: Matrix,
    /// `[keys, key heads * head_dim]`
    pub k: Matrix,
    /// `[keys, key heads * head_dim]`
    pub v: Matrix,
    /// A buffer of [`MaskedAttention::score_bytes`].
    pub scores: u64,
    /// `[queries, query heads * head_dim]`, written by the call.
    pub out: Matrix,
}

/// `tokens` rounded up to a multiple of [`ROUND`].
pub(crate) fn rounded(tokens: usize) -> usize {
    tokens.next_multiple_of(ROUND)
}

/// A linear layer over a padded number of rows, whose bits do not depend on that number.
///
/// # Errors
///
/// cuBLASLt has no way to compute it, or the device fails.
pub(crate) fn linear(session: &mut Session<'_>, rows: usize, x: u64, layer: &Layer, y: u64) -> Result<(), CudaError> {
    let planned = [PLANNED_TOKENS, layer.d_input, layer.d_output];
    session.products.run_as(session.stream, &Product::linear(rows, x, layer, y), planned)
}

impl MaskedAttention {
    /// Bytes of scratch memory for the scores.
    pub(crate) fn score_bytes(&self) -> usize {
        self.heads.query * rounded(self.queries.min(QUERIES_MAX)) * rounded(self.keys) * size_of::<f32>()
    }

    /// The cost of a call, padding included.
    pub(crate) fn cost(&self) -> Cost {
        let pairs = rounded(self.queries) as f64 * rounded(self.keys) as f64;
        Cost { flops: 4.0 * pairs * (self.heads.query * self.heads.dim) as f64, bytes: 0.0 }
    }

    /// Queues `softmax(scale q kᵀ) v` of each head.
    ///
    /// # Errors
    ///
    /// There are more than [`KEYS_MAX`] keys, or a library refuses.
    pub(crate) fn run(&self, session: &mut Session<'_>, operands: Operands) -> Result<(), CudaError> {
        if self.keys > KEYS_MAX {
            return Err(CudaError::Unsupported {
                what: "the number of keys",
                found: self.keys,
                wanted: "2048 at most",
            });
        }
        for start in (0..self.queries).step_by(QUERIES_MAX) {
            let visible = match self.visible {
                Visible::Causal { first, window } => Visible::Causal { first: first + start, window },
                visible @ Visible::First(_) => visible,
            };
            let part = Self { queries: (self.queries - start).min(QUERIES_MAX), visible, ..*self };
            let from = |matrix: Matrix| Matrix { at: matrix.at + (start * matrix.row_stride) as u64 * BF16, ..matrix };
            part.run_part(session, Operands { q: from(operands.q), out: from(operands.out), ..operands })?;
        }
        Ok(())
    }

    fn run_part(&self, session: &mut Session<'_>, operands: Operands) -> Result<(), CudaError> {
        let Self { heads, scale, queries, keys, visible } = *self;
        let Operands { q, k, v, scores, out } = operands;
        let (rows, columns) = (rounded(queries), rounded(keys));
        // One product for all key heads; the query heads that share a key head come one after the other.
        let group = heads.query / heads.kv;
        let head_at =
            |matrix: Matrix, head: usize| Matrix { at: matrix.at + (head * heads.dim) as u64 * BF16, ..matrix };
        let scores_at = |head: usize| scores + (head * rows * columns * size_of::<f32>()) as u64;
        for head in 0..group {
            let product = Product {
                size: [rows, heads.dim, columns],
                x: head_at(q, head),
                w: k,
                factor: Factor::OutIn,
                bias: None,
                y: Matrix { at: scores_at(head), row_stride: columns },
                output: Output::F32,
                alpha: scale,
                batch: Some(Batch { count: heads.kv, x: group * heads.dim, w: heads.dim, y: group * rows * columns }),
            };
            session.products.run_as(session.stream, &product, [PLANNED_TOKENS, heads.dim, PLANNED_TOKENS])?;
        }
        session.text_kernels.masked_softmax(session.stream, scores, heads.query, [queries, rows], columns, visible)?;
        for head in 0..group {
            let product = Product {
                size: [rows, columns, heads.dim],
                // A row of weights begins where its scores did.
                x: Matrix { at: scores_at(head), row_stride: 2 * columns },
                w: v,
                factor: Factor::InOut,
                bias: None,
                y: head_at(out, head),
                output: Output::Bf16,
                alpha: 1.0,
                batch: Some(Batch {
                    count: heads.kv,
                    x: 2 * group * rows * columns,
                    w: heads.dim,
                    y: group * heads.dim,
                }),
            };
            session.products.run_as(session.stream, &product, [PLANNED_TOKENS, PLANNED_TOKENS, heads.dim])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_counted_in_whole_tiles() {
        let heads = Heads { query: 8, kv: 4, dim: 256 };
        let visible = Visible::Causal { first: 100, window: None };
        let attention = MaskedAttention { heads, scale: 1.0, queries: 1, keys: 101, visible };
        assert_eq!(attention.score_bytes(), 8 * 64 * 128 * 4);
        let whole = MaskedAttention { queries: 2000, keys: 2000, ..attention };
        assert_eq!(whole.score_bytes(), 8 * 1024 * 2048 * 4);
    }
}
