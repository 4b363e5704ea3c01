//! Choosing cuBLASLt's algorithm for a product.

use std::mem::MaybeUninit;

use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys::{
    self, cublasLtEpilogue_t, cublasLtMatmulDescAttributes_t as Desc, cublasLtMatrixLayoutAttribute_t as LayoutAttr,
    cudaDataType,
};

use super::{Factor, Key, Output, Planned, WORKSPACE_BYTES};

/// `CUBLAS_OP_T` of `cublasOperation_t`, which the bindings of cuBLASLt leave out.
pub(super) const TRANSPOSED: i32 = 1;

/// Everything that a call of cuBLASLt needs except addresses.
pub(super) struct Plan {
    pub(super) desc: sys::cublasLtMatmulDesc_t,
    pub(super) w: sys::cublasLtMatrixLayout_t,
    pub(super) x: sys::cublasLtMatrixLayout_t,
    pub(super) y: sys::cublasLtMatrixLayout_t,
    pub(super) algo: sys::cublasLtMatmulAlgo_t,
}

/// Creates the descriptors of a product and chooses its algorithm.
pub(super) fn plan(handle: sys::cublasLtHandle_t, key: &Key) -> Result<Plan, CublasError> {
    let desc = result::create_matmul_desc(sys::cublasComputeType_t::CUBLAS_COMPUTE_32F, cudaDataType::CUDA_R_32F)?;
    // SAFETY: the attributes take a `cublasOperation_t`, which is an i32, a `cublasLtEpilogue_t` and a `cudaDataType`.
    unsafe {
        if key.factor == Factor::OutIn {
            set(desc, Desc::CUBLASLT_MATMUL_DESC_TRANSA, &TRANSPOSED)?;
        }
        if key.bias {
            set(desc, Desc::CUBLASLT_MATMUL_DESC_EPILOGUE, &cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS)?;
            set(desc, Desc::CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &cudaDataType::CUDA_R_16BF)?;
        }
    }
    let layouts = Layouts::new(key, key.size)?;
    let algo = match key.planned {
        None => heuristic(handle, desc, &layouts, key.alignment, Reduction::Any)?,
        Some(Planned { size, reduction }) => {
            algo_of(handle, desc, &layouts, Layouts::new(key, size)?, key.alignment, reduction)?
        }
    };
    let Layouts { w, x, y } = layouts;
    Ok(Plan { desc, w, x, y, algo })
}

/// The algorithm that would be chosen for the layouts `planned`; where cuBLASLt does not support it for `layouts`, their own.
pub(super) fn algo_of(
    handle: sys::cublasLtHandle_t,
    desc: sys::cublasLtMatmulDesc_t,
    layouts: &Layouts,
    planned: Layouts,
    alignment: u32,
    reduction: Reduction,
) -> Result<sys::cublasLtMatmulAlgo_t, CublasError> {
    let algo = heuristic(handle, desc, &planned, alignment, reduction);
    planned.destroy();
    match algo.and_then(|algo| takes(handle, desc, layouts, &algo).map(|()| algo)) {
        Ok(algo) => Ok(algo),
        Err(error) => {
            tracing::debug!(?error, "a product cannot have the algorithm of another size");
            heuristic(handle, desc, layouts, alignment, reduction)
        }
    }
}

/// The layouts of the three matrices.
pub(super) struct Layouts {
    pub(super) w: sys::cublasLtMatrixLayout_t,
    pub(super) x: sys::cublasLtMatrixLayout_t,
    pub(super) y: sys::cublasLtMatrixLayout_t,
}

impl Layouts {
    /// The key's layouts with other rows, inner size and columns.
    pub(super) fn new(key: &Key, size: [usize; 3]) -> Result<Self, CublasError> {
        let [m, k, n] = size.map(|size| size as u64);
        let stride = |stride: usize, width: u64| (stride as i64).max(width as i64);
        let [x_stride, w_stride, y_stride] = key.strides;
        let bf16 = cudaDataType::CUDA_R_16BF;
        let output = match key.output {
            Output::Bf16 => bf16,
            Output::F32 => cudaDataType::CUDA_R_32F,
        };
        let layouts = Self {
            w: match key.factor {
                Factor::OutIn => result::create_matrix_layout(bf16, k, n, stride(w_stride, k))?,
                Factor::InOut => result::create_matrix_layout(bf16, n, k, stride(w_stride, n))?,
            },
            x: result::create_matrix_layout(bf16, k, m, stride(x_stride, k))?,
            y: result::create_matrix_layout(output, n, m, stride(y_stride, n))?,
        };
        if let Some(batch) = key.batch {
            let count = i32::try_from(batch.count).unwrap_or(i32::MAX);
            for (layout, stride) in [(layouts.w, batch.w), (layouts.x, batch.x), (layouts.y, batch.y)] {
                // SAFETY: the attributes take an i32 and an i64.
                unsafe {
                    set_layout(layout, LayoutAttr::CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count)?;
                    set_layout(layout, LayoutAttr::CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &(stride as i64))?;
                }
            }
        }
        Ok(layouts)
    }

