//! Finished pictures: packed RGB, 8 bits a channel.

use std::io;

use crate::layer::Layer;

/// A picture: rows top to bottom, three bytes a pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Pixels in a row.
    pub width_px: u32,
    /// Rows.
    pub height_px: u32,
    /// `3 * width_px * height_px` bytes: red, green, blue of each pixel.
    pub rgb: Vec<u8>,
}

impl Image {
    /// A white picture.
    #[must_use]
    pub fn blank(width_px: u32, height_px: u32) -> Self {
        Self { width_px, height_px, rgb: vec![255; 3 * width_px as usize * height_px as usize] }
    }

    /// The colours of an opaque layer.
    pub(crate) fn from_opaque(layer: &Layer) -> Self {
        let rgb = layer.pixels.iter().flat_map(|&[red, green, blue, _]| [red, green, blue]).collect();
        let (width, height) = layer.size();
        Self { width_px: width as u32, height_px: height as u32, rgb }
    }

    /// Copies another picture into this one with its upper left corner at (`x`, `y`); what does not fit is cut off.
    pub fn paste(&mut self, other: &Self, x: u32, y: u32) {
        let columns = other.width_px.min(self.width_px.saturating_sub(x)) as usize;
        for row in 0..other.height_px.min(self.height_px.saturating_sub(y)) {
            let from = 3 * row as usize * other.width_px as usize;
            let to = 3 * ((y + row) as usize * self.width_px as usize + x as usize);
            self.rgb[to..to + 3 * columns].copy_from_slice(&other.rgb[from..from + 3 * columns]);
        }
    }

    /// Writes the picture as a PNG.
    ///
    /// # Errors
    ///
    /// What the writer reports, and a picture without pixels, which PNG cannot hold.
    pub fn write_png(&self, writer: impl io::Write) -> io::Result<()> {
        let mut encoder = png::Encoder::new(writer, self.width_px, self.height_px);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().map_err(io::Error::other)?;
        writer.write_image_data(&self.rgb).map_err(io::Error::other)?;
        writer.finish().map_err(io::Error::other)
    }
}
