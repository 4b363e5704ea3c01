//! Our kernels for token streams and their heads, declared in `kernels/stream.cu`, `heads.cu`, `small.cu` and `cache.cu`.

use cudarc::driver::sys::{CUfunction, CUstream};

use super::error::CudaError;
use super::launch::{THREADS, arguments, function, launch, launch_each, module, row_threads, stream_source};
use super::rows::{ROWS_MAX, Rows};
use crate::nn::block::{Gate, Heads};

/// A vector for each row at `values + row * stride`; absent if `values` is 0. The layout of `struct Modulation`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Modulation {
    /// Address of the first row's.
    pub values: u64,
    /// Elements from one row's to the next.
    pub stride: i64,
}

/// The norm that [`Kernels::add_branch_norm`] computes for the next product.
#[derive(Debug, Clone, Copy)]
pub enum Next {
    /// Nothing.
    None,
    /// The RMS norm with this weight and scale.
    Rms {
        /// Address of the weight.
        weight: u64,
        /// The scale, without its 1.
        scale: Modulation,
    },
    /// The layer norm without weights, with this scale.
    Layer {
        /// The scale, without its 1.
        scale: Modulation,
    },
}

impl Next {
    /// The kind's number in `stream.cuh`, the weight and the scale.
    pub(super) fn arguments(self) -> (i32, u64, Modulation) {
        match self {
            Self::None => (0, 0, Modulation::default()),
            Self::Rms { weight, scale } => (1, weight, scale),
            Self::Layer { scale } => (2, 0, scale),
        }
    }
}

/// Rotary tables `[rows, positions, head_dim / 2]` in f32.
#[derive(Debug, Clone, Copy)]
pub struct RopeTables {
    /// Address of the cosines.
    pub cosine: u64,
    /// Address of the sines, of the same strides.
    pub sine: u64,
    /// Elements from one row to the next.
    pub row_stride: i64,
    /// Elements from one position to the next.
    pub stride: i64,
    /// Whether neighbours are paired, or elements half a head apart.
    pub interleaved: bool,
}

/// How a norm over the width is computed.
#[derive(Debug, Clone, Copy)]
pub struct NormKind {
    /// Added to the mean square.
    pub eps: f32,
    /// Added to every weight: 1 in Gemma, else 0.
    pub weight_offset: f32,
}

/// Blocks of threads of [`Kernels::difference_change`], each of which writes a pair of sums.
const CHANGE_BLOCKS: usize = 128;
/// Threads that share a head, and threads of a block, in `heads.cu`.
const ROTATE_LANES: usize = 16;
const ROTATE_THREADS: u32 = 128;

/// The layout of `struct RotateArguments` in `heads.cu`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Rotate {
    qkv: u64,
    token_stride: i64,
    q_weight: u64,
    k_weight: u64,
    weight_offset: f32,
    eps: f32,
    cosine: u64,
    sine: u64,
    table_row_stride: i64,
    table_stride: i64,
    heads: i32,
    kv_heads: i32,
    head_dim: i32,
    interleaved: i32,
}

/// The loaded functions. Every call only queues its work on `stream`; addresses must stay valid until it is done.
pub struct Kernels {
    rms_norm_scale: CUfunction,
    add_branch_norm: CUfunction,
    gated_unit: CUfunction,
    /// With the largest number of pairs of a head for each of 16 threads.
    norm_rotate: [(usize, CUfunction); 5],
    time_sinusoid: CUfunction,
    silu_each: CUfunction,
    silu_join: CUfunction,
    difference_change: CUfunction,
    subtract_each: CUfunction,
    add_scaled: CUfunction,
}

// SAFETY: a CUfunction is an address inside a module that is never unloaded; the driver lets any thread use it.
unsafe impl Send for Kernels {}

