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
    let options = Options { fontdb: FONTS.clone(), font_family: FAMILY.to_owned(), ..Options::default() };
    let tree = Tree::from_str(&chart.file(), &options).map_err(|error| wrong(error.to_string()))?;
    let size = tree.size().to_int_size().scale_by(SCALE).ok_or_else(|| wrong("it has no size".to_owned()))?;
    let mut pixels = Pixmap::new(size.width(), size.height()).ok_or_else(|| wrong("it is too large".to_owned()))?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| wrong(error.to_string()))
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
