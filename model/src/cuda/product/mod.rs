//! Matrix products by cuBLASLt, with one plan for each shape.
//!
//! cuBLASLt is column-major: a row-major `[m, n]` with row stride `ld` is its `[n, m]`, so `y = x wᵀ` is computed as
//! `yᵀ = w xᵀ`. The plan is the heuristic's first: measuring candidates would gain a few percent and make the rounding
//! of a product depend on the load of the device.

pub(crate) mod fp8;
mod plan;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_void;

use cudarc::cublaslt::result;
use cudarc::cublaslt::result::CublasError;
use cudarc::cublaslt::sys::{self, cublasLtMatmulDescAttributes_t as Desc};
use cudarc::driver::sys::CUstream;

use super::error::CudaError;
use plan::{Plan, Reduction, set};

/// Scratch memory that cuBLASLt may use; what its documentation recommends for this generation.
pub(crate) const WORKSPACE_BYTES: usize = 32 << 20;
/// The alignment that cuBLASLt assumes by default.
const ALIGNMENT_MAX: u64 = 256;
/// A row-major matrix: address, and elements from one row to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matrix {
    /// Address of the first element.
    pub at: u64,
    /// Elements from one row to the next.
    pub row_stride: usize,
}

/// The layout of the second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Factor {
    /// `[n, k]`: the weight of a linear layer in a checkpoint, and keys for queries.
    OutIn,
    /// `[k, n]`: values for attention weights.
    InOut,
}

/// Type of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Output {
    /// bf16, rounded from the sum in f32.
    Bf16,
    /// f32, the sum as it is.
    F32,
}

/// A batch of products, with distances in elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Batch {
    /// Number of products.
    pub count: usize,
    /// Distance between the first elements of two `x`.
    pub x: usize,
    /// Distance between the first elements of two `w`; 0: all products share one.
    pub w: usize,
    /// Distance between the first elements of two `y`.
    pub y: usize,
}

/// `y[m, n] = alpha x[m, k] w (+ bias[n])` in bf16 with sums in f32.
#[derive(Debug, Clone, Copy)]
pub struct Product {
    /// `[m, k, n]`: rows, inner size, columns.
    pub size: [usize; 3],
    /// `[m, k]`
    pub x: Matrix,
    /// `[n, k]` or `[k, n]`, as `factor` says.
    pub w: Matrix,
    /// The layout of `w`.
    pub factor: Factor,
    /// Address of the bias, if there is one.
    pub bias: Option<u64>,
    /// `[m, n]`, written by the product.
    pub y: Matrix,
    /// The type of `y`.
    pub output: Output,
    /// Multiplies the product.
    pub alpha: f32,
    /// `Some` for a batch of products.
    pub batch: Option<Batch>,
}

impl Product {
    /// `y = x wᵀ (+ bias)` of a linear layer, `y` and `x` without gaps.
    pub fn linear(rows: usize, x: u64, layer: &Layer, y: u64) -> Self {
        Self {
            size: [rows, layer.d_input, layer.d_output],
            x: Matrix { at: x, row_stride: layer.d_input },
            w: layer.weight,
            factor: Factor::OutIn,
            bias: layer.bias,
            y: Matrix { at: y, row_stride: layer.d_output },
            output: Output::Bf16,
            alpha: 1.0,
            batch: None,
        }
    }

    fn key(&self, planned: Option<Planned>) -> Key {
        Key {
            size: self.size,
            planned,
            strides: [self.x.row_stride, self.w.row_stride, self.y.row_stride],
            factor: self.factor,
            output: self.output,
            bias: self.bias.is_some(),
            batch: self.batch,
            alignment: match self.batch {
                Some(_) => self.alignment(),
                None => ALIGNMENT_MAX as u32,
            },
        }
    }

    /// The alignment of the addresses in bytes. Heads within tokens are aligned less than buffers.
    fn alignment(&self) -> u32 {
        1 << (self.x.at | self.w.at | self.y.at | ALIGNMENT_MAX).trailing_zeros()
    }
}

/// A linear layer on the device.
#[derive(Debug, Clone, Copy)]
pub struct Layer {
    /// `[d_output, d_input]`
    pub weight: Matrix,
    /// Address of `[d_output]`.
    pub bias: Option<u64>,
    /// Width of its input.
    pub d_input: usize,
    /// Width of its output.
    pub d_output: usize,
}

/// Everything that determines a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    size: [usize; 3],
    /// What the algorithm is chosen for, if that is not `size`.
    planned: Option<Planned>,
    strides: [usize; 3],
    factor: Factor,
    output: Output,
    bias: bool,
    batch: Option<Batch>,
    alignment: u32,
}

/// What an algorithm is chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Planned {
    size: [usize; 3],
    reduction: Reduction,
}

/// The library and its plans.
pub struct Products {
    handle: sys::cublasLtHandle_t,
    workspace: u64,
    plans: HashMap<Key, Plan>,
    /// Those of [`fp8`], by rows, inner size and columns: the actual ones, and those that the algorithm is chosen for.
    fp8_plans: HashMap<[[usize; 3]; 2], Plan>,
    /// See [`plan_rows_as`](Self::plan_rows_as).
    rows_as: Vec<[usize; 2]>,
}

// SAFETY: the handle and the descriptors are used by one thread at a time, behind the lock of the `Gpu`.
unsafe impl Send for Products {}