impl Kernels {
    /// Compiles and loads everything for this compute capability (major, minor) of the current context.
    ///
    /// # Errors
    ///
    /// NVRTC or the driver refuses.
    pub fn load(capability: (i32, i32)) -> Result<Self, CudaError> {
        let stream = module(capability, "stream.cu", concat!(stream_source!(), include_str!("kernels/stream.cu")))?;
        let heads = module(capability, "heads.cu", include_str!("kernels/heads.cu"))?;
        let small = module(capability, "small.cu", include_str!("kernels/small.cu"))?;
        let cache = module(capability, "cache.cu", include_str!("kernels/cache.cu"))?;
        Ok(Self {
            rms_norm_scale: function(stream, "rms_norm_scale")?,
            add_branch_norm: function(stream, "add_branch_norm")?,
            gated_unit: function(stream, "gated_unit")?,
            norm_rotate: [
                (1, function(heads, "norm_rotate_1")?),
                (2, function(heads, "norm_rotate_2")?),
                (3, function(heads, "norm_rotate_3")?),
                (4, function(heads, "norm_rotate_4")?),
                (8, function(heads, "norm_rotate_8")?),
            ],
            time_sinusoid: function(small, "time_sinusoid")?,
            silu_each: function(small, "silu_each")?,
            silu_join: function(small, "silu_join")?,
            difference_change: function(cache, "difference_change")?,
            subtract_each: function(cache, "subtract_each")?,
            add_scaled: function(cache, "add_scaled")?,
        })
    }

    /// `out = rms_norm(x) * (weight + offset) * (1 + scale[row])` for each token. `x` and `out` are address and
    /// elements from one token to the next.
    #[expect(clippy::too_many_arguments, reason = "they are the operands of one kernel")]
    pub fn rms_norm_scale(
        &self,
        stream: CUstream,
        x: (u64, i64),
        weight: u64,
        kind: NormKind,
        scale: Modulation,
        rows: &Rows,
        out: (u64, i64),
        dim: usize,
    ) -> Result<(), CudaError> {
        let dim = dim as i32;
        let mut arguments = arguments![x.0, x.1, weight, kind.weight_offset, scale, *rows, out.0, out.1, dim, kind.eps];
        launch(self.rms_norm_scale, rows.tokens() as u64, row_threads(dim as usize), stream, &mut arguments)
    }

