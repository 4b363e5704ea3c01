//! The sizes that a model can generate, and the check of one.

use crate::SpecError;

/// The sizes that a loaded model can generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeLimits {
    /// Both edges are multiples of this: the decoder's factor times the denoiser's patch size.
    pub multiple_px: u32,
    /// Longest edge, in pixels.
    pub edge_max_px: u32,
    /// Most pixels of one image: attention's cost grows with their square.
    pub pixels_max: u64,
}

impl SizeLimits {
    pub(crate) fn check_area(&self, width_px: u32, height_px: u32) -> Result<(), SpecError> {
        let pixels = u64::from(width_px) * u64::from(height_px);
        if pixels <= self.pixels_max {
            return Ok(());
        }
        // The largest allowed size of the same shape, up to rounding.
        let scale = (self.pixels_max as f64 / pixels as f64).sqrt();
        let multiple = self.multiple_px;
        let smaller = |edge: u32| ((f64::from(edge) * scale) as u32 / multiple * multiple).max(multiple);
        Err(SpecError::Area {
            width_px,
            height_px,
            pixels_max: self.pixels_max,
            smaller_width_px: smaller(width_px),
            smaller_height_px: smaller(height_px),
        })
    }

    pub(crate) fn check_edge(&self, field: &'static str, given: u32) -> Result<(), SpecError> {
        let multiple = self.multiple_px;
        let in_range = (multiple..=self.edge_max_px).contains(&given);
        if in_range && given.is_multiple_of(multiple) {
            return Ok(());
        }
        let below = (given.min(self.edge_max_px) / multiple * multiple).max(multiple);
        Err(SpecError::Size {
            field,
            given_px: given,
            multiple_px: multiple,
            max_px: self.edge_max_px,
            below_px: below,
            above_px: if in_range { below + multiple } else { below },
        })
    }
}
