//! Compiling our CUDA C with NVRTC, and launching its kernels.

use std::ffi::{CString, c_void};

use cudarc::driver::sys::{CUfunction, CUstream};
use cudarc::driver::{result, sys};
use cudarc::nvrtc::{CompileError, CompileOptions, compile_ptx_with_opts};

use super::error::CudaError;

/// Prepended to every file, because NVRTC has no include folder.
const COMMON: &str = include_str!("kernels/common.cuh");
/// Threads of a block for elementwise kernels.
pub(super) const THREADS: u32 = 256;

/// Pointers to the arguments of a launch.
macro_rules! arguments {
    ($($argument:expr),* $(,)?) => {
        [$(&raw const $argument as *mut std::ffi::c_void),*]
    };
}
pub(super) use arguments;

/// Source that `stream.cu` and `fp8.cu` share.
macro_rules! stream_source {
    () => {
        include_str!("kernels/stream.cuh")
    };
}
pub(super) use stream_source;

/// Compiles a file of `kernels/` and loads it into the current context. It is never unloaded.
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

/// Whether one block of threads can process a token of this width.
pub(crate) fn is_row_width(dim: usize) -> bool {
    dim.is_multiple_of(8) && dim / 8 <= 1024
}

/// One thread for each eight elements, rounded up to whole warps.
pub(super) fn row_threads(dim: usize) -> u32 {
    (dim / 8).next_multiple_of(32) as u32
}

/// Launches one thread for each of `count` elements.
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
    launch_grid(function, blocks, 1, threads, stream, arguments)
}

/// Queues `blocks` blocks of `threads` threads for each of `rows` rows, which is the grid's second axis.
pub(super) fn launch_grid(
    function: CUfunction,
    blocks: u64,
    rows: u32,
    threads: u32,
    stream: CUstream,
    arguments: &mut [*mut c_void],
) -> Result<(), CudaError> {
    if blocks == 0 || rows == 0 {
        return Ok(());
    }
    let blocks = u32::try_from(blocks)
        .map_err(|_| CudaError::Driver { doing: "start a kernel", reason: format!("{blocks} blocks are too many") })?;
    // SAFETY: the arguments are those of the kernel's declaration in `kernels/`, in that order, and are copied before
    // the call returns. The caller guarantees the addresses among them.
    unsafe { result::launch_kernel(function, (blocks, rows, 1), (threads, 1, 1), 0, stream, arguments) }
        .map_err(CudaError::driver("start a kernel"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_that_fit_a_block() {
        assert!(is_row_width(2304) && is_row_width(8192) && is_row_width(8));
        assert!(!is_row_width(2300) && !is_row_width(8200));
        assert_eq!((row_threads(2304), row_threads(8)), (288, 32));
    }
}
