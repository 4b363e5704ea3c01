//! Convolutions by cuDNN over channels-last images, with one plan for each shape.
//!
//! Dimensions are given to cuDNN in its order `[n, c, h, w]`; the strides make the channels the innermost axis, which
//! its tensor-core kernels read without reordering. The bias is not part of the plan: the kernels that
//! follow every convolution here read its result anyway and add it on the way, and a convolution alone has the widest
//! choice of engines.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_void;
use std::ptr;

use cudarc::cudnn::sys::{
    self, cudnnBackendAttributeName_t as Name, cudnnBackendAttributeType_t as Type,
    cudnnBackendDescriptorType_t as Kind, cudnnBackendHeurMode_t as Heuristic, cudnnBackendNumericalNote_t as Note,
    cudnnConvolutionMode_t, cudnnDataType_t, cudnnHandle_t,
};
use cudarc::driver::sys::CUstream;

use super::cudnn::{Descriptor, check, describe};
use super::error::CudaError;

/// Names of input, filter and result inside a plan.
const IDS: [i64; 3] = [1, 2, 3];
/// Notes that an engine has at most.
const NOTES_MAX: usize = Note::CUDNN_NUMERICAL_NOTE_TYPE_COUNT as usize;
/// Notes that exclude an engine: results must be deterministic, and sums in 32-bit precision.
const UNWANTED: [Note; 2] =
    [Note::CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC, Note::CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION];

/// A convolution over bf16 images of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Number of images.
    pub batch: usize,
    /// Rows and columns of the input.
    pub input_size: [usize; 2],
    /// Channels of the input, a multiple of 8.
    pub input: usize,
    /// Channels of the result, a multiple of 8.
    pub output: usize,
    /// Side of the filter.
    pub kernel: usize,
    /// Rows and columns of the input from one value of the result to the next.
    pub stride: usize,
    /// Rows or columns of zeros on each side of the input that the convolution reads besides it.
    pub padding: usize,
}

impl Shape {
    /// Rows and columns of the result.
    fn output_size(&self) -> [usize; 2] {
        self.input_size.map(|size| (size + 2 * self.padding - self.kernel) / self.stride + 1)
    }

    /// Multiplications and additions.
    pub fn flops(&self) -> usize {
        let [height, width] = self.output_size();
        2 * self.batch * height * width * self.input * self.output * self.kernel * self.kernel
    }
}

/// Addresses of one call.
#[derive(Debug, Clone, Copy)]
pub struct Operands {
    /// The images, `[batch, height, width, input]`.
    pub x: u64,
    /// The filter, `[output, kernel, kernel, input]`.
    pub filter: u64,
    /// The result, `[batch, height, width, output]` in the size of the result.
    pub y: u64,
}

struct Plan {
    plan: Descriptor,
    workspace_bytes: usize,
}

/// The library and its plans.
pub struct Convolutions {
    handle: cudnnHandle_t,
    workspace: u64,
    workspace_bytes: usize,
    plans: HashMap<Shape, Plan>,
}

// SAFETY: the handle and the descriptors are used by one thread at a time, behind the lock of the `Gpu`.
unsafe impl Send for Convolutions {}

impl Convolutions {
    /// Opens the library, which `Attention` has found. `workspace` is the address of
    /// `workspace_bytes` bytes.
    ///
    /// # Errors
    ///
    /// It does not take the device.
    pub fn open(workspace: u64, workspace_bytes: usize) -> Result<Self, CudaError> {
        let mut handle = ptr::null_mut();
        // SAFETY: the handle is written by the call.
        check(unsafe { sys::cudnnCreate(&mut handle) }, || "a handle".to_owned())?;
        Ok(Self { handle, workspace, workspace_bytes, plans: HashMap::new() })
    }

    /// Shapes that were planned so far.
    pub fn plans(&self) -> usize {
        self.plans.len()
    }

