//! Our kernels for transformers with layer norms before their branches, declared in `kernels/transformer.cu`.

use cudarc::driver::sys::{CUfunction, CUstream};

use super::error::CudaError;
use super::launch::{THREADS, arguments, function, launch, launch_each, module};

/// The widest token that [`TransformerKernels::layer_norm`] takes.
pub(crate) const NORM_WIDTH_MAX: usize = 2048;

/// The loaded functions. Every call only queues its work on `stream`; addresses must stay valid until it is done.
pub struct TransformerKernels {
    layer_norm: CUfunction,
    gated_gelu: CUfunction,
    silu_sums: CUfunction,
}

// SAFETY: a CUfunction is an address inside a module that is never unloaded; the driver lets any thread use it.
unsafe impl Send for TransformerKernels {}

impl TransformerKernels {
    /// Compiles and loads everything for this compute capability (major, minor) of the current context.
    ///
    /// # Errors
    ///
    /// NVRTC or the driver refuses.
    pub fn load(capability: (i32, i32)) -> Result<Self, CudaError> {
        let transformer = module(capability, "transformer.cu", include_str!("kernels/transformer.cu"))?;
        Ok(Self {
            layer_norm: function(transformer, "layer_norm")?,
            gated_gelu: function(transformer, "gated_gelu")?,
            silu_sums: function(transformer, "silu_sums")?,
        })
    }

    /// `out = layer_norm(x) * weight + bias` of `[tokens, dim]`; `dim` is a multiple of 8 up to [`NORM_WIDTH_MAX`].
    #[expect(clippy::too_many_arguments, reason = "they are the operands of one kernel")]
    pub fn layer_norm(
        &self,
        stream: CUstream,
        x: u64,
        (weight, bias): (u64, u64),
        eps: f32,
        out: u64,
        tokens: usize,
        dim: usize,
    ) -> Result<(), CudaError> {
        let (tokens, dim) = (tokens as i64, dim as i32);
        launch_each(
            self.layer_norm,
            tokens as u64 * 32,
            stream,
            &mut arguments![x, weight, bias, out, tokens, dim, eps],
        )
    }

    /// `out = values * gelu(gates)` where a token of `both` is values and then gates, `width` elements each, by the error
    /// function.
    pub fn gated_gelu(
        &self,
        stream: CUstream,
        both: u64,
        out: u64,
        tokens: usize,
        width: usize,
    ) -> Result<(), CudaError> {
        let vectors = (tokens * width / 8) as i64;
        let width = width as i32;
        launch_each(self.gated_gelu, vectors as u64, stream, &mut arguments![both, out, width, vectors])
    }

    /// `out[time, row] = silu(times[time] + rows[row])`, vectors of `dim` elements; `counts` are those of times and rows.
    pub fn silu_sums(
        &self,
        stream: CUstream,
        [times, rows]: [u64; 2],
        counts: [usize; 2],
        dim: usize,
        out: u64,
    ) -> Result<(), CudaError> {
        let vectors = counts[0] * counts[1];
        let (row_count, dim) = (counts[1] as i32, dim as i32);
        launch(self.silu_sums, vectors as u64, THREADS, stream, &mut arguments![times, rows, out, row_count, dim])
    }
}
