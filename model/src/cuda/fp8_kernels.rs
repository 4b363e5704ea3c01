//! Our kernels for 8-bit values: rows of e4m3 codes with a scale for each row, which products read instead of bf16.

use cudarc::driver::sys::{CUfunction, CUstream};

use super::error::CudaError;
use super::kernels::{Modulation, Next, NormKind};
use super::launch::{arguments, function, launch, module, row_threads, stream_source};
use super::product::fp8::Fp8Rows;
use super::rows::Rows;
use crate::nn::block::Gate;

/// The compute capability (major, minor) from which on devices convert to e4m3.
pub(crate) const CAPABILITY_MIN: (i32, i32) = (8, 9);
/// Vectors of eight values that a thread holds, `VECTORS` of `fp8.cu`.
const FP8_VECTORS: usize = 4;
/// Threads that a block may have.
const BLOCK_MAX: usize = 1024;
/// The widest row that can be quantized.
pub(crate) const WIDTH_MAX: usize = 8 * FP8_VECTORS * BLOCK_MAX;

/// The loaded functions. Every call only queues its work on `stream`; addresses must stay valid until it is done.
pub struct Fp8Kernels {
    rms_norm_scale: CUfunction,
    add_branch_norm: CUfunction,
    gated_unit: CUfunction,
    quantize_rows: CUfunction,
    dequantize_rows: CUfunction,
}

// SAFETY: a CUfunction is an address inside a module that is never unloaded; the driver lets any thread use it.
unsafe impl Send for Fp8Kernels {}

impl Fp8Kernels {
    /// Compiles and loads everything for this compute capability, [`CAPABILITY_MIN`] or later, of the current context.
    ///
    /// # Errors
    ///
    /// NVRTC or the driver refuses.
    pub fn load(capability: (i32, i32)) -> Result<Self, CudaError> {
        let module = module(capability, "fp8.cu", concat!(stream_source!(), include_str!("kernels/fp8.cu")))?;
        Ok(Self {
            rms_norm_scale: function(module, "rms_norm_scale_fp8")?,
            add_branch_norm: function(module, "add_branch_norm_fp8")?,
            gated_unit: function(module, "gated_unit_fp8")?,
            quantize_rows: function(module, "quantize_rows")?,
            dequantize_rows: function(module, "dequantize_rows")?,
        })
    }

    /// As [`Kernels::rms_norm_scale`](super::kernels::Kernels::rms_norm_scale).
    #[expect(clippy::too_many_arguments, reason = "they are the operands of one kernel")]
    pub fn rms_norm_scale(
        &self,
        stream: CUstream,
        x: (u64, i64),
        weight: u64,
        kind: NormKind,
        scale: Modulation,
        rows: &Rows,
        out: Fp8Rows,
        dim: usize,
    ) -> Result<(), CudaError> {
        let threads = row_threads(dim);
        let dim = dim as i32;
        let Fp8Rows { codes, scales } = out;
        let mut arguments =
            arguments![x.0, x.1, weight, kind.weight_offset, scale, *rows, codes, scales, dim, kind.eps];
        launch(self.rms_norm_scale, rows.tokens() as u64, threads, stream, &mut arguments)
    }

    /// As [`Kernels::add_branch_norm`](super::kernels::Kernels::add_branch_norm).
    #[expect(clippy::too_many_arguments, reason = "they are the operands of one kernel")]
    pub fn add_branch_norm(
        &self,
        stream: CUstream,
        x: u64,
        branch: u64,
        after: u64,
        kind: NormKind,
        gate: Modulation,
        rows: &Rows,
        next: Next,
        next_eps: f32,
        normed: Fp8Rows,
        dim: usize,
    ) -> Result<(), CudaError> {
        let (next_kind, next_weight, scale) = next.arguments();
        let threads = row_threads(dim);
        let dim = dim as i32;
        let Fp8Rows { codes, scales } = normed;
        let mut arguments = arguments![
            x,
            branch,
            after,
            kind.weight_offset,
            gate,
            *rows,
            next_kind,
            next_weight,
            scale,
            codes,
            scales,
            dim,
            kind.eps,
            next_eps
        ];
        launch(self.add_branch_norm, rows.tokens() as u64, threads, stream, &mut arguments)
    }

    /// As [`Kernels::gated_unit`](super::kernels::Kernels::gated_unit), for a width of at most [`WIDTH_MAX`].
    pub fn gated_unit(
        &self,
        stream: CUstream,
        gate_up: u64,
        out: Fp8Rows,
        tokens: usize,
        width: usize,
        gate: Gate,
    ) -> Result<(), CudaError> {
        let threads = wide_row_threads(width)?;
        let Fp8Rows { codes, scales } = out;
        let (width, kind) = (width as i32, gate as i32);
        let mut arguments = arguments![gate_up, codes, scales, width, kind];
        launch(self.gated_unit, tokens as u64, threads, stream, &mut arguments)
    }

    /// The nearest e4m3 values of `x`, bf16 rows of at most [`WIDTH_MAX`] values: address and elements from one row to
    /// the next.
    pub fn quantize_rows(
        &self,
        stream: CUstream,
        x: (u64, i64),
        out: Fp8Rows,
        rows: usize,
        width: usize,
    ) -> Result<(), CudaError> {
        let threads = wide_row_threads(width)?;
        let Fp8Rows { codes, scales } = out;
        let width = width as i32;
        let mut arguments = arguments![x.0, x.1, codes, scales, width];
        launch(self.quantize_rows, rows as u64, threads, stream, &mut arguments)
    }

    /// The values of `x` in bf16, `[rows, width]` without gaps.
    pub fn dequantize_rows(
        &self,
        stream: CUstream,
        x: Fp8Rows,
        out: u64,
        rows: usize,
        width: usize,
    ) -> Result<(), CudaError> {
        let threads = wide_row_threads(width)?;
        let Fp8Rows { codes, scales } = x;
        let width = width as i32;
        let mut arguments = arguments![codes, scales, out, width];
        launch(self.dequantize_rows, rows as u64, threads, stream, &mut arguments)
    }
}

/// One thread for [`FP8_VECTORS`] times eight elements, in whole warps.
fn wide_row_threads(width: usize) -> Result<u32, CudaError> {
    if !width.is_multiple_of(8) || width > WIDTH_MAX {
        return Err(CudaError::Unsupported {
            what: "the width of a row in 8 bits",
            found: width,
            wanted: "a multiple of 8 up to 32768",
        });
    }
    Ok(width.div_ceil(8 * FP8_VECTORS).next_multiple_of(32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_threads_holds_a_row() {
        for width in [16, 2304, 9216, WIDTH_MAX] {
            let threads = wide_row_threads(width).expect("a width that fits") as usize;
            assert!(threads <= BLOCK_MAX && threads * FP8_VECTORS * 8 >= width, "{width}: {threads}");
        }
        assert!(wide_row_threads(WIDTH_MAX + 8).is_err() && wide_row_threads(12).is_err());
    }
}
