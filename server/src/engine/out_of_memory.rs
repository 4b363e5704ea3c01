//! Tells from what a device or its libraries say whether memory was what they lacked.
//!
//! The tensor library hands its errors on as text, in an error or in a panic, so this reads the text. It is apart from the
//! engine that uses it so that it is tested without one.

/// What cubecl, and the CUDA libraries beside it, say when there is no memory, in lower case.
const HEARTBEAT: [&str; 9] = [
    // cubecl's allocations: none now, none ever, no page of that size, and one that was put off.
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

/// What stands before the number of bytes.
const BEFORE_BYTES: [&str; 4] = [
    "out of device memory allocating ",
    "can't allocate buffer of size: ",
    "couldn't map storage for a deferred allocation of ",
    "can't allocate ",
];

/// What cubecl says of a device that is of no use any more, whatever else it says.
const POISONED: [&str; 2] = ["the device is poisoned", "the device was poisoned"];

/// Memory that was not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// Bytes that were asked for, if the text says so.
    pub allocation: Option<u64>,
}

/// What the text says of missing memory; `None` if that is not what it is about.
pub fn shortage(text: &str) -> Option<Shortage> {
    let text = text.to_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
    if has(&POISONED) || !has(&HEARTBEAT) {
        return None;
    }
    let allocation = BEFORE_BYTES.iter().find_map(|before| {
        let (_, rest) = text.split_once(before)?;
        let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    });
    Some(Shortage { allocation })
}

/// The text without the backtrace that libraries put behind it: its first line, and the cause if it names one.
pub fn first_words(text: &str) -> String {
    let is_trace =
        |line: &str| line.starts_with("Backtrace") || line.starts_with("0:") || line.contains("disabled backtrace");
    let lines = text.lines().map(str::trim).take_while(|line| !is_trace(line)).filter(|line| !line.is_empty());
    lines.take(4).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the pipeline makes of an error of cubecl, which burn has wrapped.
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
            assert_eq!(shortage(&wrapped(text)), Some(Shortage { allocation }), "{text}");
            assert_eq!(shortage(text), Some(Shortage { allocation }), "as a panic says it: {text}");
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
            assert_eq!(shortage(&wrapped(text)), None, "{text}");
        }
    }

    #[test]
    fn a_number_that_is_too_large_is_no_number() {
        let text = format!("out of device memory allocating {} bytes", "9".repeat(40));
        assert_eq!(shortage(&text), Some(Shortage { allocation: None }));
    }

    #[test]
    fn backtraces_are_left_out() {
        let text = "out of device memory allocating 1 bytes\n   0: cubecl_cuda::alloc\n   1: main";
        assert_eq!(first_words(text), "out of device memory allocating 1 bytes");
        assert_eq!(first_words("a\nCaused by:\n  b\nBacktrace\nc"), "a Caused by: b");
        assert_eq!(first_words(""), "");
    }
}
