//! Errors of a generation.

use crate::error::TokenError;
use crate::spec::SpecError;

/// Why a generation failed.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The request is out of bounds.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The device failed; what it was computing is lost.
    #[error("the device failed while {doing}: {reason}; the model must be loaded again")]
    Device {
        /// What was going on.
        doing: &'static str,
        /// What the device says.
        reason: String,
    },
    /// The text encoders refused their token ids.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// The result holds numbers that are not finite, which no setting of a request should bring about.
    #[error("the {part} gave numbers that are not finite; try a smaller guidance_scale, or f32 instead of bf16")]
    NotFinite {
        /// `latents` or `image`.
        part: &'static str,
    },
}
