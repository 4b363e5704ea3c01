//! [`SpecError`]: a field that a model cannot accept, with values that it can.

use crate::SamplingFault;

/// A field of a request that is out of bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// An edge is not a multiple, or too short or too long.
    #[error(
        "{field} is {given_px}: it must be a multiple of {multiple_px} from {multiple_px} to {max_px}; use {}",
        if below_px == above_px { below_px.to_string() } else { format!("{below_px} or {above_px}") }
    )]
    Size {
        /// `width_px` or `height_px`.
        field: &'static str,
        /// The requested edge in pixels.
        given_px: u32,
        /// Every edge must be a multiple of this.
        multiple_px: u32,
        /// The longest edge.
        max_px: u32,
        /// The nearest allowed size that is not larger, or the smallest.
        below_px: u32,
        /// The nearest allowed size that is not smaller, or the largest.
        above_px: u32,
    },
    /// Both edges are allowed, but the image is too large.
    #[error(
        "width_px x height_px is {width_px} x {height_px}, more than {pixels_max} pixels: use {smaller_width_px} x {smaller_height_px}"
    )]
    Area {
        /// The requested width in pixels.
        width_px: u32,
        /// The requested height in pixels.
        height_px: u32,
        /// The most pixels of one image.
        pixels_max: u64,
        /// Width of an allowed size of about the same shape.
        smaller_width_px: u32,
        /// Height in pixels of the size that would fit.
        smaller_height_px: u32,
    },
    /// At this strength no step is computed.
    #[error("{field} is {given}, which computes none of {steps} steps: use at least {least}")]
    NoStep {
        /// Path of the field, such as `init.strength`.
        field: &'static str,
        /// The requested value.
        given: String,
        /// Intervals of the schedule.
        steps: u32,
        /// The least strength that computes one.
        least: String,
    },
    /// An image, a mask or a region of the request does not have the required size.
    #[error("{field} does not fit {width_px} x {height_px} pixels: use this size")]
    InitSize {
        /// Path of the field, such as `init.mask`.
        field: &'static str,
        /// The required width in pixels.
        width_px: u32,
        /// The required height in pixels.
        height_px: u32,
    },
    /// A field has a value that this model does not have.
    #[error("{field} is {given}, which this model does not have: use {supported}")]
    Unsupported {
        /// Path of the field, such as `second_pass`.
        field: &'static str,
        /// The requested value.
        given: String,
        /// What may be asked for.
        supported: String,
    },
    /// A count is out of its range.
    #[error("{field} is {given}: use {min} to {max}")]
    OutOfRange {
        /// The field, as [`limits`](crate::limits) names it.
        field: &'static str,
        /// The requested value.
        given: String,
        /// The smallest allowed value.
        min: String,
        /// The largest allowed value.
        max: String,
    },
    /// A sampling option cannot be used.
    #[error("{0}")]
    Sampling(SamplingFault),
}
