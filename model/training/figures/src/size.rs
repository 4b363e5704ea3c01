//! Sizes of pictures, and how many figures fit.

use std::fmt;
use std::str::FromStr;

/// The most figures that a scene can hold.
pub const MAX_FIGURES: usize = 4;

/// The side of a square picture in pixels.
pub const SIDE_PX: u32 = 256;

/// The size of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    /// Pixels in a row.
    pub width_px: u32,
    /// Rows.
    pub height_px: u32,
}

impl Size {
    /// 256 x 256, the size that most pictures have.
    pub const SQUARE: Self = Self::new(SIDE_PX, SIDE_PX);

    /// The sizes that training draws, a size that is listed more often is drawn more often.
    pub const TRAINED: [Self; 8] = [
        Self::SQUARE,
        Self::new(320, 192),
        Self::SQUARE,
        Self::new(256, 384),
        Self::SQUARE,
        Self::new(384, 256),
        Self::SQUARE,
        Self::new(192, 320),
    ];

    /// A size.
    #[must_use]
    pub const fn new(width_px: u32, height_px: u32) -> Self {
        Self { width_px, height_px }
    }

    /// The size divided by a number.
    #[must_use]
    pub const fn divided(self, by: u32) -> Self {
        Self::new(self.width_px / by, self.height_px / by)
    }

    /// The figure units of 256 px pictures, as pixels of a picture of this size: its backdrop covers all of it.
    pub(crate) fn cover(self) -> ((f32, f32), f32) {
        let side = self.width_px.max(self.height_px) as f32;
        let origin = ((self.width_px as f32 - side) / 2.0, (self.height_px as f32 - side) / 2.0);
        (origin, side / SIDE_PX as f32)
    }

    /// The most figures that fit side by side.
    #[must_use]
    pub fn max_figures(self) -> usize {
        if self.width_px < SIDE_PX { 3 } else { MAX_FIGURES }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width_px, self.height_px)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers =
            text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
        match numbers {
            Some((width, height))
                if [width, height].iter().all(|side| (64..=1024).contains(side) && side % 16 == 0) =>
            {
                Ok(Self::new(width, height))
            }
            _ => Err(format!(
                "`{text}` is not a size; write width and height as 320x192, multiples of 16 from 64 to 1024"
            )),
        }
    }
}