    /// `x += tanh(gate[row]) * rms_norm(branch) * (after + offset)`, then writes the norm `next` of `x` to `normed`.
    /// `x`, `branch` and `normed` are addresses of `[tokens, dim]`. Without `after` the branch is not normalised;
    /// without `gate` it is not gated.
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
        normed: u64,
        dim: usize,
    ) -> Result<(), CudaError> {
        let (next_kind, next_weight, scale) = next.arguments();
        let dim = dim as i32;
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
            normed,
            dim,
            kind.eps,
            next_eps
        ];
        launch(self.add_branch_norm, rows.tokens() as u64, row_threads(dim as usize), stream, &mut arguments)
    }

    /// `out = activation(gate) * up` where a token of `gate_up` is gate and then up, `width` elements each.
    pub fn gated_unit(
        &self,
        stream: CUstream,
        gate_up: u64,
        out: u64,
        tokens: usize,
        width: usize,
        gate: Gate,
    ) -> Result<(), CudaError> {
        let vectors = (tokens * width / 8) as i64;
        let (width, kind) = (width as i32, gate as i32);
        launch_each(self.gated_unit, vectors as u64, stream, &mut arguments![gate_up, out, width, vectors, kind])
    }

    /// Norms (if there are weights) and rotates queries and keys of a fused projection in place.
    #[expect(clippy::too_many_arguments, reason = "they are the operands of one kernel")]
    pub fn norm_rotate(
        &self,
        stream: CUstream,
        qkv: u64,
        weights: Option<(u64, u64)>,
        kind: NormKind,
        tables: RopeTables,
        rows: &Rows,
        heads: Heads,
    ) -> Result<(), CudaError> {
        let (q_weight, k_weight) = weights.unwrap_or((0, 0));
        let pairs = (heads.dim / 2).div_ceil(ROTATE_LANES);
        let Some(&(_, function)) = self.norm_rotate.iter().find(|(holds, _)| *holds >= pairs) else {
            return Err(CudaError::Unsupported { what: "the size of a head", found: heads.dim, wanted: "at most 256" });
        };
        let rotate = Rotate {
            qkv,
            token_stride: heads.width() as i64,
            q_weight,
            k_weight,
            weight_offset: kind.weight_offset,
            eps: kind.eps,
            cosine: tables.cosine,
            sine: tables.sine,
            table_row_stride: tables.row_stride,
            table_stride: tables.stride,
            heads: heads.query as i32,
            kv_heads: heads.kv as i32,
            head_dim: heads.dim as i32,
            interleaved: i32::from(tables.interleaved),
        };
        launch(function, rows.tokens() as u64, ROTATE_THREADS, stream, &mut arguments![rotate, *rows])
    }

    /// Cosines and then sines of each time, `[times, 2 half]`. At most [`ROWS_MAX`] times.
    pub fn time_sinusoid(
        &self,
        stream: CUstream,
        times: &[f32],
        out: u64,
        half: usize,
        max_period: f64,
    ) -> Result<(), CudaError> {
        let mut values = [0.0_f32; ROWS_MAX];
        values[..times.len()].copy_from_slice(times);
        let (half, log_max_period) = (half as i32, max_period.ln());
        let mut arguments = arguments![values, out, half, log_max_period];
        launch(self.time_sinusoid, times.len() as u64, THREADS, stream, &mut arguments)
    }

    /// `out = silu(x)` for bf16 values; both arrays have `elements` of them and may be the same.
    pub fn silu_each(&self, stream: CUstream, x: u64, out: u64, elements: usize) -> Result<(), CudaError> {
        let elements = elements as i64;
        launch_each(self.silu_each, elements as u64, stream, &mut arguments![x, out, elements])
    }

    /// `out[row] = silu([a[row], b[row]])`; `a` is address and width, `b` address, width and elements between rows.
    pub fn silu_join(
        &self,
        stream: CUstream,
        rows: usize,
        a: (u64, usize),
        b: (u64, usize, i64),
        out: u64,
    ) -> Result<(), CudaError> {
        let (a_width, b_width) = (a.1 as i32, b.1 as i32);
        let mut arguments = arguments![a.0, a_width, b.0, b.2, b_width, out];
        launch(self.silu_join, rows as u64, THREADS, stream, &mut arguments)
    }

    /// Bytes of the sums of [`difference_change`](Self::difference_change): pairs of f32.
    pub(crate) fn difference_change_bytes(&self) -> usize {
        CHANGE_BLOCKS * 2 * size_of::<f32>()
    }

    /// Sums over `|x - before - earlier|` and over `|earlier|`, in pairs whose totals are the two norms. A multiple of 8 elements.
    pub(crate) fn difference_change(
        &self,
        stream: CUstream,
        [x, before, earlier]: [u64; 3],
        sums: u64,
        elements: usize,
    ) -> Result<(), CudaError> {
        let vectors = (elements / 8) as i64;
        let mut arguments = arguments![x, before, earlier, sums, vectors];
        launch(self.difference_change, CHANGE_BLOCKS as u64, THREADS, stream, &mut arguments)
    }

    /// `out = a - b`; `out` may be `b`. A multiple of 8 elements.
    pub(crate) fn subtract_each(
        &self,
        stream: CUstream,
        a: u64,
        b: u64,
        out: u64,
        elements: usize,
    ) -> Result<(), CudaError> {
        let vectors = (elements / 8) as i64;
        launch_each(self.subtract_each, vectors as u64, stream, &mut arguments![a, b, out, vectors])
    }

    /// `x += factors[0] terms[0] + factors[1] terms[1]`. A multiple of 8 elements.
    pub(crate) fn add_scaled(
        &self,
        stream: CUstream,
        x: u64,
        [last, before]: [u64; 2],
        [last_factor, before_factor]: [f32; 2],
        elements: usize,
    ) -> Result<(), CudaError> {
        let before = if before_factor == 0.0 { 0 } else { before };
        let vectors = (elements / 8) as i64;
        let mut arguments = arguments![x, last, before, last_factor, before_factor, vectors];
        launch_each(self.add_scaled, vectors as u64, stream, &mut arguments)
    }
}
