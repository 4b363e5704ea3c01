//! Attention by cuDNN's unified operation: one backend descriptor, grouped key and value heads, any strides.
//!
//! Shapes here are cuDNN's `[batch, heads, sequence, head_dim]`; the strides describe the actual layout, so a fused
//! projection is read in place. Rows of different lengths are different calls. cuDNN needs a tenth of a second for a
//! plan, so rows may be padded to a common length: keys beyond a row's own length are then masked.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ptr;

use cudarc::cudnn::sys::{
    self, cudnnBackendAttributeName_t as Name, cudnnBackendAttributeType_t as Type,
    cudnnBackendDescriptorType_t as Kind, cudnnBackendHeurMode_t, cudnnDataType_t, cudnnHandle_t,
};
use cudarc::driver::result;
use cudarc::driver::sys::{self as cuda, CUstream};

use super::cudnn::{Descriptor, check, describe};
use super::error::CudaError;
use super::rows::ROWS_MAX;
use crate::nn::block::Heads;

/// The oldest release whose unified operation is known to support these shapes.
const OLDEST: usize = 91_400;
/// The oldest release whose unified operation supports row lengths.
const OLDEST_WITH_LENGTHS: usize = 91_500;
/// Names of the tensors inside a plan.
const IDS: [i64; 5] = [1, 2, 3, 4, 5];
/// Names of the lengths of queries and of keys.
const LENGTH_IDS: [i64; 2] = [6, 7];
/// Lengths that are kept on the device at once.
const LENGTHS_MAX: usize = 32;

/// One call: `batch` rows of `tokens` queries each, all of them or the first ones of each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Number of rows.
    pub batch: usize,
    /// Queries of each row, padding included.
    pub tokens: usize,
    /// Distance between the first queries of two rows, in queries.
    pub row_tokens: usize,
    /// Keys of each row, padding included.
    pub keys: usize,
    /// Distance between the first keys of two rows, in keys.
    pub row_keys: usize,
    /// Whether keys beyond a row's own length are masked.
    pub is_masked: bool,
    /// Query heads, key and value heads, elements of a head.
    pub heads: [usize; 3],
    /// Elements from one query to the next.
    pub token_stride: usize,
    /// Elements from one key to the next, and from one value to the next.
    pub key_stride: usize,
    /// Elements from one token to the next in the result.
    pub out_stride: usize,
}

impl Shape {
    /// Rows of a fused projection `[batch, tokens, width]` to `[batch, tokens, query heads * head_dim]`, both
    /// contiguous.
    pub fn fused(batch: usize, tokens: usize, heads: Heads) -> Self {
        Self {
            batch,
            tokens,
            row_tokens: tokens,
            keys: tokens,
            row_keys: tokens,
            is_masked: false,
            heads: [heads.query, heads.kv, heads.dim],
            token_stride: heads.width(),
            key_stride: heads.width(),
            out_stride: heads.query * heads.dim,
        }
    }

    /// Queries `[batch, tokens, query heads * head_dim]` over a fused projection to keys and values,
    /// `[batch, keys, 2 key heads * head_dim]`, all contiguous.
    pub fn crossed(batch: usize, tokens: usize, keys: usize, heads: Heads) -> Self {
        Self {
            keys,
            row_keys: keys,
            token_stride: heads.query * heads.dim,
            key_stride: 2 * heads.kv * heads.dim,
            ..Self::fused(batch, tokens, heads)
        }
    }
}

/// Addresses of one call, all bf16 with the strides of its [`Shape`].
#[derive(Debug, Clone, Copy)]
pub struct Operands {
    /// `[batch, tokens, query heads, head_dim]`
    pub q: u64,
    /// `[batch, keys, key heads, head_dim]`
    pub k: u64,
    /// `[batch, keys, key heads, head_dim]`
    pub v: u64,
    /// `[batch, tokens, query heads, head_dim]`, written by the call.
    pub out: u64,
}

struct Plan {
    plan: Descriptor,
    workspace_bytes: usize,
}

/// The library and its plans.
pub struct Attention {
    handle: cudnnHandle_t,
    workspace: u64,
    workspace_bytes: usize,
    plans: HashMap<Shape, Plan>,
    lengths: Lengths,
    /// Whether this release supports row lengths.
    takes_lengths: bool,
    /// Masked shapes that cuDNN does not support.
    refused: HashSet<Shape>,
}

/// Row lengths in device memory, one number for each row of a batch, as cuDNN reads them.
struct Lengths {
    at: u64,
    held: Vec<usize>,
    next: usize,
}

impl Lengths {
    fn new() -> Result<Self, CudaError> {
        // SAFETY: a fresh allocation that is kept until the process ends.
        let at = unsafe { result::malloc_sync(LENGTHS_MAX * ROWS_MAX * size_of::<i32>()) }
            .map_err(CudaError::driver("reserve memory for lengths"))?;
        Ok(Self { at, held: Vec::new(), next: 0 })
    }

