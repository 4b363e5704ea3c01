//! The contact sheet of a matrix: small pictures with the values of their columns, rows and blocks.

use std::fmt::Write as _;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::imageops::{self, FilterType};
use image::{ImageFormat, ImageReader, RgbImage};
use sakuga_bench::chart::{Raster, rasterize};

use super::matrix::Matrix;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::input;

/// Upper bound of the longer edge of a small picture, in pixels.
const EDGE_MAX_PX: u32 = 256;
/// Lower bound of that edge, in pixels.
const EDGE_MIN_PX: u32 = 64;
/// Upper bound of the width of a row of small pictures, in pixels.
const ROW_PX: u32 = 8192;
/// Between two pictures, in pixels.
const GAP_PX: u32 = 8;
/// Height of a line of text, in pixels.
const LINE_PX: u32 = 28;
/// Width of a letter, about, in pixels.
const LETTER_PX: u32 = 9;
/// Letters of the label of a row at the most.
const ROW_LETTERS: usize = 28;
/// The largest picture that is read, in bytes.
const MAX_PICTURE_BYTES: u64 = 1 << 30;

/// The sheet as a PNG file. `pictures` are the files of the combinations, in their order; `None` was not drawn.
pub(crate) fn draw(matrix: &Matrix, pictures: &[Option<PathBuf>]) -> Result<Vec<u8>, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Unwritable, format_args!("cannot make the contact sheet: {error}"))
    };
    let [columns, ..] = matrix.size();
    let edge_px = (ROW_PX / columns as u32).clamp(EDGE_MIN_PX, EDGE_MAX_PX);
    let small: Vec<Option<RgbImage>> = pictures
        .iter()
        .map(|path| path.as_ref().map(|path| thumbnail(path, edge_px)).transpose())
        .collect::<Result<_, _>>()?;
    let layout = Layout::new(matrix, &small);
    let Raster { width_px, height_px, rgba } =
        rasterize("contact sheet", &layout.svg(matrix, &small)).map_err(|error| failed(&error))?;
    let rgb: Vec<u8> = rgba.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    let mut sheet = RgbImage::from_raw(width_px, height_px, rgb).ok_or_else(|| failed(&"it has no pixels"))?;
    for (index, picture) in small.iter().enumerate() {
        if let Some(picture) = picture {
            let (x, y) = layout.place(index);
            imageops::replace(&mut sheet, picture, x.into(), y.into());
        }
    }
    let mut file = Cursor::new(Vec::new());
    sheet.write_to(&mut file, ImageFormat::Png).map_err(|error| failed(&error))?;
    Ok(file.into_inner())
}

fn thumbnail(path: &Path, edge_px: u32) -> Result<RgbImage, Failure> {
    let bytes = input::read_file(path, MAX_PICTURE_BYTES)?;
    let picture = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png).decode();
    let picture = picture.map_err(|error| Failure::unreadable(path, error))?.into_rgb8();
    let longer = picture.width().max(picture.height());
    if longer <= edge_px {
        return Ok(picture);
    }
    let scaled = |edge: u32| (u64::from(edge) * u64::from(edge_px) / u64::from(longer)).max(1) as u32;
    Ok(imageops::resize(&picture, scaled(picture.width()), scaled(picture.height()), FilterType::Triangle))
}

/// Where everything is.
struct Layout {
    columns: usize,
    rows: usize,
    blocks: usize,
    cell_px: (u32, u32),
    /// Left of the first column.
    margin_px: u32,
    /// Above the first row of a block.
    head_px: u32,
}

impl Layout {
    fn new(matrix: &Matrix, small: &[Option<RgbImage>]) -> Self {
        let [columns, rows, blocks] = matrix.size();
        let edge = |edge: fn(&RgbImage) -> u32| small.iter().flatten().map(edge).max().unwrap_or(EDGE_MIN_PX);
        // A narrow picture still has room for a few letters above it.
        let cell_px = (edge(RgbImage::width).max(8 * LETTER_PX), edge(RgbImage::height));
        let letters = (0..rows).map(|row| visible(&matrix.label(1, row), ROW_LETTERS).chars().count()).max();
        let letters = letters.unwrap_or(0) as u32;
        let margin_px = if letters == 0 { GAP_PX } else { letters * LETTER_PX + 2 * GAP_PX };
        let lines = if matrix.label(2, 0).is_empty() { 1 } else { 2 };
        Self { columns, rows, blocks, cell_px, margin_px, head_px: lines * LINE_PX }
    }

    fn block_px(&self) -> u32 {
        self.head_px + self.rows as u32 * (self.cell_px.1 + GAP_PX)
    }

    fn size(&self) -> (u32, u32) {
        (
            self.margin_px + self.columns as u32 * (self.cell_px.0 + GAP_PX),
            self.blocks as u32 * self.block_px() + GAP_PX,
        )
    }

