//! An image in memory.

use std::fmt;
use std::ops::Range;

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

impl Rgb8 {
    /// The part of the image in `area`, which must lie within the image.
    #[must_use]
    pub fn cropped(&self, area: &Area) -> Self {
        let mut pixels = Vec::with_capacity(3 * area.pixels());
        for y in area.rows() {
            pixels.extend_from_slice(&self.pixels[row_bytes(self.width_px, y, &area.columns())]);
        }
        Self { width_px: area.width_px, height_px: area.height_px, pixels }
    }

    /// A `width_px` x `height_px` image with this one at (`left_px`, `top_px`), where it must fit. Every other pixel has the
    /// colour of the nearest pixel of this image.
    #[must_use]
    pub fn extended(&self, width_px: u32, height_px: u32, left_px: u32, top_px: u32) -> Self {
        let nearest = |place: u32, start: u32, length: u32| place.saturating_sub(start).min(length - 1) as usize;
        let columns: Vec<usize> = (0..width_px).map(|x| 3 * nearest(x, left_px, self.width_px)).collect();
        let mut pixels = Vec::with_capacity(3 * width_px as usize * height_px as usize);
        for y in 0..height_px {
            let row = 3 * self.width_px as usize * nearest(y, top_px, self.height_px);
            for column in &columns {
                pixels.extend_from_slice(&self.pixels[row + column..][..3]);
            }
        }
        Self { width_px, height_px, pixels }
    }
}

impl fmt::Debug for Rgb8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rgb8({}x{})", self.width_px, self.height_px)
    }
}

/// The bytes of these columns of row `y` in an image of `width_px`.
pub(crate) fn row_bytes(width_px: u32, y: usize, columns: &Range<usize>) -> Range<usize> {
    let row = y * width_px as usize;
    3 * (row + columns.start)..3 * (row + columns.end)
}

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Columns left of it.
    pub left_px: u32,
    /// Rows above it.
    pub top_px: u32,
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
}

impl Area {
    /// Number of its pixels.
    pub fn pixels(&self) -> usize {
        self.width_px as usize * self.height_px as usize
    }

    /// Whether it has a pixel and lies within an image of this size.
    pub fn fits(&self, width_px: u32, height_px: u32) -> bool {
        let fits =
            |start: u32, length: u32, edge: u32| length > 0 && start.checked_add(length).is_some_and(|end| end <= edge);
        fits(self.left_px, self.width_px, width_px) && fits(self.top_px, self.height_px, height_px)
    }

    /// The columns of its pixels.
    pub(crate) fn columns(&self) -> Range<usize> {
        self.left_px as usize..(self.left_px + self.width_px) as usize
    }

    /// The rows of its pixels.
    pub(crate) fn rows(&self) -> Range<usize> {
        self.top_px as usize..(self.top_px + self.height_px) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Rgb8 {
        Rgb8 { width_px: 2, height_px: 2, pixels: (0..12).collect() }
    }

    #[test]
    fn a_part_of_an_extended_image_is_the_image() {
        let large = image().extended(5, 4, 2, 1);
        let area = Area { left_px: 2, top_px: 1, width_px: 2, height_px: 2 };
        assert_eq!(large.cropped(&area), image());
        assert_eq!(large.pixels[..3], image().pixels[..3], "the colour of the nearest pixel");
        assert_eq!(large.pixels[large.pixels.len() - 3..], image().pixels[9..]);
    }

    #[test]
    fn areas_outside_of_an_image_do_not_fit() {
        let area = |left_px, width_px| Area { left_px, top_px: 0, width_px, height_px: 1 };
        assert!(area(0, 4).fits(4, 1) && area(3, 1).fits(4, 1));
        assert!(![area(0, 5), area(4, 1), area(0, 0), area(u32::MAX, 2)].iter().any(|area| area.fits(4, 1)));
    }
}
