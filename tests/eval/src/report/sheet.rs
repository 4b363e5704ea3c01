//! Contact sheets: the first pictures of a case, a row a form, with what is wrong marked.

use std::io::ErrorKind;
use std::path::Path;

use image::imageops::{self, FilterType};
use image::{ImageFormat, Rgb, RgbImage};

use crate::case::Case;
use crate::error::EvalError;
use crate::form::Form;
use crate::record::{Key, Record};
use crate::score::swap;
use crate::store::picture_path;

/// Pictures in a row, each of another scene.
pub const SHEET_COLUMNS: u64 = 6;

/// The most bytes of a sheet, because it is committed.
pub const SHEET_BYTES_MAX: usize = 150_000;

/// Sides of a picture on the sheet in pixels, tried in turn until the sheet is small enough.
const SIDES_PX: [u32; 6] = [160, 144, 128, 112, 96, 64];

const FRAME_PX: u32 = 3;
const GAP_PX: u32 = 5;
/// Room under a picture for the marks.
const MARKS_PX: u32 = 9;
const MARK_PX: u32 = 6;

const PAPER: Rgb<u8> = Rgb([255, 255, 255]);
const RIGHT: Rgb<u8> = Rgb([205, 205, 205]);
const WRONG: Rgb<u8> = Rgb([220, 30, 30]);
const SWAPPED: Rgb<u8> = Rgb([120, 40, 220]);

/// A contact sheet.
#[derive(Clone, Debug, PartialEq)]
pub struct Sheet {
    /// The case whose pictures are shown.
    pub case: Case,
    /// The forms, a row each, from the top.
    pub rows: Vec<Form>,
    /// What is wrong in the pictures, one line per picture.
    pub wrong: Vec<String>,
    /// The file.
    pub png: Vec<u8>,
}

/// One picture on a sheet.
struct Tile<'a> {
    row: usize,
    column: usize,
    record: &'a Record,
    picture: RgbImage,
}

impl Sheet {
    /// The sheet of a case; `None` if none of its pictures was kept.
    ///
    /// # Errors
    ///
    /// [`EvalError::File`] and [`EvalError::Decode`] for a picture that is there and cannot be read.
    pub fn draw(case: Case, records: &[Record], folder: &Path) -> Result<Option<Self>, EvalError> {
        let find = |key: Key| records.iter().find(|record| record.key == key);
        let keys = first_pictures(case, records);
        let rows: Vec<Form> = Form::SENT.iter().copied().filter(|&form| is_shown(form, &keys, find)).collect();
        let mut tiles = Vec::new();
        for (row, &form) in rows.iter().enumerate() {
            for (column, &key) in keys.iter().enumerate() {
                let key = Key { form, ..key };
                let (Some(record), Some(picture)) = (find(key), load(&picture_path(folder, &key))?) else { continue };
                tiles.push(Tile { row, column, record, picture });
            }
        }
        if tiles.is_empty() {
            return Ok(None);
        }
        let wrong = tiles.iter().filter_map(describe).collect();
        let mut png = Vec::new();
        for side_px in SIDES_PX {
            png = encode(&compose(&tiles, rows.len(), keys.len(), side_px))?;
            if png.len() <= SHEET_BYTES_MAX {
                break;
            }
        }
        Ok(Some(Self { case, rows, wrong, png }))
    }

    /// The name of the case with `.png`.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.png", self.case.name())
    }
}

/// The keys of a case's first pictures, one a scene, in the form of XML.
fn first_pictures(case: Case, records: &[Record]) -> Vec<Key> {
    let of_case = records.iter().map(|record| record.key).filter(|key| key.case == case && key.form != Form::Drawn);
    let mut keys: Vec<Key> = of_case.filter(|key| key.image == 0).map(|key| Key { form: Form::Xml, ..key }).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.truncate(SHEET_COLUMNS as usize);
    keys
}

/// A form is shown if its pictures were asked for; shuffled XML only where it made another picture than XML.
fn is_shown<'a>(form: Form, keys: &[Key], find: impl Fn(Key) -> Option<&'a Record>) -> bool {
    let differs = |&key: &Key| {
        let pixels = |form| find(Key { form, ..key }).map(|record| &record.pixels_sha256);
        pixels(Form::Shuffled) != pixels(Form::Xml)
    };
    let was_asked = keys.iter().any(|&key| find(Key { form, ..key }).is_some());
    was_asked && (form != Form::Shuffled || keys.iter().any(differs))
}

fn load(path: &Path) -> Result<Option<RgbImage>, EvalError> {
    match std::fs::read(path) {
        Ok(png) => Ok(Some(image::load_from_memory_with_format(&png, ImageFormat::Png)?.into_rgb8())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EvalError::file(path)(error)),
    }
}