    /// Queues a convolution.
    ///
    /// # Errors
    ///
    /// cuDNN has no way to compute it, or the device fails.
    pub fn run(&mut self, stream: CUstream, shape: &Shape, operands: Operands) -> Result<(), CudaError> {
        let plan = match self.plans.entry(*shape) {
            Entry::Occupied(plan) => plan.into_mut(),
            Entry::Vacant(slot) => slot.insert(plan(self.handle, shape, self.workspace_bytes)?),
        };
        debug_assert!(plan.workspace_bytes <= self.workspace_bytes);
        let named = || format!("the convolution {shape:?}");
        let addresses = [operands.x, operands.filter, operands.y];
        let pack = Descriptor::new(Kind::CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)?;
        pack.set(Name::CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, Type::CUDNN_TYPE_INT64, &IDS)?;
        pack.set(Name::CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, Type::CUDNN_TYPE_VOID_PTR, &addresses)?;
        pack.set(Name::CUDNN_ATTR_VARIANT_PACK_WORKSPACE, Type::CUDNN_TYPE_VOID_PTR, &[self.workspace])?;
        pack.finish()?;
        // SAFETY: the plan was made for these shapes; the addresses are the caller's promise.
        unsafe {
            check(sys::cudnnSetStream(self.handle, stream.cast()), named)?;
            check(sys::cudnnBackendExecute(self.handle, plan.plan.0, pack.0), named)
        }
    }
}

impl Drop for Convolutions {
    fn drop(&mut self) {
        // Plans belong to the handle.
        self.plans.clear();
        // SAFETY: made by `cudnnCreate`, and nothing uses it any more.
        unsafe { sys::cudnnDestroy(self.handle) };
    }
}

fn plan(handle: cudnnHandle_t, shape: &Shape, workspace_bytes: usize) -> Result<Plan, CudaError> {
    let graph = graph(handle, shape)?;
    for mode in [Heuristic::CUDNN_HEUR_MODE_A, Heuristic::CUDNN_HEUR_MODE_FALLBACK] {
        let heuristic = Descriptor::new(Kind::CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR)?;
        heuristic.set(Name::CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR, &[graph.0])?;
        heuristic.set(Name::CUDNN_ATTR_ENGINEHEUR_MODE, Type::CUDNN_TYPE_HEUR_MODE, &[mode])?;
        if heuristic.finish().is_err() {
            continue;
        }
        for config in heuristic.engines()? {
            let notes = notes(&config)?;
            if UNWANTED.iter().any(|&unwanted| notes.contains(&(unwanted as i32))) {
                continue;
            }
            let plan = Descriptor::new(Kind::CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)?;
            plan.set(Name::CUDNN_ATTR_EXECUTION_PLAN_HANDLE, Type::CUDNN_TYPE_HANDLE, &[handle])?;
            plan.set(Name::CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR, &[config.0])?;
            if plan.finish().is_err() {
                continue;
            }
            let bytes = plan.number(Name::CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE)?;
            if let Ok(bytes) = usize::try_from(bytes)
                && bytes <= workspace_bytes
            {
                tracing::debug!(?shape, ?mode, ?notes, workspace_bytes = bytes, "a convolution was planned");
                return Ok(Plan { plan, workspace_bytes: bytes });
            }
        }
    }
    Err(CudaError::Dnn {
        doing: format!("the convolution {shape:?}"),
        reason: "no engine takes these sizes".to_owned(),
    })
}

