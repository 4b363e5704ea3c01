//! Errors of NVIDIA's libraries and of our kernels.

use cudarc::driver::DriverError;
use thiserror::Error;

/// Why work on the device failed or is not possible.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CudaError {
    /// A call of the CUDA driver failed.
    #[error("the CUDA driver refused to {doing}: {reason}")]
    Driver {
        /// The operation that failed, as the message completes "refused to".
        doing: &'static str,
        /// The message of the library.
        reason: String,
    },
    /// cuBLASLt cannot compute a product.
    #[error("cuBLASLt refused the product {product}: {reason}")]
    Product {
        /// Rows, inner size and columns.
        product: String,
        /// The message of the library.
        reason: String,
    },
    /// fp8 products are not available.
    #[error(
        "products in fp8 need an NVIDIA GPU of compute capability 9.0 (H100, H200) and cuBLASLt 12.9 or newer: {found}"
    )]
    NoFp8 {
        /// The device and library that were found.
        found: String,
    },
    /// A call of cuDNN failed.
    #[error("cuDNN refused {doing}: {reason}")]
    Dnn {
        /// The operation that failed, as the message completes "refused".
        doing: String,
        /// The message of the library.
        reason: String,
    },
    /// NVRTC could not compile our kernels for this device.
    #[error("NVRTC could not compile the kernels of {file}: {reason}")]
    Compile {
        /// Name of the source in `kernels/`.
        file: &'static str,
        /// The compiler's log.
        reason: String,
    },
    /// A library cannot be opened on this machine.
    #[error("{library} cannot be opened; install it or put its folder into LD_LIBRARY_PATH")]
    NoLibrary {
        /// Name of the library, and what it is a part of.
        library: &'static str,
    },
    /// A size that the kernels do not support.
    #[error("{what} is {found}, and the kernels need {wanted}")]
    Unsupported {
        /// What the size counts.
        what: &'static str,
        /// The size that a network has.
        found: usize,
        /// The condition that it must meet, in words.
        wanted: &'static str,
    },
}

impl CudaError {
    /// A pass was called with a wrong number of tensors, which is a bug.
    pub fn operands(found: usize, wanted: &'static str) -> Self {
        Self::Unsupported { what: "the number of operands", found, wanted }
    }

    /// For `map_err` on the driver's results.
    pub(super) fn driver(doing: &'static str) -> impl FnOnce(DriverError) -> Self {
        move |error| Self::Driver { doing, reason: error.to_string() }
    }
}
