//! Kernels of the text encoders, in `kernels/text.cu`.

use cudarc::driver::sys::{CUfunction, CUstream};

use super::error::CudaError;
use super::kernels::NormKind;
use super::launch::{arguments, function, launch, launch_each, module, row_threads};
use super::product::Matrix;
use crate::nn::block::Heads;

/// Ids that one launch takes as an argument.
const IDS_MAX: usize = 512;
/// Threads of a row of [`TextKernels::masked_softmax`].
const SOFTMAX_THREADS: u32 = 128;
/// The longest row of [`TextKernels::masked_softmax`].
pub(crate) const KEYS_MAX: usize = 2048;
/// Columns and threads of a block of [`TextKernels::mean_tokens`].
const MEAN_COLUMNS: usize = 32;
const MEAN_THREADS: u32 = 256;

/// The layout of `struct Ids`.
#[repr(C)]
struct Ids {
    count: i32,
    values: [i32; IDS_MAX],
}

/// Which keys a query sees. The queries of a call are neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visible {
    /// This many keys from the first.
    First(usize),
    /// The keys up to the query's own position, at most the last `window` of them.
    Causal {
        /// Position of the first query.
        first: usize,
        /// The most keys; `None`: no limit.
        window: Option<usize>,
    },
}

/// Rotary tables `[positions, head_dim / 2]` in f32 of one sequence.
#[derive(Debug, Clone, Copy)]
pub struct PositionTables {
    /// Address of the first position's cosines.
    pub cosine: u64,
    /// Address of its sines.
    pub sine: u64,
    /// Elements from one position to the next.
    pub stride: usize,
}

impl PositionTables {
    /// The same from a later position on.
    #[must_use]
    pub fn from(self, position: usize) -> Self {
        let bytes = (position * self.stride * size_of::<f32>()) as u64;
        Self { cosine: self.cosine + bytes, sine: self.sine + bytes, ..self }
    }
}

/// The loaded functions. Every call only queues its work on `stream`; addresses must stay valid until it is done.
pub struct TextKernels {
    embed: CUfunction,
    place_heads: CUfunction,
    masked_softmax: CUfunction,
    add_layer_norm: CUfunction,
    gelu_each: CUfunction,
    mean_tokens: CUfunction,
}

// SAFETY: a CUfunction is an address inside a module that is never unloaded; the driver lets any thread use it.
unsafe impl Send for TextKernels {}

impl TextKernels {
    /// Compiles and loads everything for this compute capability (major, minor) of the current context.
    ///
    /// # Errors
    ///
    /// NVRTC or the driver refuses.
    pub fn load(capability: (i32, i32)) -> Result<Self, CudaError> {
        let text = module(capability, "text.cu", include_str!("kernels/text.cu"))?;
        Ok(Self {
            embed: function(text, "embed")?,
            place_heads: function(text, "place_heads")?,
            masked_softmax: function(text, "masked_softmax")?,
            add_layer_norm: function(text, "add_layer_norm")?,
            gelu_each: function(text, "gelu_each")?,
            mean_tokens: function(text, "mean_tokens")?,
        })
    }

    /// `out[token] = table[id] * scale (+ added)`, without gaps; `added` is an address or 0. The ids must be rows of
    /// the table.
    #[expect(clippy::too_many_arguments, reason = "they are the operands of one kernel")]
    pub fn embed(
        &self,
        stream: CUstream,
        ids: &[u32],
        table: Matrix,
        added: u64,
        scale: f32,
        out: u64,
        dim: usize,
    ) -> Result<(), CudaError> {
        for (chunk, ids) in ids.chunks(IDS_MAX).enumerate() {
            let mut argument = Ids { count: ids.len() as i32, values: [0; IDS_MAX] };
            for (to, id) in argument.values.iter_mut().zip(ids) {
                *to = *id as i32;
            }
            let at = out + (chunk * IDS_MAX * dim * size_of::<u16>()) as u64;
            let (stride, dim_argument) = (table.row_stride as i64, dim as i32);
            let mut arguments = arguments![argument, table.at, stride, added, scale, at, dim_argument];
            launch(self.embed, ids.len() as u64, row_threads(dim), stream, &mut arguments)?;
        }
        Ok(())
    }

