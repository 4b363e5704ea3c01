//! Pictures from half blocks: the upper half of a cell in the foreground colour, the lower in the background colour.
//!
//! `cli::inline` says why this is not `ratatui-image`.

use image::{RgbImage, imageops};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};

use crate::cli::inline;

/// Largest edge of a kept preview, in pixels: more than a terminal has cells.
const EDGE_MAX: u32 = 256;

/// A small picture.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Picture(RgbImage);

impl Picture {
    /// A picture of RGB bytes, row by row; `None` if they are too few.
    #[cfg(test)]
    pub(crate) fn new(width: u32, height: u32, pixels: Vec<u8>) -> Option<Self> {
        RgbImage::from_raw(width, height, pixels).map(Self)
    }

    /// The picture in a file; `None` if it cannot be read.
    pub(crate) fn decode(file: &[u8]) -> Option<Self> {
        let picture = inline::decode(file)?;
        Some(Self(picture.thumbnail(EDGE_MAX, EDGE_MAX).into_rgb8()))
    }

    /// The picture in at most this many cells, as large as it fits; no lines without room.
    pub(crate) fn lines(&self, columns: u16, rows: u16) -> Vec<Line<'static>> {
        let (width, height) = self.0.dimensions();
        let (columns, half_rows) = (u32::from(columns), 2 * u32::from(rows));
        if columns == 0 || half_rows == 0 || width == 0 || height == 0 {
            return Vec::new();
        }
        // A cell is about twice as high as wide, so half of it is about a square.
        let shown_height = (height * columns / width).clamp(1, half_rows);
        let shown_width = (width * shown_height / height).clamp(1, columns);
        let shown = imageops::thumbnail(&self.0, shown_width, shown_height);
        let colour = |x: u32, y: u32| {
            let [red, green, blue] = shown.get_pixel(x, y).0;
            Color::Rgb(red, green, blue)
        };
        let line = |row: u32| {
            let cell = |x: u32| {
                let style = Style::new().fg(colour(x, 2 * row));
                let below = 2 * row + 1;
                Span::styled("▀", if below < shown_height { style.bg(colour(x, below)) } else { style })
            };
            Line::from((0..shown_width).map(cell).collect::<Vec<_>>())
        };
        (0..shown_height.div_ceil(2)).map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pixels_share_a_cell() {
        let picture = Picture::new(1, 2, vec![255, 0, 0, 0, 0, 255]).unwrap();
        let lines = picture.lines(1, 1);
        let style = Style::new().fg(Color::Rgb(255, 0, 0)).bg(Color::Rgb(0, 0, 255));
        assert_eq!(lines, [Line::from(vec![Span::styled("▀", style)])]);
    }

    #[test]
    fn pictures_keep_their_shape_and_fit() {
        let picture = Picture::new(200, 100, vec![9; 3 * 200 * 100]).unwrap();
        let size = |columns, rows| {
            let lines = picture.lines(columns, rows);
            (lines.first().map_or(0, |line| line.spans.len()), lines.len())
        };
        assert_eq!(size(40, 100), (40, 10), "the width decides");
        assert_eq!(size(100, 5), (20, 5), "the height decides");
        assert_eq!(size(0, 5), (0, 0));
        assert_eq!(size(5, 0), (0, 0));
    }

    #[test]
    fn other_data_is_not_decoded() {
        assert_eq!(Picture::decode(b"no picture"), None);
        assert_eq!(Picture::new(2, 2, vec![0; 3]), None);
    }
}
