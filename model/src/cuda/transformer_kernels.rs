//! Our kernels for transformers with layer norms before their branches, declared in `kernels/transformer.cu` and
//! `kernels/cross_attention.cu`.

use std::cell::OnceCell;

use cudarc::driver::sys::{CUfunction, CUstream};

use super::error::CudaError;
use super::launch::{THREADS, arguments, function, launch, launch_each, launch_grid, module};
use crate::nn::block::Heads;

/// The widest token that [`TransformerKernels::layer_norm`] takes.
pub(crate) const NORM_WIDTH_MAX: usize = 2048;

/// Elements of the heads that [`TransformerKernels::cross_attention`] takes, and keys at most.
const CROSS_HEAD: usize = 64;
const CROSS_KEYS_MAX: usize = 80;
/// Threads of a block of it, and queries.
const CROSS_THREADS: u32 = 256;
const CROSS_QUERIES: usize = 128;

/// Whether [`TransformerKernels::cross_attention`] takes this many keys of these heads.
pub(crate) fn takes_keys(heads: Heads, keys: usize) -> bool {
    heads.dim == CROSS_HEAD && heads.query == heads.kv && (1..=CROSS_KEYS_MAX).contains(&keys)
}

/// The kernels, which are compiled at their first use: a server whose models have no such transformers does not wait for them.
/// Every call only queues its work on `stream`; addresses must stay valid until it is done.
pub struct TransformerKernels {
    capability: (i32, i32),
    functions: OnceCell<Functions>,
}

struct Functions {
    /// With the largest number of vectors of eight for each lane of a warp.
    layer_norm: [(usize, CUfunction); 3],
    cross_attention: CUfunction,
    gated_gelu: CUfunction,
    quick_gelu_each: CUfunction,
    silu_sums: CUfunction,
}

// SAFETY: a CUfunction is an address inside a module that is never unloaded; the driver lets any thread use it.
unsafe impl Send for Functions {}

impl Functions {
    fn load(capability: (i32, i32)) -> Result<Self, CudaError> {
        let transformer = module(capability, "transformer.cu", include_str!("kernels/transformer.cu"))?;
        let cross = module(capability, "cross_attention.cu", include_str!("kernels/cross_attention.cu"))?;
        Ok(Self {
            layer_norm: [
                (3, function(transformer, "layer_norm_3")?),
                (5, function(transformer, "layer_norm_5")?),
                (8, function(transformer, "layer_norm_8")?),
            ],
            cross_attention: function(cross, "cross_attention")?,
            gated_gelu: function(transformer, "gated_gelu")?,
            quick_gelu_each: function(transformer, "quick_gelu_each")?,
            silu_sums: function(transformer, "silu_sums")?,
        })
    }
}

impl TransformerKernels {
    /// For this compute capability (major, minor).
    pub fn new(capability: (i32, i32)) -> Self {
        Self { capability, functions: OnceCell::new() }
    }

    /// Compiles and loads everything in the current context, unless it was done before.
    ///
    /// # Errors
    ///
    /// NVRTC or the driver refuses.
    pub fn prepare(&self) -> Result<(), CudaError> {
        self.functions().map(drop)
    }

    fn functions(&self) -> Result<&Functions, CudaError> {
        if let Some(functions) = self.functions.get() {
            return Ok(functions);
        }
        let functions = Functions::load(self.capability)?;
        Ok(self.functions.get_or_init(|| functions))
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
        let vectors = dim.div_ceil(8 * 32);
        let Some(&(_, function)) = self.functions()?.layer_norm.iter().find(|(holds, _)| *holds >= vectors) else {
            return Err(CudaError::Unsupported {
                what: "the width of a layer norm",
                found: dim,
                wanted: "at most 2048",
            });
        };
        let (tokens, dim) = (tokens as i64, dim as i32);
        launch_each(function, tokens as u64 * 32, stream, &mut arguments![x, weight, bias, out, tokens, dim, eps])
    }

    /// `softmax(q kᵀ / sqrt(64)) v` of each row and head: `q` and `out` are `[rows, queries, heads, 64]`, `keys_values`
    /// `[rows, keys, 2, heads, 64]`. For what [`takes_keys`] says.
    pub fn cross_attention(
        &self,
        stream: CUstream,
        [q, keys_values, out]: [u64; 3],
        rows: usize,
        [queries, keys]: [usize; 2],
        heads: usize,
    ) -> Result<(), CudaError> {
        let blocks = (queries.div_ceil(CROSS_QUERIES) * heads) as u64;
        let scale = std::f32::consts::LOG2_E / (CROSS_HEAD as f32).sqrt();
        let (queries, keys, heads) = (queries as i32, keys as i32, heads as i32);
        let mut arguments = arguments![q, keys_values, out, queries, keys, heads, scale];
        launch_grid(self.functions()?.cross_attention, blocks, rows as u32, CROSS_THREADS, stream, &mut arguments)
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
        launch_each(self.functions()?.gated_gelu, vectors as u64, stream, &mut arguments![both, out, width, vectors])
    }

    /// `x = x sigmoid(1.702 x)` in place. The number of elements is a multiple of 8.
    pub fn quick_gelu_each(&self, stream: CUstream, x: u64, elements: usize) -> Result<(), CudaError> {
        let vectors = (elements / 8) as i64;
        launch_each(self.functions()?.quick_gelu_each, vectors as u64, stream, &mut arguments![x, vectors])
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
        launch(
            self.functions()?.silu_sums,
            vectors as u64,
            THREADS,
            stream,
            &mut arguments![times, rows, out, row_count, dim],
        )
    }
}
