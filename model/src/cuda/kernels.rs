//! Our own kernels: CUDA C in `kernels/`, compiled by NVRTC for the device that is there when it is opened.

use std::ffi::{CString, c_void};

use cudarc::driver::sys::{CUfunction, CUstream};
use cudarc::driver::{result, sys};
use cudarc::nvrtc::{CompileError, CompileOptions, compile_ptx_with_opts};

use super::error::CudaError;

/// Put before every file, because NVRTC has no folder to include from.
const COMMON: &str = include_str!("kernels/common.cuh");
/// Threads of a block where each thread does the same.
const THREADS: u32 = 256;
/// Rows that [`Rows`] holds, and times that a call takes.
pub const ROWS_MAX: usize = 64;

/// Where the rows of a batch begin in a flat sequence of tokens; the layout of `struct Rows` in `common.cuh`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    count: i32,
    start: [i32; ROWS_MAX + 1],
    length: [i32; ROWS_MAX],
}

impl Rows {
    /// Rows of the given lengths, one after the other; none if there are too many.
    pub fn of(lengths: impl IntoIterator<Item = usize>) -> Option<Self> {
        Self::filled_up(lengths, 1)
    }

    /// As [`of`](Self::of), each filled up to a multiple of so many tokens, so that rows of many lengths share their plans.
    pub fn filled_up(lengths: impl IntoIterator<Item = usize>, multiple: usize) -> Option<Self> {
        let mut rows = Self { count: 0, start: [0; ROWS_MAX + 1], length: [0; ROWS_MAX] };
        for length in lengths {
            let row = rows.count as usize;
            if row == ROWS_MAX {
                return None;
            }
            let span = i32::try_from(length.checked_next_multiple_of(multiple)?).ok()?;
            rows.length[row] = i32::try_from(length).ok()?;
            rows.start[row + 1] = rows.start[row].checked_add(span)?;
            rows.count += 1;
        }
        Some(rows)
    }

    /// How many rows there are.
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// The first token of a row.
    pub fn start(&self, row: usize) -> usize {
        self.start[row] as usize
    }

    /// The number of a row's own tokens.
    pub fn length(&self, row: usize) -> usize {
        self.length[row] as usize
    }

    /// The number of tokens of a row and of what fills it up.
    pub fn span(&self, row: usize) -> usize {
        self.start(row + 1) - self.start(row)
    }

    /// The number of tokens of all rows and of what fills them up.
    pub fn tokens(&self) -> usize {
        self.start(self.count())
    }

    /// Runs of neighbouring rows of equal length: first row and number of rows.
    pub fn runs(&self) -> Vec<(usize, usize)> {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for row in 0..self.count() {
            match runs.last_mut() {
                Some((first, count)) if self.length(*first) == self.length(row) => *count += 1,
                _ => runs.push((row, 1)),
            }
        }
        runs
    }
}

/// A vector for each row, `values + row * stride`; none where `values` is 0. The layout of `struct Modulation`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Modulation {
    /// Address of the first row's.
    pub values: u64,
    /// Elements from one row's to the next.
    pub stride: i64,
}

/// What [`Kernels::add_branch_norm`] leaves for the next product.
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

/// Heads of a fused projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Query heads.
    pub query: usize,
    /// Key heads, and as many value heads.
    pub kv: usize,
    /// Elements of a head.
    pub dim: usize,
}

impl Heads {
    /// Elements of a token of the fused projection.
    pub fn width(&self) -> usize {
        (self.query + 2 * self.kv) * self.dim
    }
}

/// The gated unit of a feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// SwiGLU.
    Silu = 0,
    /// GeGLU with the approximation by the hyperbolic tangent.
    GeluTanh = 1,
}

/// How a norm over the width is computed.
#[derive(Debug, Clone, Copy)]
pub struct NormKind {
    /// Added to the mean square.
    pub eps: f32,
    /// Added to every weight: 1 in Gemma, else 0.
    pub weight_offset: f32,
}

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
    /// For heads of up to so many pairs for each of 16 threads.
    norm_rotate: [(usize, CUfunction); 5],
    time_sinusoid: CUfunction,
    silu_each: CUfunction,
    silu_join: CUfunction,
}

// SAFETY: a CUfunction is an address inside a module that is never unloaded; the driver lets any thread use it.
unsafe impl Send for Kernels {}

/// Pointers to the arguments of a launch.
macro_rules! arguments {
    ($($argument:expr),* $(,)?) => {
        [$(&raw const $argument as *mut std::ffi::c_void),*]
    };
}
pub(super) use arguments;

/// What `stream.cu` and `fp8.cu` have in common.
macro_rules! stream_source {
    () => {
        include_str!("kernels/stream.cuh")
    };
}
pub(super) use stream_source;

