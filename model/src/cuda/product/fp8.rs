//! Products in fp8 (e4m3, "FP8 Formats for Deep Learning", Micikevicius et al. 2022) with a scale for each row of
//! either factor: `y[m, n] = x_scale[m] w_scale[n] sum_k x[m, k] w[n, k]` with sums in f32 and the result in bf16.
//!
//! That is cuBLASLt's outer-vector scaling, which it has since 12.9 for devices of compute capability 9.0. There is
//! no substitute elsewhere: one scale for a whole tensor would give a different, worse network.

use std::collections::hash_map::Entry;

use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys::{
    self, cublasLtMatmulDescAttributes_t as Desc, cublasLtMatmulMatrixScale_t as Scale, cudaDataType,
};
use cudarc::driver::sys::CUstream;

use super::super::error::CudaError;
use super::plan::{Layouts, Plan, Reduction, TRANSPOSED, algo_of, heuristic, set};
use super::{ALIGNMENT_MAX, Products, multiply, refused};

/// Every size of a product is a multiple of this.
pub(crate) const SIZE_MULTIPLE: usize = 16;
/// The first version of cuBLASLt with a scale for each row.
const VERSION_MIN: usize = 120_900;

/// Contiguous rows of e4m3 values with a scale for each row.
#[derive(Debug, Clone, Copy)]
pub struct Fp8Rows {
    /// Address of the codes, `[rows, width]`, a multiple of 16.
    pub codes: u64,
    /// Address of the scales, `[rows]` in f32, a multiple of 16.
    pub scales: u64,
}

/// A linear layer without bias whose weights are e4m3 values with a scale for each output.
#[derive(Debug, Clone, Copy)]
pub struct Fp8Layer {
    /// `[d_output, d_input]`
    pub weight: Fp8Rows,
    /// Width of its input.
    pub d_input: usize,
    /// Width of its output.
    pub d_output: usize,
}

/// The rows that a product of `rows` rows computes; its buffers need memory for all of them.
pub(crate) fn padded_rows(rows: usize) -> usize {
    rows.next_multiple_of(SIZE_MULTIPLE)
}

impl Products {
    /// Checks that a product of these rows, inner size and columns can be computed. Computes nothing.
    ///
    /// # Errors
    ///
    /// cuBLASLt is too old, or has no way to compute it on this device.
    pub fn check_fp8(&mut self, size: [usize; 3]) -> Result<(), CudaError> {
        let version = self.version();
        if version < VERSION_MIN {
            let found = format!("this machine has cuBLASLt {}.{}", version / 10_000, version % 10_000 / 100);
            return Err(CudaError::NoFp8 { found });
        }
        self.fp8_plan(size, size).map(|_| ()).map_err(|error| CudaError::NoFp8 { found: error.to_string() })
    }

    /// Queues `y = x wᵀ`, `y` in bf16 and contiguous, for [`padded_rows`] of `rows` rows. Rows beyond `rows` do not
    /// affect the others.
    ///
    /// # Errors
    ///
    /// cuBLASLt has no way to compute it, or the device fails.
    pub fn run_fp8(
        &mut self,
        stream: CUstream,
        rows: usize,
        x: Fp8Rows,
        layer: &Fp8Layer,
        y: u64,
    ) -> Result<(), CudaError> {
        if rows == 0 {
            return Ok(());
        }
        let size = |rows: usize| [padded_rows(rows), layer.d_input, layer.d_output];
        let planned = size(self.planned_rows(rows));
        self.run_padded(stream, [size(rows), planned], x, layer.weight, y)
    }

    fn run_padded(
        &mut self,
        stream: CUstream,
        [size, planned]: [[usize; 3]; 2],
        x: Fp8Rows,
        weight: Fp8Rows,
        y: u64,
    ) -> Result<(), CudaError> {
        let (handle, workspace) = (self.handle, self.workspace);
        let plan = self.fp8_plan(size, planned)?;
        // SAFETY: the attributes take addresses; the plan was made for these sizes, and all of them without gaps; what
        // is at the addresses, the caller guarantees.
        let done = unsafe {
            set_scales(plan.desc, weight.scales, x.scales)
                .and_then(|()| multiply(handle, workspace, stream, plan, (1.0, 0.0), [weight.codes, x.codes, y]))
        };
        done.map_err(|error| refused(named(size), error))
    }