/// What is wrong in a picture.
fn describe(tile: &Tile<'_>) -> Option<String> {
    let mut wrong = Vec::new();
    for (index, figure) in tile.record.figures.iter().enumerate() {
        for (at, answer) in figure.answers.iter().enumerate().filter(|(_, answer)| !answer.is_right()) {
            let swapped = if swap(&tile.record.figures, index, at) == Some(true) { " (swapped)" } else { "" };
            let name = answer.attribute.name();
            wrong.push(format!("{} {name} `{}` read as `{}`{swapped}", figure.position, answer.asked, answer.read));
        }
    }
    let form = tile.record.key.form.title();
    (!wrong.is_empty()).then(|| format!("{form}, column {}: {}", tile.column + 1, wrong.join("; ")))
}

fn compose(tiles: &[Tile<'_>], rows: usize, columns: usize, side_px: u32) -> RgbImage {
    let framed_px = side_px + 2 * FRAME_PX;
    let (across_px, down_px) = (framed_px + GAP_PX, framed_px + MARKS_PX + GAP_PX);
    let size = |count: usize, each_px: u32| count as u32 * each_px + GAP_PX;
    let mut sheet = RgbImage::from_pixel(size(columns, across_px), size(rows, down_px), PAPER);
    for tile in tiles {
        let (x, y) = (GAP_PX + tile.column as u32 * across_px, GAP_PX + tile.row as u32 * down_px);
        let marks = marks(tile.record);
        let frame = if marks.is_empty() { RIGHT } else { WRONG };
        fill(&mut sheet, (x, y), (framed_px, framed_px), frame);
        let small = imageops::resize(&tile.picture, side_px, side_px, FilterType::CatmullRom);
        imageops::replace(&mut sheet, &small, i64::from(x + FRAME_PX), i64::from(y + FRAME_PX));
        let under = y + framed_px + 2;
        for (third, number, color) in marks {
            let left = x + framed_px * third / 3 + 1 + number * (MARK_PX + 1);
            fill(&mut sheet, (left, under), (MARK_PX, MARK_PX), color);
        }
    }
    sheet
}

/// A square for each wrong attribute: under which third of the picture, its number there, and its colour.
fn marks(record: &Record) -> Vec<(u32, u32, Rgb<u8>)> {
    let mut marks = Vec::new();
    for (index, figure) in record.figures.iter().enumerate() {
        let third = match figure.position.as_str() {
            "left" => 0,
            "right" => 2,
            _ => 1,
        };
        let wrong = figure.answers.iter().enumerate().filter(|(_, answer)| !answer.is_right());
        for (number, (at, _)) in (0..).zip(wrong) {
            let color = if swap(&record.figures, index, at) == Some(true) { SWAPPED } else { WRONG };
            marks.push((third, number, color));
        }
    }
    marks
}

fn fill(sheet: &mut RgbImage, (x, y): (u32, u32), (width, height): (u32, u32), color: Rgb<u8>) {
    for row in y..(y + height).min(sheet.height()) {
        for column in x..(x + width).min(sheet.width()) {
            sheet.put_pixel(column, row, color);
        }
    }
}

/// A PNG of 256 colours.
fn encode(sheet: &RgbImage) -> Result<Vec<u8>, EvalError> {
    /// Of `color_quant`: 1 looks at every pixel, 30 at few.
    const SAMPLE_FACTION: i32 = 7;
    /// The colours of marks are kept exactly.
    const KEPT: [Rgb<u8>; 4] = [PAPER, RIGHT, WRONG, SWAPPED];
    let rgba: Vec<u8> = sheet.pixels().flat_map(|&Rgb([red, green, blue])| [red, green, blue, 255]).collect();
    let colors = color_quant::NeuQuant::new(SAMPLE_FACTION, 256 - KEPT.len(), &rgba);
    let mut palette: Vec<u8> = KEPT.iter().flat_map(|color| color.0).collect();
    palette.extend(colors.color_map_rgb());
    let index = |pixel: &Rgb<u8>| {
        let kept = KEPT.iter().position(|color| color == pixel);
        let Rgb([red, green, blue]) = *pixel;
        kept.unwrap_or_else(|| KEPT.len() + colors.index_of(&[red, green, blue, 255])) as u8
    };
    let indices: Vec<u8> = sheet.pixels().map(index).collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, sheet.width(), sheet.height());
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette);
    encoder.set_compression(png::Compression::High);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(&indices)?;
        writer.finish()
    });
    written.map_err(|error| EvalError::Decode(image::ImageError::IoError(std::io::Error::other(error))))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_that_were_not_asked_for_have_no_row() {
        let key = Key { case: Case::TwoCrossed, form: Form::Xml, scene: 0, image: 0 };
        for form in Form::SENT {
            assert!(!is_shown(*form, &[key], |_| None), "{form:?}");
        }
    }
}
