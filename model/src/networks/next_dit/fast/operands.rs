//! Addresses within operands.

use crate::cuda::BF16;
use crate::cuda::kernels::RopeTables;
use crate::cuda::operand::Operand;

/// The address of a row of a batch of bf16 values.
pub(super) fn row_address(operand: &Operand, row: usize) -> u64 {
    operand.at + (row * operand.strides[0]) as u64 * BF16
}

/// The rotary tables of `[rows, tokens, pairs]` cosines and sines.
pub(super) fn tables(cosine: &Operand, sine: &Operand) -> RopeTables {
    RopeTables {
        cosine: cosine.at,
        sine: sine.at,
        row_stride: cosine.strides[0] as i64,
        stride: cosine.strides[1] as i64,
        interleaved: true,
    }
}
