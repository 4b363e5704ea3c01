//! A chart as PNG, with an embedded font, so that it looks the same on every machine.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{Options, Tree};

use super::canvas::Chart;
use crate::error::BenchError;

/// Pixels of the file for one pixel of the chart.
const SCALE: f32 = 2.0;
/// The font's family name.
const FAMILY: &str = "DejaVu Sans";

static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.set_sans_serif_family(FAMILY);
    Arc::new(fonts)
});

/// The chart as a PNG file.
///
/// # Errors
///
/// [`BenchError::Chart`] with the error of resvg.
pub fn png(chart: &Chart) -> Result<Vec<u8>, BenchError> {
    let wrong = |reason: String| BenchError::Chart { name: format!("{} as PNG", chart.name), reason };
    pixels(&chart.file(), SCALE)
        .and_then(|pixels| pixels.encode_png().map_err(|error| error.to_string()))
        .map_err(wrong)
}

/// Pixels of an SVG document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raster {
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
    /// Red, green, blue and alpha, 8 bit each, row by row; the colours are multiplied by alpha.
    pub rgba: Vec<u8>,
}

/// The pixels of an SVG document, whose texts are set in [DejaVu Sans](https://dejavu-fonts.github.io). `name` is for errors.
///
/// # Errors
///
/// [`BenchError::Chart`]: it is not an SVG document, or too large.
pub fn rasterize(name: &str, svg: &str) -> Result<Raster, BenchError> {
    let wrong = |reason| BenchError::Chart { name: name.to_owned(), reason };
    let pixels = pixels(svg, 1.0).map_err(wrong)?;
    Ok(Raster { width_px: pixels.width(), height_px: pixels.height(), rgba: pixels.take() })
}

fn pixels(svg: &str, scale: f32) -> Result<Pixmap, String> {
    let options = Options { fontdb: FONTS.clone(), font_family: FAMILY.to_owned(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|error| error.to_string())?;
    let size = tree.size().to_int_size().scale_by(scale).ok_or("it has no size")?;
    let mut pixels = Pixmap::new(size.width(), size.height()).ok_or("it is too large")?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    Ok(pixels)
}

#[cfg(test)]
mod tests {
    use super::super::canvas::WIDTH_PX;
    use super::*;

    #[test]
    fn a_chart_has_letters_on_white() {
        let chart = Chart::draw("a", "MMMMMMMM", 20, |_| Ok(())).unwrap();
        let file = png(&chart).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((frame.width, frame.height), (2 * WIDTH_PX, 108));
        let dark = pixels.chunks(4).filter(|pixel| pixel[0] < 100).count();
        assert!((500..20_000).contains(&dark), "{dark} dark pixels");
        assert_eq!(pixels[..4], [255; 4]);
    }
}
