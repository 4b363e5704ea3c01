//! Attention within each row of a batch whose rows are concatenated.

use super::error::CudaError;
use super::masked_attention::{self, MaskedAttention};
use super::product::Matrix;
use super::profile::Cost;
use super::rows::Rows;
use super::session::Session;
use super::text_kernels::Visible;
use super::{BF16, attention};
use crate::nn::block::Heads;

/// Clears the padding of the rows of `[tokens, width]`.
///
/// # Errors
///
/// The driver refuses.
pub(crate) fn clear_filling(session: &Session<'_>, at: u64, width: usize, rows: &Rows) -> Result<(), CudaError> {
    for row in 0..rows.count() {
        let (length, span) = (rows.length(row), rows.span(row));
        if length < span {
            let first = ((rows.start(row) + length) * width) as u64 * BF16;
            session.zero(at + first, (span - length) * width * BF16 as usize)?;
        }
    }
    Ok(())
}

/// Operations of [`attend`]: `4 * length² * heads * dim` for each row. Bytes are not counted.
pub(crate) fn cost(rows: &Rows, heads: Heads) -> Cost {
    let pairs: f64 = (0..rows.count()).map(|row| (rows.length(row) as f64).powi(2)).sum();
    Cost { flops: 4.0 * pairs * (heads.query * heads.dim) as f64, bytes: 0.0 }
}

/// Attention over a row of `tokens` tokens without a mask.
pub(crate) fn whole_row(heads: Heads, tokens: usize) -> MaskedAttention {
    let scale = 1.0 / (heads.dim as f32).sqrt();
    MaskedAttention { heads, scale, queries: tokens, keys: tokens, visible: Visible::First(tokens) }
}

/// [`attend`] by two products. Tokens are read and written up to the next multiple of [`masked_attention::ROUND`]:
/// values read from the next row are masked, and values written there are overwritten when that row is computed.
///
/// # Errors
///
/// A library refuses.
pub(crate) fn attend_by_products(
    session: &mut Session<'_>,
    qkv: u64,
    out: u64,
    scores: u64,
    rows: &Rows,
    heads: Heads,
) -> Result<(), CudaError> {
    let token_bytes = heads.width() as u64 * BF16;
    // Values beyond the last row must be finite.
    session.zero(qkv + rows.tokens() as u64 * token_bytes, masked_attention::ROUND * token_bytes as usize)?;
    for row in 0..rows.count() {
        let token = rows.start(row);
        let at = |head: usize| Matrix {
            at: qkv + token as u64 * token_bytes + (head * heads.dim) as u64 * BF16,
            row_stride: heads.width(),
        };
        let width = heads.query * heads.dim;
        let operands = masked_attention::Operands {
            q: at(0),
            k: at(heads.query),
            v: at(heads.query + heads.kv),
            scores,
            out: Matrix { at: out + (token * width) as u64 * BF16, row_stride: width },
        };
        whole_row(heads, rows.length(row)).run(session, operands)?;
    }
    Ok(())
}

/// Attention within each row. Consecutive rows of equal length are one call. Padding must be finite; it is left
/// unchanged or overwritten with zeros.
///
/// # Errors
///
/// cuDNN refuses.
pub(crate) fn attend(
    session: &mut Session<'_>,
    qkv: u64,
    out: u64,
    rows: &Rows,
    heads: Heads,
) -> Result<(), CudaError> {
    for (first, count) in rows.runs() {
        let shape = attention::Shape::fused(count, rows.span(first), heads);
        let token = rows.start(first);
        let at = |head: usize| qkv + (token * heads.width() + head * heads.dim) as u64 * BF16;
        let operands = attention::Operands {
            q: at(0),
            k: at(heads.query),
            v: at(heads.query + heads.kv),
            out: out + (token * heads.query * heads.dim) as u64 * BF16,
        };
        session.attention.run_filled_up(session.stream, &shape, rows.length(first), operands)?;
    }
    Ok(())
}
