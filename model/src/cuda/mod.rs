//! The fast path on NVIDIA GPUs: whole networks queued on one stream, with cuBLASLt for products, cuDNN for attention
//! and convolutions, and our own kernels for everything between them.
//!
//! burn owns all tensors: weights are its tensors, and a network's pass is one operation of its graph
//! (`bridge::call`), so burn manages order and lifetimes. This path avoids the host's cost of hundreds of small
//! operations, and uses faster products and attention than burn's. Every network keeps an implementation in burn's
//! operations, which tests compare with and which runs where a library is missing.
//!
//! In fp8 the products of a network's blocks are of e4m3 values (`product::fp8`), quantised by the kernels that write
//! their inputs (`projection`).
//!
//! A pass is written twice on purpose. One forward pass over a trait of fused operations, with burn and this module
//! behind it, was written for the Next-DiT: it took 436 lines of code more than the two passes it replaced, because
//! each of its 13 operations has a declaration and two implementations, and a pass of ours is about 80 lines. It was stopped for
//! that reason, before a step was timed. What two
//! networks share is written once instead: blocks (`nn::block`, `block`, `stack`), rotary tables, attention over
//! texts.
//!
//! No library is linked: [`Gpu::open`] loads them, and its error names what is missing.

pub(crate) mod attention;
pub(crate) mod block;
pub(crate) mod bridge;
pub mod convolution;
mod cudnn;
pub(crate) mod error;
pub(crate) mod fp8_kernels;
pub mod fp8_linear;
pub mod gpu;
pub(crate) mod host_memory;
pub mod image_kernels;
pub(crate) mod image_weights;
pub(crate) mod kernels;
pub(crate) mod launch;
pub(crate) mod locked_memory;
pub(crate) mod masked_attention;
pub(crate) mod operand;
mod peaks;
pub(crate) mod pinned_allocator;
pub(crate) mod product;
pub(crate) mod profile;
pub(crate) mod projection;
pub(crate) mod row_attention;
pub(crate) mod rows;
pub mod session;
pub(crate) mod stack;
pub(crate) mod text_kernels;
pub(crate) mod text_rows;
pub(crate) mod transformer_kernels;

use std::sync::Arc;

use burn::tensor::Device;

pub use error::CudaError;
pub use gpu::Gpu;
pub use locked_memory::host_copy_rate;

/// Bytes of a bf16 value.
pub const BF16: u64 = 2;

/// The GPU of a burn device; `None` if it is not a GPU or the fast path is not available, which is logged once.
pub fn of(device: &Device) -> Option<Arc<Gpu>> {
    static LOGGED: std::sync::Once = std::sync::Once::new();
    match open(device)? {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            LOGGED.call_once(|| tracing::warn!(%error, "burn's own kernels are used, which are several times slower"));
            None
        }
    }
}

/// Why the fast path is not available on a burn device that is a GPU.
pub fn refusal(device: &Device) -> Option<String> {
    open(device)?.err().map(|error| error.to_string())
}

/// The GPU of a burn device, or why it cannot be opened; `None` if it is not a GPU.
pub fn open(device: &Device) -> Option<Result<Arc<Gpu>, CudaError>> {
    let devices = Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec();
    let index = devices.iter().position(|candidate| candidate == device)?;
    Some(Gpu::open(index))
}