/// The one operation, as a graph.
fn graph(handle: cudnnHandle_t, shape: &Shape) -> Result<Descriptor, CudaError> {
    let [batch, input, output, kernel] = [shape.batch, shape.input, shape.output, shape.kernel].map(|size| size as i64);
    let [input_height, input_width] = shape.input_size.map(|size| size as i64);
    let [height, width] = shape.output_size().map(|size| size as i64);
    let [stride, padding] = [shape.stride, shape.padding].map(|size| size as i64);
    let tensor = |id: i64, [n, c, h, w]: [i64; 4]| {
        let strides = [h * w * c, 1, w * c, c];
        describe(id, cudnnDataType_t::CUDNN_DATA_BFLOAT16, [n, c, h, w], strides, false)
    };
    let x = tensor(IDS[0], [batch, input, input_height, input_width])?;
    let filter = tensor(IDS[1], [output, input, kernel, kernel])?;
    let y = tensor(IDS[2], [batch, output, height, width])?;

    let convolution = Descriptor::new(Kind::CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)?;
    let float = [cudnnDataType_t::CUDNN_DATA_FLOAT];
    convolution.set(Name::CUDNN_ATTR_CONVOLUTION_COMP_TYPE, Type::CUDNN_TYPE_DATA_TYPE, &float)?;
    let mode = [cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION];
    convolution.set(Name::CUDNN_ATTR_CONVOLUTION_CONV_MODE, Type::CUDNN_TYPE_CONVOLUTION_MODE, &mode)?;
    convolution.set(Name::CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, Type::CUDNN_TYPE_INT64, &[2_i64])?;
    for (name, each) in [
        (Name::CUDNN_ATTR_CONVOLUTION_DILATIONS, 1),
        (Name::CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, stride),
        (Name::CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, padding),
        (Name::CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, padding),
    ] {
        convolution.set(name, Type::CUDNN_TYPE_INT64, &[each; 2])?;
    }
    convolution.finish()?;

    let operation = Descriptor::new(Kind::CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR)?;
    for (name, part) in [
        (Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, &convolution),
        (Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, &x),
        (Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, &filter),
        (Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, &y),
    ] {
        operation.set(name, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR, &[part.0])?;
    }
    operation.set(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, Type::CUDNN_TYPE_FLOAT, &[1.0_f32])?;
    operation.set(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, Type::CUDNN_TYPE_FLOAT, &[0.0_f32])?;
    operation.finish()?;

    let graph = Descriptor::new(Kind::CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)?;
    graph.set(Name::CUDNN_ATTR_OPERATIONGRAPH_HANDLE, Type::CUDNN_TYPE_HANDLE, &[handle])?;
    graph.set(Name::CUDNN_ATTR_OPERATIONGRAPH_OPS, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR, &[operation.0])?;
    graph.finish()?;
    Ok(graph)
}

/// The notes of cuDNN about the arithmetic of an engine.
fn notes(config: &Descriptor) -> Result<Vec<i32>, CudaError> {
    let engine = Descriptor::new(Kind::CUDNN_BACKEND_ENGINE_DESCRIPTOR)?;
    let mut raw = [engine.0];
    let mut count = 0_i64;
    // SAFETY: there is room for the one descriptor that is asked for, which the call fills.
    let status = unsafe {
        let (name, kind) = (Name::CUDNN_ATTR_ENGINECFG_ENGINE, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR);
        sys::cudnnBackendGetAttribute(config.0, name, kind, 1, &mut count, raw.as_mut_ptr().cast())
    };
    check(status, || "the engine of a configuration".to_owned())?;
    // As numbers, because a newer library may have notes that the list of names does not.
    let mut notes = [0_i32; NOTES_MAX];
    // SAFETY: there is room for `NOTES_MAX` of them; each is an enum of C, of the size of an int.
    let status = unsafe {
        let (name, kind) = (Name::CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, Type::CUDNN_TYPE_NUMERICAL_NOTE);
        let notes = notes.as_mut_ptr().cast::<c_void>();
        sys::cudnnBackendGetAttribute(raw[0], name, kind, NOTES_MAX as i64, &mut count, notes)
    };
    check(status, || "the notes of an engine".to_owned())?;
    Ok(notes.into_iter().take(usize::try_from(count).unwrap_or(0)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted_and_the_size_of_the_result_follows_from_that_of_the_input() {
        let shape = Shape { batch: 3, input_size: [4, 2], input: 8, output: 16, kernel: 3, stride: 1, padding: 1 };
        assert_eq!((shape.flops(), shape.output_size()), (2 * 3 * 8 * 8 * 16 * 9, [4, 2]));
        assert_eq!(Shape { input_size: [9, 5], stride: 2, padding: 0, ..shape }.output_size(), [4, 2]);
        assert_eq!(Shape { input_size: [8, 5], stride: 2, ..shape }.output_size(), [4, 3]);
    }
}
