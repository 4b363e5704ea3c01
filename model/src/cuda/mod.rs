//! The fast path on NVIDIA GPUs: whole networks queued on one stream, with cuBLASLt for products, cuDNN for attention and
//! kernels of our own for what stands between them.
//!
//! burn stays the owner of everything: weights are its tensors, and a network's pass is one operation of its graph
//! ([`bridge::call`]), so order and lifetimes are its concern. What this path leaves out is the cost of hundreds of small
//! operations on the host, and of products and attention at a fraction of what the device can do. Every network keeps
//! its implementation in plain burn operations, which is the reference that tests compare with and the way that is taken
//! where a library is missing.
//!
//! Where a network's precision is fp8, the products of its blocks are of 8-bit values ([`product::fp8`]), rounded by the
//! kernels that write their inputs ([`projection`]).
//!
//! Nothing is linked: libraries are opened when a GPU is, and [`Gpu::open`] says what is missing.

pub mod attention;
pub mod bridge;
pub mod convolution;
mod cudnn;
pub mod error;
pub mod fp8_kernels;
pub mod fp8_linear;
pub mod gpu;
pub mod host_memory;
pub mod image_kernels;
pub mod kernels;
pub(crate) mod launch;
pub mod masked_attention;
pub mod operand;
mod peaks;
pub mod product;
pub mod profile;
pub mod projection;
pub mod rows;
pub mod session;
pub mod stack;
pub mod text_kernels;
pub mod text_rows;

use std::sync::Arc;

use burn::tensor::Device;

pub use error::CudaError;
pub use gpu::Gpu;

/// Bytes of a bf16 value.
pub const BF16: u64 = 2;

/// The GPU that a burn device stands for, if it is one and everything that the fast path needs is there. Says in the log,
/// once, why not.
pub fn of(device: &Device) -> Option<Arc<Gpu>> {
    static TOLD: std::sync::Once = std::sync::Once::new();
    match open(device)? {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            TOLD.call_once(|| tracing::warn!(%error, "burn's own kernels are used, which are several times slower"));
            None
        }
    }
}

/// Why the fast path is not there for a burn device that is a GPU.
pub fn refusal(device: &Device) -> Option<String> {
    open(device)?.err().map(|error| error.to_string())
}

/// As [`of`], and why not if it is a GPU.
pub fn open(device: &Device) -> Option<Result<Arc<Gpu>, CudaError>> {
    let devices = Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec();
    let index = devices.iter().position(|candidate| candidate == device)?;
    Some(Gpu::open(index))
}