    /// Norms and rotates the `tokens` of a fused projection: queries in place, keys to `store`, next to the values;
    /// a token of the store is all key heads and then all value heads. `weights` are the norms of queries and keys. The
    /// store gets `stored` tokens, zeros beyond `tokens`.
    #[expect(clippy::too_many_arguments, reason = "they are the operands of one kernel")]
    pub fn place_heads(
        &self,
        stream: CUstream,
        qkv: u64,
        store: u64,
        weights: (u64, u64),
        kind: NormKind,
        tables: PositionTables,
        [tokens, stored]: [usize; 2],
        heads: Heads,
    ) -> Result<(), CudaError> {
        let warps = (stored.max(tokens) * (heads.query + 2 * heads.kv)) as i64;
        let table_stride = tables.stride as i64;
        let (tokens, query, kv, dim) = (tokens as i32, heads.query as i32, heads.kv as i32, heads.dim as i32);
        let mut arguments = arguments![
            qkv,
            store,
            weights.0,
            weights.1,
            kind.weight_offset,
            kind.eps,
            tables.cosine,
            tables.sine,
            table_stride,
            tokens,
            query,
            kv,
            dim,
            warps
        ];
        launch_each(self.place_heads, warps as u64 * 32, stream, &mut arguments)
    }

    /// Converts f32 scores `[heads, padded queries, padded keys]` to bf16 weights in place, with rows twice as
    /// many elements apart. `queries` are those that there are, and those that there is room for. At most [`KEYS_MAX`]
    /// keys.
    pub fn masked_softmax(
        &self,
        stream: CUstream,
        scores: u64,
        heads: usize,
        [queries, queries_padded]: [usize; 2],
        keys_padded: usize,
        visible: Visible,
    ) -> Result<(), CudaError> {
        let (first, keys, causal, window) = match visible {
            Visible::First(keys) => (0, keys as i32, 0_i32, 0_i32),
            Visible::Causal { first, window } => (first as i32, 0, 1, window.unwrap_or(0) as i32),
        };
        let blocks = (heads * queries) as u64;
        let (queries, queries_padded, keys_padded) = (queries as i32, queries_padded as i32, keys_padded as i32);
        let mut arguments = arguments![scores, queries, queries_padded, keys_padded, first, keys, causal, window];
        launch(self.masked_softmax, blocks, SOFTMAX_THREADS, stream, &mut arguments)
    }

    /// `x = layer_norm(x + branch) * weight + bias` in place; `branch` is an address or 0, `affine` weight and bias.
    #[expect(clippy::too_many_arguments, reason = "they are the operands of one kernel")]
    pub fn add_layer_norm(
        &self,
        stream: CUstream,
        x: u64,
        branch: u64,
        affine: (u64, u64),
        eps: f32,
        tokens: usize,
        dim: usize,
    ) -> Result<(), CudaError> {
        let dim_argument = dim as i32;
        let mut arguments = arguments![x, branch, affine.0, affine.1, dim_argument, eps];
        launch(self.add_layer_norm, tokens as u64, row_threads(dim), stream, &mut arguments)
    }

    /// `x = gelu(x)` by the error function, in place. The number of elements is a multiple of 8.
    pub fn gelu_each(&self, stream: CUstream, x: u64, elements: usize) -> Result<(), CudaError> {
        let vectors = (elements / 8) as i64;
        launch_each(self.gelu_each, vectors as u64, stream, &mut arguments![x, vectors])
    }

    /// `out[dim]`, the mean of `x [tokens, dim]` over its tokens.
    pub fn mean_tokens(&self, stream: CUstream, x: u64, tokens: usize, dim: usize, out: u64) -> Result<(), CudaError> {
        let blocks = dim.div_ceil(MEAN_COLUMNS) as u64;
        let (tokens, dim) = (tokens as i32, dim as i32);
        launch(self.mean_tokens, blocks, MEAN_THREADS, stream, &mut arguments![x, tokens, dim, out])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_begin_at_a_position() {
        let tables = PositionTables { cosine: 1024, sine: 4096, stride: 8 }.from(3);
        assert_eq!((tables.cosine, tables.sine), (1024 + 96, 4096 + 96));
    }

    #[test]
    fn ids_are_laid_out_as_the_kernel_declares_them() {
        assert_eq!(size_of::<Ids>(), 4 * (1 + IDS_MAX));
        assert_eq!(KEYS_MAX, SOFTMAX_THREADS as usize * 16);
    }
}
