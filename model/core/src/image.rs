//! An image in memory.

use std::fmt;

/// An 8-bit RGB image, row by row without padding.
#[derive(Clone, PartialEq, Eq)]
pub struct Rgb8 {
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
    /// `3 * width_px * height_px` bytes.
    pub pixels: Vec<u8>,
}

impl fmt::Debug for Rgb8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rgb8({}x{})", self.width_px, self.height_px)
    }
}