    /// The address of this length, repeated [`ROWS_MAX`] times. Overwriting a slot is safe for queued calls: the stream
    /// keeps the order.
    fn of(&mut self, stream: CUstream, length: usize) -> Result<u64, CudaError> {
        let slot = |index: usize| self.at + (index * ROWS_MAX * size_of::<i32>()) as u64;
        if let Some(index) = self.held.iter().position(|held| *held == length) {
            return Ok(slot(index));
        }
        let (index, at) = (self.next, slot(self.next));
        // SAFETY: the slot lies in the allocation.
        unsafe { cuda::cuMemsetD32Async(at, length as u32, ROWS_MAX, stream) }
            .result()
            .map_err(CudaError::driver("write lengths"))?;
        if index == self.held.len() {
            self.held.push(length);
        } else {
            self.held[index] = length;
        }
        self.next = (index + 1) % LENGTHS_MAX;
        Ok(at)
    }
}

// SAFETY: the handle and the descriptors are used by one thread at a time, behind the lock of the `Gpu`.
unsafe impl Send for Attention {}

impl Attention {
    /// Opens the library. `workspace` is the address of `workspace_bytes` bytes.
    ///
    /// # Errors
    ///
    /// It cannot be opened, is too old, or does not take the device.
    pub fn open(workspace: u64, workspace_bytes: usize) -> Result<Self, CudaError> {
        // SAFETY: it only looks for the library.
        if !unsafe { sys::is_culib_present() } {
            return Err(CudaError::NoLibrary { library: "cuDNN 9 (libcudnn.so.9)" });
        }
        // SAFETY: the function has no arguments.
        let version = unsafe { sys::cudnnGetVersion() };
        if version < OLDEST {
            return Err(CudaError::Unsupported {
                what: "the version of cuDNN",
                found: version,
                wanted: "at least 9.14",
            });
        }
        let mut handle = ptr::null_mut();
        // SAFETY: the handle is written by the call.
        check(unsafe { sys::cudnnCreate(&mut handle) }, || "a handle".to_owned())?;
        let (plans, refused, lengths) = (HashMap::new(), HashSet::new(), Lengths::new()?);
        let takes_lengths = version >= OLDEST_WITH_LENGTHS;
        if !takes_lengths {
            tracing::info!(
                version,
                "this cuDNN does not mask rows (9.15 and newer do), so the first picture of each text length takes some tenths of a \
                 second longer"
            );
        }
        Ok(Self { handle, workspace, workspace_bytes, plans, lengths, takes_lengths, refused })
    }

    /// cuDNN's version, such as 91400.
    pub fn version(&self) -> usize {
        // SAFETY: the function has no arguments.
        unsafe { sys::cudnnGetVersion() }
    }

    /// Shapes that were planned so far.
    pub fn plans(&self) -> usize {
        self.plans.len()
    }

    /// [`run`](Self::run) over rows of `length` tokens, padded to the tokens of the shape. Results beyond `length` are
    /// undefined. Where cuDNN does not support the mask, the padding is left out.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn run_filled_up(
        &mut self,
        stream: CUstream,
        shape: &Shape,
        length: usize,
        operands: Operands,
    ) -> Result<(), CudaError> {
        if shape.tokens == length {
            return self.run(stream, shape, operands);
        }
        let masked = Shape { is_masked: true, ..*shape };
        if self.takes_lengths && !self.refused.contains(&masked) {
            let lengths = self.lengths.of(stream, length)?;
            match self.queue(stream, &masked, operands, Some(lengths)) {
                Err(error) if !self.plans.contains_key(&masked) => {
                    tracing::warn!(%error, ?shape, "cuDNN does not mask these rows, so each length of a text needs its own plan");
                    self.refused.insert(masked);
                }
                queued => return queued,
            }
        }
        self.run(stream, &Shape { tokens: length, keys: length, ..*shape }, operands)
    }

    /// Queues `softmax(q kᵀ / sqrt(head_dim)) v` of each row and head.
    ///
    /// # Errors
    ///
    /// cuDNN has no way to compute it, or the device fails.
    pub fn run(&mut self, stream: CUstream, shape: &Shape, operands: Operands) -> Result<(), CudaError> {
        self.queue(stream, shape, operands, None)
    }

    fn queue(
        &mut self,
        stream: CUstream,
        shape: &Shape,
        operands: Operands,
        lengths: Option<u64>,
    ) -> Result<(), CudaError> {
        let plan = match self.plans.entry(*shape) {
            Entry::Occupied(plan) => plan.into_mut(),
            Entry::Vacant(slot) => slot.insert(plan(self.handle, shape, self.workspace_bytes)?),
        };
        debug_assert!(plan.workspace_bytes <= self.workspace_bytes);
        let named = || format!("attention over {shape:?}");
        let scale = 1.0 / (shape.heads[2] as f32).sqrt();
        let mut ids = IDS.to_vec();
        let mut addresses = vec![operands.q, operands.k, operands.v, operands.out, (&raw const scale) as u64];
        if let Some(lengths) = lengths {
            ids.extend(LENGTH_IDS);
            addresses.extend([lengths; 2]);
        }
        let pack = Descriptor::new(Kind::CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)?;
        pack.set(Name::CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, Type::CUDNN_TYPE_INT64, &ids)?;
        pack.set(Name::CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, Type::CUDNN_TYPE_VOID_PTR, &addresses)?;
        pack.set(Name::CUDNN_ATTR_VARIANT_PACK_WORKSPACE, Type::CUDNN_TYPE_VOID_PTR, &[self.workspace])?;
        pack.finish()?;
        // SAFETY: the plan was made for these shapes; the addresses are the caller's promise, and the scale, which is
        // read by value, lives until the call returns.
        unsafe {
            check(sys::cudnnSetStream(self.handle, stream.cast()), named)?;
            check(sys::cudnnBackendExecute(self.handle, plan.plan.0, pack.0), named)
        }
    }
}

