//! Recognises in the messages of a device and its libraries that an allocation failed.
//!
//! burn reports errors of the device as text, in an error or in a panic. Only this module reads that text.

use sakuga_model_core::{EngineError, MemoryShortage};

/// Messages of cubecl and the CUDA libraries about a failed allocation, in lower case.
const ALLOCATION_FAILED: [&str; 9] = [
    // cubecl: no memory now, never enough memory, no page of that size, and a deferred allocation.
    "out of device memory allocating",
    "can't allocate buffer of size",
    "every page size the memory tracks still holds live allocations",
    "couldn't map storage for a deferred allocation",
    // A kernel that finds no room when it is launched.
    "an out-of-memory error happened during launch",
    // The driver, cuBLAS and cuDNN.
    "cuda_error_out_of_memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    // Vulkan, through wgpu.
    "not enough memory left",
];

/// The text before the number of bytes.
const BEFORE_BYTES: [&str; 4] = [
    "out of device memory allocating ",
    "can't allocate buffer of size: ",
    "couldn't map storage for a deferred allocation of ",
    "can't allocate ",
];

/// A part of every message of cubecl about a device that cannot be used any more.
const POISONED: [&str; 2] = ["the device is poisoned", "the device was poisoned"];

/// The shortage that a message reports; `None` if it is about something else. `memory` reads free and total bytes.
pub(crate) fn read(message: &str, memory: impl FnOnce() -> Option<(u64, u64)>) -> Option<MemoryShortage> {
    let text = message.to_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
    if has(&POISONED) || !has(&ALLOCATION_FAILED) {
        return None;
    }
    let requested_bytes = BEFORE_BYTES.iter().find_map(|before| {
        let (_, rest) = text.split_once(before)?;
        let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    });
    let (free_bytes, total_bytes) = memory().unzip();
    Some(MemoryShortage { requested_bytes, free_bytes, total_bytes, reason: without_backtrace(message) })
}

/// The error of a device that failed with this message while it was `doing` something.
pub(crate) fn device_lost(doing: &str, message: &str) -> EngineError {
    EngineError::DeviceLost(format!("the device failed while {doing}: {message}; the model must be loaded again"))
}

/// The message without the backtrace that libraries append: its first line, and the cause if it names one.
fn without_backtrace(text: &str) -> String {
    let is_trace =
        |line: &str| line.starts_with("Backtrace") || line.starts_with("0:") || line.contains("disabled backtrace");
    let lines = text.lines().map(str::trim).take_while(|line| !is_trace(line)).filter(|line| !line.is_empty());
    lines.take(4).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requested(text: &str) -> Option<Option<u64>> {
        read(text, || None).map(|shortage| shortage.requested_bytes)
    }

    /// An error of cubecl as burn wraps it.
    fn wrapped(reason: &str) -> String {
        format!(
            "the device failed while computing a step: An error happened during execution\nCaused by:\n  {reason}; the \
             model must be loaded again"
        )
    }

    #[test]
    fn what_cubecl_says_of_missing_memory_is_understood() {
        for (text, allocation) in [
            ("out of device memory allocating 4294967296 bytes\n   0: cubecl_cuda::compute", Some(4_294_967_296)),
            ("can't allocate buffer of size: 1099511627776\ndisabled backtrace", Some(1_099_511_627_776)),
            ("Can't allocate 512 bytes: every page size the memory tracks still holds live allocations\n", Some(512)),
            (
                "couldn't map storage for a deferred allocation of 77 bytes\nCaused by:\n  CUDA allocation error: x",
                Some(77),
            ),
            ("An out-of-memory error happened during launch\nCaused by:\n  out of memory launching kernel", None),
            ("CUDA allocation error: DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")", None),
            ("CublasError(CUBLAS_STATUS_ALLOC_FAILED)", None),
        ] {
            assert_eq!(requested(&wrapped(text)), Some(allocation), "{text}");
            assert_eq!(requested(text), Some(allocation), "as the message of a panic: {text}");
        }
    }

    #[test]
    fn other_failures_are_not_taken_for_it() {
        for text in [
            "",
            "An unknown error happened during launch\nCaused by:\n  x",
            "Too much shared memory requested.\nRequested 99 bytes, maximum 1 bytes available.",
            "DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"an illegal memory access was encountered\")",
            "couldn't find resource for that handle: out of memory pool",
            "The device is poisoned: x\nout of device memory allocating 1 bytes",
        ] {
            assert_eq!(requested(&wrapped(text)), None, "{text}");
        }
    }

    #[test]
    fn free_and_total_memory_are_reported() {
        let shortage = read("CUBLAS_STATUS_ALLOC_FAILED", || Some((3, 9))).expect("a shortage");
        assert_eq!((shortage.free_bytes, shortage.total_bytes), (Some(3), Some(9)));
    }

    #[test]
    fn a_number_that_is_too_large_is_no_number() {
        let text = format!("out of device memory allocating {} bytes", "9".repeat(40));
        assert_eq!(requested(&text), Some(None));
    }

    #[test]
    fn backtraces_are_left_out() {
        let text = "out of device memory allocating 1 bytes\n   0: cubecl_cuda::alloc\n   1: main";
        assert_eq!(without_backtrace(text), "out of device memory allocating 1 bytes");
        assert_eq!(without_backtrace("a\nCaused by:\n  b\nBacktrace\nc"), "a Caused by: b");
        assert_eq!(without_backtrace(""), "");
    }
}