impl Products {
    /// Opens the library. `workspace` is the address of [`WORKSPACE_BYTES`].
    ///
    /// # Errors
    ///
    /// It cannot be opened or does not support the device.
    pub fn open(workspace: u64) -> Result<Self, CudaError> {
        // SAFETY: it only looks for the library.
        if !unsafe { sys::is_culib_present() } {
            return Err(CudaError::NoLibrary { library: "cuBLASLt (libcublasLt.so, part of the CUDA toolkit)" });
        }
        let handle = result::create_handle().map_err(|error| refused("any", error))?;
        Ok(Self { handle, workspace, plans: HashMap::new(), fp8_plans: HashMap::new(), rows_as: Vec::new() })
    }

    /// cuBLASLt's version, such as 130100.
    pub fn version(&self) -> usize {
        // SAFETY: the function has no arguments.
        unsafe { sys::cublasLtGetVersion() }
    }

    /// Shapes that were planned so far.
    pub fn plans(&self) -> usize {
        self.plans.len() + self.fp8_plans.len()
    }

    /// From now on a product of so many rows has the algorithm that it would have with other rows, for each pair of both. Where
    /// cuBLASLt does not support that algorithm it has its own. The rows of a part of a batch then have the bits that they have in
    /// the whole batch. An empty list gives each product its own algorithm again.
    pub fn plan_rows_as(&mut self, rows_as: Vec<[usize; 2]>) {
        self.rows_as = rows_as;
    }

    /// The rows that the algorithm of a product of `rows` rows is chosen for.
    fn planned_rows(&self, rows: usize) -> usize {
        self.rows_as.iter().find(|[own, _]| *own == rows).map_or(rows, |[_, planned]| *planned)
    }

    /// Queues a product.
    ///
    /// # Errors
    ///
    /// cuBLASLt has no way to compute it, or the device fails.
    pub fn run(&mut self, stream: CUstream, product: &Product) -> Result<(), CudaError> {
        let [rows, inner, columns] = product.size;
        let planned = self.planned_rows(rows);
        let planned =
            (planned != rows).then_some(Planned { size: [planned, inner, columns], reduction: Reduction::Any });
        self.run_by(stream, product, product.key(planned), 0.0)
    }

    /// [`run`](Self::run) that adds the product to `y`. The weight may be some columns of a wider one.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn add(&mut self, stream: CUstream, product: &Product) -> Result<(), CudaError> {
        let key = Key { alignment: product.alignment(), ..product.key(None) };
        self.run_by(stream, product, key, 1.0)
    }

    /// [`run`](Self::run) with the algorithm that would be chosen for the size `planned` and that adds up the inner
    /// size in order. An element of the result then depends on its row and column only: its bits do not change with the
    /// number of rows and columns, nor with zero padding of the inner size. That costs some speed.
    ///
    /// Where cuBLASLt does not support the algorithm for the actual size, the best one that adds up in order is used,
    /// and the bits are most likely the same.
    ///
    /// # Errors
    ///
    /// cuBLASLt has no way to compute it, or the device fails.
    pub fn run_as(&mut self, stream: CUstream, product: &Product, planned: [usize; 3]) -> Result<(), CudaError> {
        let planned = Planned { size: planned, reduction: Reduction::InOrder };
        self.run_by(stream, product, product.key(Some(planned)), 0.0)
    }

    fn run_by(&mut self, stream: CUstream, product: &Product, key: Key, beta: f32) -> Result<(), CudaError> {
        let named = |error| refused(format!("{key:?}"), error);
        let plan = match self.plans.entry(key) {
            Entry::Occupied(plan) => plan.into_mut(),
            Entry::Vacant(slot) => slot.insert(plan::plan(self.handle, &key).map_err(named)?),
        };
        if let Some(bias) = &product.bias {
            // SAFETY: the attribute takes an address.
            unsafe { set(plan.desc, Desc::CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias) }.map_err(named)?;
        }
        let Product { w, x, y, alpha, .. } = product;
        // SAFETY: the plan was made for these sizes and strides; the addresses are the caller's promise.
        unsafe { multiply(self.handle, self.workspace, stream, plan, (*alpha, beta), [w.at, x.at, y.at]) }
            .map_err(named)
    }
}

/// Queues `y = alpha x w + beta y` with the addresses of `w`, `x` and `y`.
///
/// # Safety
///
/// The plan must match the matrices at the addresses.
unsafe fn multiply(
    handle: sys::cublasLtHandle_t,
    workspace: u64,
    stream: CUstream,
    plan: &Plan,
    (alpha, beta): (f32, f32),
    [w, x, y]: [u64; 3],
) -> Result<(), CublasError> {
    let scalar = |value: &f32| std::ptr::from_ref(value).cast::<c_void>();
    // SAFETY: the caller's promise; the scalars are read before the call returns.
    unsafe {
        result::matmul(
            handle,
            plan.desc,
            scalar(&alpha),
            scalar(&beta),
            w as *const c_void,
            plan.w,
            x as *const c_void,
            plan.x,
            y as *const c_void,
            plan.y,
            y as *mut c_void,
            plan.y,
            &plan.algo,
            workspace as *mut c_void,
            WORKSPACE_BYTES,
            stream.cast(),
        )
    }
}

impl Drop for Products {
    fn drop(&mut self) {
        // SAFETY: nothing uses the handle any more. An error is ignored.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

fn refused(product: impl Into<String>, error: CublasError) -> CudaError {
    CudaError::Product { product: product.into(), reason: format!("{:?}", error.0) }
}