impl Drop for Attention {
    fn drop(&mut self) {
        // Plans belong to the handle.
        self.plans.clear();
        // SAFETY: made by `cudnnCreate`, and nothing uses it any more.
        unsafe { sys::cudnnDestroy(self.handle) };
    }
}

fn plan(handle: cudnnHandle_t, shape: &Shape, workspace_bytes: usize) -> Result<Plan, CudaError> {
    let [heads, kv_heads, head_dim] = shape.heads.map(|size| size as i64);
    let batch = shape.batch as i64;
    let tensor = |id: i64, heads: i64, [tokens, row_tokens, token_stride]: [usize; 3]| {
        let [tokens, row_tokens, token_stride] = [tokens, row_tokens, token_stride].map(|size| size as i64);
        let strides = [row_tokens * token_stride, head_dim, token_stride, 1];
        describe(id, cudnnDataType_t::CUDNN_DATA_BFLOAT16, [batch, heads, tokens, head_dim], strides, false)
    };
    let q = tensor(IDS[0], heads, [shape.tokens, shape.row_tokens, shape.token_stride])?;
    let k = tensor(IDS[1], kv_heads, [shape.keys, shape.row_keys, shape.key_stride])?;
    let v = tensor(IDS[2], kv_heads, [shape.keys, shape.row_keys, shape.key_stride])?;
    let out = tensor(IDS[3], heads, [shape.tokens, shape.row_tokens, shape.out_stride])?;
    let scale = describe(IDS[4], cudnnDataType_t::CUDNN_DATA_FLOAT, [1; 4], [1; 4], true)?;

    let operation = Descriptor::new(Kind::CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR)?;
    let operands = [
        (Name::CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC, &q),
        (Name::CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC, &k),
        (Name::CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC, &v),
        (Name::CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC, &out),
        (Name::CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC, &scale),
    ];
    for (name, tensor) in operands {
        operation.set(name, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR, &[tensor.0])?;
    }
    let lengths = LENGTH_IDS.map(|id| describe(id, cudnnDataType_t::CUDNN_DATA_INT32, [batch, 1, 1, 1], [1; 4], false));
    let [query_lengths, key_lengths] = lengths;
    let (query_lengths, key_lengths) = (query_lengths?, key_lengths?);
    if shape.is_masked {
        for (name, lengths) in [
            (Name::CUDNN_ATTR_OPERATION_SDPA_FWD_SEQ_LEN_QDESC, &query_lengths),
            (Name::CUDNN_ATTR_OPERATION_SDPA_FWD_SEQ_LEN_KVDESC, &key_lengths),
        ] {
            operation.set(name, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR, &[lengths.0])?;
        }
    }
    operation.finish()?;

    let graph = Descriptor::new(Kind::CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)?;
    graph.set(Name::CUDNN_ATTR_OPERATIONGRAPH_HANDLE, Type::CUDNN_TYPE_HANDLE, &[handle])?;
    graph.set(Name::CUDNN_ATTR_OPERATIONGRAPH_OPS, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR, &[operation.0])?;
    graph.finish()?;

    let heuristic = Descriptor::new(Kind::CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR)?;
    heuristic.set(Name::CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR, &[graph.0])?;
    heuristic.set(
        Name::CUDNN_ATTR_ENGINEHEUR_MODE,
        Type::CUDNN_TYPE_HEUR_MODE,
        &[cudnnBackendHeurMode_t::CUDNN_HEUR_MODE_A],
    )?;
    heuristic.finish()?;

    for config in heuristic.engines()? {
        let plan = Descriptor::new(Kind::CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)?;
        plan.set(Name::CUDNN_ATTR_EXECUTION_PLAN_HANDLE, Type::CUDNN_TYPE_HANDLE, &[handle])?;
        plan.set(Name::CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR, &[config.0])?;
        if plan.finish().is_err() {
            continue;
        }
        let bytes = plan.number(Name::CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE)?;
        if usize::try_from(bytes).is_ok_and(|bytes| bytes <= workspace_bytes) {
            return Ok(Plan { plan, workspace_bytes: bytes as usize });
        }
    }
    Err(CudaError::Dnn { doing: format!("attention over {shape:?}"), reason: "no engine takes these sizes".to_owned() })
}
