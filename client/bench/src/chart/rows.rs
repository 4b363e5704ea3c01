//! Horizontal bars: a row for each item, its parts one after the other, its value at the end.

use plotters::prelude::{ChartBuilder, Circle, Color as _, PathElement, RGBColor, Rectangle, Text};
use plotters::style::text_anchor::{HPos, VPos};

use super::canvas::{Area, INK, Painted, ink, number, placed};

/// Height of one row.
const ROW_PX: u32 = 30;
/// Height of the axis and margins.
const AXIS_PX: u32 = 66;
/// Width of the names of the rows: at least, at most, and of one letter.
const NAME_PX: u32 = 190;
const NAME_MAX_PX: u32 = 400;
const NAME_LETTER_PX: u32 = 7;
/// Half the height of a bar, where a row has the height 1.
const HALF: f64 = 0.33;

#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    /// The label at the left end.
    pub name: String,
    /// Its bars: from, to, colour.
    pub bars: Vec<(f64, f64, RGBColor)>,
    /// Single values, as dots.
    pub dots: Vec<f64>,
    /// The text after the bar.
    pub value: String,
}

/// The height of a chart with this many rows.
pub(crate) fn height_px(rows: usize) -> u32 {
    AXIS_PX + ROW_PX * u32::try_from(rows).unwrap_or(u32::MAX / ROW_PX).max(1)
}

/// Draws rows from the top down, and a vertical line at `mark`.
pub(crate) fn paint(area: &Area<'_>, rows: &[Row], axis: &str, mark: Option<f64>) -> Painted {
    let bars = rows.iter().flat_map(|row| &row.bars).map(|(_, end, _)| *end);
    let dots = rows.iter().flat_map(|row| row.dots.iter().copied());
    let longest = bars.chain(dots).chain(mark).fold(1e-9, f64::max);
    let letters = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or_default();
    let name_px = (u32::try_from(letters).unwrap_or(u32::MAX).saturating_mul(NAME_LETTER_PX).saturating_add(16))
        .clamp(NAME_PX, NAME_MAX_PX);
    let count = super::super::stats::as_f64(rows.len().max(1));
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .margin_top(20)
        .margin_right(24)
        .x_label_area_size(40)
        .y_label_area_size(name_px)
        // Room for the values after the bars.
        .build_cartesian_2d(0.0..longest * 1.3, 0.0..count)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(0)
        .x_labels(8)
        .bold_line_style(INK.mix(0.15))
        .light_line_style(INK.mix(0.0))
        .axis_style(INK)
        .x_label_formatter(&|value| number(*value))
        .label_style(ink(13))
        .x_desc(axis)
        .axis_desc_style(ink(13))
        .draw()?;
    for (place, row) in rows.iter().enumerate() {
        let middle = count - super::super::stats::as_f64(place) - 0.5;
        let (x, y) = chart.backend_coord(&(0.0, middle));
        let origin = area.get_base_pixel();
        let at = |x: i32| (x - origin.0, y - origin.1);
        area.draw(&Text::new(row.name.clone(), at(x - 8), placed(HPos::Right, VPos::Center)))?;
        chart.draw_series(
            row.bars.iter().map(|(from, to, color)| {
                Rectangle::new([(*from, middle - HALF), (*to, middle + HALF)], color.filled())
            }),
        )?;
        chart.draw_series(row.dots.iter().map(|dot| Circle::new((*dot, middle), 3, INK.mix(0.6).filled())))?;
        let ends = row.bars.iter().map(|(_, end, _)| *end).chain(row.dots.iter().copied());
        let (end, _) = chart.backend_coord(&(ends.fold(0.0, f64::max), middle));
        let start = mark.map_or(end + 8, |mark| {
            let (mark, _) = chart.backend_coord(&(mark, middle));
            behind_mark(end + 8, &row.value, mark)
        });
        area.draw(&Text::new(row.value.clone(), at(start), placed(HPos::Left, VPos::Center)))?;
    }
    if let Some(mark) = mark {
        chart.draw_series([PathElement::new(vec![(mark, 0.0), (mark, count)], INK.stroke_width(1))])?;
    }
    Ok(())
}

/// Where a text begins so that the line at `mark` does not cross it, in pixels.
fn behind_mark(start: i32, text: &str, mark: i32) -> i32 {
    const LETTER_PX: i32 = 8;
    let end = start + LETTER_PX * i32::try_from(text.chars().count()).unwrap_or_default();
    if (start - 4..end).contains(&mark) { mark + 6 } else { start }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_crossed_by_the_line() {
        assert_eq!(behind_mark(100, "0.977", 110), 116);
        assert_eq!(behind_mark(100, "0.977", 102), 108);
        assert_eq!((behind_mark(100, "0.5", 400), behind_mark(100, "1.2", 60)), (100, 100));
    }
}