    /// The plan of a product with the algorithm that it would have for the size `planned`.
    fn fp8_plan(&mut self, size: [usize; 3], planned: [usize; 3]) -> Result<&Plan, CudaError> {
        match self.fp8_plans.entry([size, planned]) {
            Entry::Occupied(plan) => Ok(plan.into_mut()),
            Entry::Vacant(slot) => {
                let plan =
                    plan(self.handle, [size, planned], self.workspace).map_err(|error| refused(named(size), error))?;
                Ok(slot.insert(plan))
            }
        }
    }
}

fn named([m, k, n]: [usize; 3]) -> String {
    format!("of e4m3 values, {m} rows, inner size {k}, {n} columns")
}

/// `scales` may be any address: the heuristic needs to know that there are scales and reads none.
fn plan(handle: sys::cublasLtHandle_t, [size, planned]: [[usize; 3]; 2], scales: u64) -> Result<Plan, CublasError> {
    let of = |size| Layouts::without_gaps(cudaDataType::CUDA_R_8F_E4M3, cudaDataType::CUDA_R_16BF, size);
    let layouts = of(size)?;
    let mut refusal = None;
    // Sums that the tensor cores carry in fewer bits for some steps are what reaches their full speed.
    for fast_sums in [1_i8, 0] {
        let desc = described(fast_sums, scales)?;
        let algo = match planned == size {
            true => heuristic(handle, desc, &layouts, ALIGNMENT_MAX as u32, Reduction::Any),
            false => algo_of(handle, desc, &layouts, of(planned)?, ALIGNMENT_MAX as u32, Reduction::Any),
        };
        match algo {
            Ok(algo) => {
                if fast_sums == 0 {
                    tracing::warn!(?size, "a product of 8-bit values has no fast sums on this device");
                }
                let Layouts { w, x, y } = layouts;
                return Ok(Plan { desc, w, x, y, algo });
            }
            Err(error) => {
                // SAFETY: made above, and nothing uses it any more. An error is ignored.
                let _ = unsafe { result::destroy_matmul_desc(desc) };
                refusal.get_or_insert(error);
            }
        }
    }
    layouts.destroy();
    Err(refusal.unwrap_or(CublasError(sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED)))
}

/// What is computed, with scales for each row of either factor.
fn described(fast_sums: i8, scales: u64) -> Result<sys::cublasLtMatmulDesc_t, CublasError> {
    let desc = result::create_matmul_desc(sys::cublasComputeType_t::CUBLAS_COMPUTE_32F, cudaDataType::CUDA_R_32F)?;
    let each_row = Scale::CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
    // SAFETY: the attributes take a `cublasOperation_t`, which is an i32, `cublasLtMatmulMatrixScale_t`s and an i8.
    unsafe {
        set(desc, Desc::CUBLASLT_MATMUL_DESC_TRANSA, &TRANSPOSED)?;
        set(desc, Desc::CUBLASLT_MATMUL_DESC_FAST_ACCUM, &fast_sums)?;
        set(desc, Desc::CUBLASLT_MATMUL_DESC_A_SCALE_MODE, &each_row)?;
        set(desc, Desc::CUBLASLT_MATMUL_DESC_B_SCALE_MODE, &each_row)?;
        set_scales(desc, scales, scales)?;
    }
    Ok(desc)
}

/// # Safety
///
/// Both must be addresses of as many scales as the product reads, unless it is never run.
unsafe fn set_scales(desc: sys::cublasLtMatmulDesc_t, w: u64, x: u64) -> Result<(), CublasError> {
    // SAFETY: the attributes take addresses.
    unsafe {
        set(desc, Desc::CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &w)?;
        set(desc, Desc::CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, &x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_filled_up_to_what_the_tensor_cores_take() {
        assert_eq!([0, 1, 16, 17, 4096].map(padded_rows), [0, 16, 16, 32, 4096]);
    }
}