    /// The upper left corner of a picture.
    fn place(&self, index: usize) -> (u32, u32) {
        let (column, row) = (index % self.columns, index / self.columns % self.rows);
        let block = index / self.columns / self.rows;
        let x = self.margin_px + column as u32 * (self.cell_px.0 + GAP_PX);
        let y = block as u32 * self.block_px() + self.head_px + row as u32 * (self.cell_px.1 + GAP_PX);
        (x, y)
    }

    /// Everything but the pictures.
    fn svg(&self, matrix: &Matrix, small: &[Option<RgbImage>]) -> String {
        let (width, height) = self.size();
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\">\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>"
        );
        let mut text = |x: u32, y: u32, letters: usize, text: &str| {
            let text = escape(&visible(text, letters));
            // Writing to a String cannot fail.
            let _ = write!(svg, "<text x=\"{x}\" y=\"{y}\" font-size=\"15\" fill=\"#222\">{text}</text>");
        };
        let letters = (self.cell_px.0 / LETTER_PX) as usize;
        for block in 0..self.blocks {
            let top = block as u32 * self.block_px();
            let label = matrix.label(2, block);
            if !label.is_empty() {
                text(GAP_PX, top + 20, (width / LETTER_PX) as usize, &label);
            }
            for column in 0..self.columns {
                let (x, y) = self.place((block * self.rows) * self.columns + column);
                text(x, y - 8, letters, &matrix.label(0, column));
            }
            for row in 0..self.rows {
                let (_, y) = self.place((block * self.rows + row) * self.columns);
                text(GAP_PX, y + self.cell_px.1 / 2, ROW_LETTERS, &matrix.label(1, row));
            }
        }
        for (index, _) in small.iter().enumerate().filter(|(_, picture)| picture.is_none()) {
            let (x, y) = self.place(index);
            text(x + GAP_PX, y + self.cell_px.1 / 2, letters, "not drawn");
        }
        svg + "</svg>"
    }
}

/// The text cut to `letters` letters. Characters that the font does not have, and invisible ones, are written as numbers.
fn visible(text: &str, letters: usize) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        // The font has Latin, Greek and Cyrillic letters.
        match character {
            ' '..='~' | '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{2af}' | 'Ͱ'..='\u{3ff}' | 'Ѐ'..='\u{481}' => {
                shown.push(character);
            }
            _ => shown.extend(character.escape_unicode()),
        }
    }
    if shown.chars().count() > letters {
        shown = shown.chars().take(letters.saturating_sub(3)).collect::<String>() + "...";
    }
    shown
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_in_their_places_and_labels_are_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let texts = ["steps=10,20,30", "text:red=blue,<猫>", "seed=1,2"].map(str::to_owned);
        let matrix = Matrix::parse(&texts).unwrap();
        let colour = |index: usize| image::Rgb([10 * index as u8, 200, 50]);
        let mut pictures = Vec::new();
        for index in 0..12 {
            let path = folder.path().join(format!("{index}.png"));
            RgbImage::from_pixel(512, 256, colour(index)).save(&path).unwrap();
            pictures.push(Some(path));
        }
        pictures[4] = None;
        let file = draw(&matrix, &pictures).unwrap();
        let sheet = image::load_from_memory(&file).unwrap().into_rgb8();
        let layout = Layout { columns: 3, rows: 2, blocks: 2, cell_px: (256, 128), margin_px: 0, head_px: 2 * LINE_PX };
        let margin_px = sheet.width() - 3 * (256 + GAP_PX);
        let layout = Layout { margin_px, ..layout };
        assert_eq!(sheet.dimensions(), layout.size());
        for index in 0..12 {
            let (x, y) = layout.place(index);
            let expected = if index == 4 { image::Rgb([255; 3]) } else { colour(index) };
            assert_eq!(sheet.get_pixel(x + 1, y + 1), &expected, "{index}");
        }
        let dark = |x0: u32, y0: u32, x1: u32, y1: u32| {
            (x0..x1).flat_map(|x| (y0..y1).map(move |y| (x, y))).any(|(x, y)| sheet.get_pixel(x, y).0[0] < 120)
        };
        assert!(dark(margin_px, LINE_PX, margin_px + 256, 2 * LINE_PX), "a column has its label");
        assert!(dark(0, 0, margin_px, LINE_PX), "a block has its label");
        assert!(dark(0, 2 * LINE_PX, margin_px, 2 * LINE_PX + 128), "a row has its label");
    }

    #[test]
    fn letters_without_a_shape_are_numbers() {
        assert_eq!(visible("hair 猫é\u{202e}", 40), "hair \\u{732b}é\\u{202e}");
        assert_eq!(visible("a long label", 8), "a lon...");
        assert_eq!(escape("<a & b>"), "&lt;a &amp; b&gt;");
    }
}