/// Compiles a file of `kernels/` and loads it into the current context, for good.
pub(super) fn module(capability: (i32, i32), file: &'static str, text: &str) -> Result<sys::CUmodule, CudaError> {
    let source = format!("{COMMON}\n#line 1 \"{file}\"\n{text}");
    let (major, minor) = capability;
    let options = CompileOptions {
        options: vec![format!("--gpu-architecture=compute_{major}{minor}"), "-default-device".to_owned()],
        ..CompileOptions::default()
    };
    let ptx = compile_ptx_with_opts(source, options).map_err(|error| {
        let reason = match error {
            CompileError::CompileError { log, .. } => log.to_string_lossy().into_owned(),
            other => format!("{other:?}"),
        };
        CudaError::Compile { file, reason }
    })?;
    let ptx = CString::new(ptx.to_src())
        .map_err(|_| CudaError::Compile { file, reason: "its PTX has a zero byte".to_owned() })?;
    // SAFETY: the image is a string of PTX that ends with a zero.
    unsafe { result::module::load_data(ptx.as_ptr().cast()) }.map_err(CudaError::driver("load our kernels"))
}

/// A kernel of a loaded module.
pub(super) fn function(module: sys::CUmodule, name: &str) -> Result<CUfunction, CudaError> {
    let name = CString::new(name).unwrap_or_default();
    // SAFETY: modules are never unloaded.
    unsafe { result::module::get_function(module, name) }.map_err(CudaError::driver("find one of our kernels"))
}

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
        })
    }

    /// `out = rms_norm(x) * (weight + offset) * (1 + scale[row])` for each token. `x` and `out` are address and elements
    /// from one token to the next.
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

    /// `x += tanh(gate[row]) * rms_norm(branch) * (after + offset)` and what `next` says into `normed`. `x`, `branch` and
    /// `normed` are addresses of `[tokens, dim]`; without `after` the branch is added as it is, without a gate it is not
    /// gated.
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

    /// `out = activation(gate) * up` where a token of `gate_up` is the gate and then the other half, `width` elements each.
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

    /// Norms (where there are weights) and rotates queries and keys of a fused projection in place.
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

    /// `out = silu(x)`.
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
}

/// Whether a token of this width is one block of threads.
pub fn is_row_width(dim: usize) -> bool {
    dim.is_multiple_of(8) && dim / 8 <= 1024
}

/// One thread for eight elements, in whole warps.
pub(super) fn row_threads(dim: usize) -> u32 {
    (dim / 8).next_multiple_of(32) as u32
}

/// One thread for each of `count`.
pub(super) fn launch_each(
    function: CUfunction,
    count: u64,
    stream: CUstream,
    arguments: &mut [*mut c_void],
) -> Result<(), CudaError> {
    launch(function, count.div_ceil(u64::from(THREADS)), THREADS, stream, arguments)
}

/// Queues `blocks` blocks of `threads` threads.
pub(super) fn launch(
    function: CUfunction,
    blocks: u64,
    threads: u32,
    stream: CUstream,
    arguments: &mut [*mut c_void],
) -> Result<(), CudaError> {
    if blocks == 0 {
        return Ok(());
    }
    let blocks = u32::try_from(blocks)
        .map_err(|_| CudaError::Driver { doing: "start a kernel", reason: format!("{blocks} blocks are too many") })?;
    // SAFETY: the arguments are those of the kernel's declaration in `kernels/`, in that order, and are copied before the
    // call returns. What the addresses among them point at is the caller's promise.
    unsafe { result::launch_kernel(function, (blocks, 1, 1), (threads, 1, 1), 0, stream, arguments) }
        .map_err(CudaError::driver("start a kernel"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_one_after_the_other() {
        let rows = Rows::of([3, 3, 5, 3]).expect("few rows");
        assert_eq!((rows.count(), rows.tokens()), (4, 14));
        assert_eq!((rows.start(2), rows.length(2)), (6, 5));
        assert_eq!(rows.runs(), [(0, 2), (2, 1), (3, 1)]);
        let filled = Rows::filled_up([3, 8, 9], 8).expect("few rows");
        assert_eq!((filled.tokens(), filled.start(2)), (32, 16));
        assert_eq!([0, 1, 2].map(|row| (filled.length(row), filled.span(row))), [(3, 8), (8, 8), (9, 16)]);
        assert_eq!(Rows::filled_up([usize::MAX], 8), None);
        assert_eq!(Rows::of([1; ROWS_MAX]).map(|rows| rows.count()), Some(ROWS_MAX));
        assert_eq!(Rows::of([1; ROWS_MAX + 1]), None);
    }

    #[test]
    fn widths_that_fit_a_block() {
        assert!(is_row_width(2304) && is_row_width(8192) && is_row_width(8));
        assert!(!is_row_width(2300) && !is_row_width(8200));
        assert_eq!((row_threads(2304), row_threads(8)), (288, 32));
    }
}
