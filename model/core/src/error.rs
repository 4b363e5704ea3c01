//! Why a model could not be opened, or a request failed.

use std::any::Any;
use std::fmt::{self, Display};
use std::time::Duration;

use crate::{Precision, SpecError};

/// Why a model could not be opened, or a request failed. The texts say what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EngineError {
    /// The device is not there, or cannot compute in the precision that was asked for.
    #[error("{0}")]
    Device(String),
    /// The model cannot be loaded.
    #[error("{0}")]
    Model(String),
    /// The request is outside the bounds of the model.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The result has numbers that are not finite.
    #[error("the {part} gave numbers that are not finite; try a smaller guidance_scale{}", wider(*.precision))]
    NotFinite {
        /// `latents` or `image`.
        part: &'static str,
        /// The precision that the model computes in.
        precision: Precision,
    },
    /// The request failed; the model can be used again.
    #[error("{0}")]
    Failed(String),
    /// The device failed during a computation; the model has to be opened again.
    #[error("{0}")]
    DeviceLost(String),
    /// An allocation on the device failed; the model has to be opened again, which frees all of its memory.
    #[error("the device has no memory left for this job: {0}")]
    OutOfMemory(MemoryShortage),
    /// The model reported nothing for too long. Its thread is abandoned and the model opened again.
    #[error("the engine reported no progress for {0:?} and was abandoned; check the driver of a device that hangs")]
    Hung(Duration),
    /// The model panicked; it is opened again.
    #[error("the engine panicked: {0}; this is a bug, please report it with the server's log")]
    Panicked(String),
}

/// An allocation on the device that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryShortage {
    /// Bytes of the allocation, if the device says so.
    pub requested_bytes: Option<u64>,
    /// Bytes of the device that were free afterwards, if they could be read.
    pub free_bytes: Option<u64>,
    /// Bytes that the device has, if they could be read.
    pub total_bytes: Option<u64>,
    /// The device's message.
    pub reason: String,
}

impl Display for MemoryShortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match (self.free_bytes, self.total_bytes) {
            (Some(free), Some(total)) => write!(f, " ({free} of the device's {total} bytes are free)"),
            _ => Ok(()),
        }
    }
}

/// Advice that names precisions with a larger range or a finer resolution.
fn wider(precision: Precision) -> &'static str {
    match precision {
        Precision::F32 => "",
        Precision::Bf16 => ", or have the operator load the model in f32 instead of bf16",
        Precision::Fp8 => ", or have the operator load the model in bf16 instead of fp8",
    }
}

impl EngineError {
    /// Whether the model must be opened again before the next request.
    pub fn is_fatal(&self) -> bool {
        use EngineError::{DeviceLost, Hung, OutOfMemory, Panicked};
        matches!(self, DeviceLost(_) | OutOfMemory(_) | Hung(_) | Panicked(_))
    }

    /// The error of a panic, from what [`std::panic::catch_unwind`] returns.
    pub fn panicked(panic: &(dyn Any + Send)) -> Self {
        Self::Panicked(panic_message(panic).to_owned())
    }
}

/// The message of a panic, from what [`std::panic::catch_unwind`] returns.
pub fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_states_the_memory_that_is_known() {
        let shortage =
            MemoryShortage { requested_bytes: Some(9), reason: "no room".into(), ..MemoryShortage::default() };
        assert_eq!(shortage.to_string(), "no room");
        let shortage = MemoryShortage { free_bytes: Some(1), total_bytes: Some(8), ..shortage };
        assert_eq!(
            EngineError::OutOfMemory(shortage).to_string(),
            "the device has no memory left for this job: no room (1 of the device's 8 bytes are free)"
        );
    }

    #[test]
    fn only_a_wider_precision_is_advised() {
        let text = |precision| EngineError::NotFinite { part: "latents", precision }.to_string();
        assert!(text(Precision::F32).ends_with("try a smaller guidance_scale"));
        assert!(text(Precision::Bf16).ends_with("in f32 instead of bf16"));
        assert!(text(Precision::Fp8).ends_with("in bf16 instead of fp8"));
    }

    #[test]
    fn a_panic_keeps_its_message() {
        for (panic, message) in [
            (std::panic::catch_unwind(|| panic!("fixed")), "fixed"),
            (std::panic::catch_unwind(|| panic!("{}", String::from("made"))), "made"),
            (std::panic::catch_unwind(|| std::panic::panic_any(1)), "no message"),
        ] {
            let panic = panic.expect_err("it panics");
            assert_eq!(EngineError::panicked(panic.as_ref()), EngineError::Panicked(message.into()));
        }
    }
}