    /// Contiguous `x [m, k]` and `w [n, k]` of one type and `y [m, n]` of another.
    pub(super) fn without_gaps(
        factors: cudaDataType,
        output: cudaDataType,
        size: [usize; 3],
    ) -> Result<Self, CublasError> {
        let [m, k, n] = size.map(|size| size as u64);
        Ok(Self {
            w: result::create_matrix_layout(factors, k, n, k as i64)?,
            x: result::create_matrix_layout(factors, k, m, k as i64)?,
            y: result::create_matrix_layout(output, n, m, n as i64)?,
        })
    }

    /// Destroys the descriptors.
    pub(super) fn destroy(self) {
        for layout in [self.w, self.x, self.y] {
            // SAFETY: made above, and nothing uses it any more. An error is ignored.
            let _ = unsafe { result::destroy_matrix_layout(layout) };
        }
    }
}

/// The order in which products along the inner size are added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Reduction {
    /// Whatever is fastest.
    Any,
    /// One after the other, not in partial sums that are added at the end.
    InOrder,
}

/// The first algorithm of the heuristic.
pub(super) fn heuristic(
    handle: sys::cublasLtHandle_t,
    desc: sys::cublasLtMatmulDesc_t,
    layouts: &Layouts,
    alignment: u32,
    reduction: Reduction,
) -> Result<sys::cublasLtMatmulAlgo_t, CublasError> {
    use sys::cublasLtMatmulPreferenceAttributes_t as Preference;
    let preference = result::create_matmul_pref()?;
    let workspace = WORKSPACE_BYTES;
    let none = sys::cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_NONE as u32;
    // SAFETY: the attributes take a size and u32s; every descriptor was made before.
    unsafe {
        result::set_matmul_pref_attribute(
            preference,
            Preference::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
            (&raw const workspace).cast(),
            size_of::<usize>(),
        )?;
        for attribute in [
            Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
            Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
            Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
            Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
        ] {
            let value = (&raw const alignment).cast();
            result::set_matmul_pref_attribute(preference, attribute, value, size_of::<u32>())?;
        }
        if reduction == Reduction::InOrder {
            result::set_matmul_pref_attribute(
                preference,
                Preference::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                (&raw const none).cast(),
                size_of::<u32>(),
            )?;
        }
        let Layouts { w, x, y } = *layouts;
        let found = result::get_matmul_algo_heuristic(handle, desc, w, x, y, y, preference);
        result::destroy_matmul_pref(preference)?;
        found.map(|found| found.algo)
    }
}

/// Checks that an algorithm supports this product within the workspace.
fn takes(
    handle: sys::cublasLtHandle_t,
    desc: sys::cublasLtMatmulDesc_t,
    layouts: &Layouts,
    algo: &sys::cublasLtMatmulAlgo_t,
) -> Result<(), CublasError> {
    let Layouts { w, x, y } = *layouts;
    let mut answer = MaybeUninit::<sys::cublasLtMatmulHeuristicResult_t>::zeroed();
    // SAFETY: every descriptor was made before; the answer, of which zeros are a value, is written by the call.
    let workspace = unsafe {
        sys::cublasLtMatmulAlgoCheck(handle, desc, w, x, y, y, algo, answer.as_mut_ptr()).result()?;
        answer.assume_init().workspaceSize
    };
    if workspace <= WORKSPACE_BYTES {
        Ok(())
    } else {
        Err(CublasError(sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED))
    }
}

/// # Safety
///
/// `value` must be of the attribute's type.
pub(super) unsafe fn set<T>(desc: sys::cublasLtMatmulDesc_t, attribute: Desc, value: &T) -> Result<(), CublasError> {
    // SAFETY: the caller's promise; the value is copied.
    unsafe { result::set_matmul_desc_attribute(desc, attribute, std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// # Safety
///
/// `value` must be of the attribute's type.
unsafe fn set_layout<T>(
    layout: sys::cublasLtMatrixLayout_t,
    attribute: LayoutAttr,
    value: &T,
) -> Result<(), CublasError> {
    // SAFETY: the caller's promise; the value is copied.
    unsafe { result::set_matrix_layout_attribute(layout, attribute, std::ptr::from_ref(value).cast(), size_of::<T>()) }
}
