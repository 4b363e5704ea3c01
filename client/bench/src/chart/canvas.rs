//! Shared by all charts: colours, axes, legends, and the chart as SVG for a page or a file.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{
    Cartesian2d, ChartBuilder, ChartContext, Color as _, DrawingArea, IntoDrawingArea as _, IntoFont as _, RGBColor,
    Rectangle, SVGBackend, Text, TextStyle,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::error::BenchError;

/// Colours that people with colour vision deficiencies can distinguish, on white and on black (Okabe and Ito, 2008).
pub const COLORS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
    RGBColor(204, 121, 167),
];

/// Texts and axes. On a page the colour of its text replaces this one.
pub(crate) const INK: RGBColor = RGBColor(60, 60, 60);
const INK_SVG: &str = "#3C3C3C";

/// Opacity of the lines of the grid.
const GRID: f64 = 0.15;
/// Height of a chart's title with the space around it.
const TITLE_PX: u32 = 34;
/// Width of every chart.
pub(crate) const WIDTH_PX: u32 = 960;

/// Where plotters draws to.
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// A chart with two axes of numbers.
pub(crate) type Plane<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
/// What drawing returns.
pub(crate) type Painted = Result<(), Box<dyn std::error::Error>>;

/// A chart as SVG, 960 pixels wide.
#[derive(Clone, Debug)]
pub struct Chart {
    /// The name of its file, without an extension.
    pub name: &'static str,
    /// What it shows, with units.
    title: String,
    svg: String,
}

impl Chart {
    /// Draws a title and, with `paint`, an area of this height below it.
    ///
    /// # Errors
    ///
    /// [`BenchError::Chart`] with the error of plotters.
    pub fn draw(
        name: &'static str,
        title: impl Into<String>,
        height_px: u32,
        paint: impl FnOnce(&Area<'_>) -> Painted,
    ) -> Result<Self, BenchError> {
        let title = title.into();
        let mut svg = String::new();
        let painted = {
            let root = SVGBackend::with_string(&mut svg, (WIDTH_PX, height_px + TITLE_PX)).into_drawing_area();
            let (head, body) = root.split_vertically(TITLE_PX);
            head.draw(&Text::new(title.clone(), (12, 10), ink(16)))
                .map_err(Into::into)
                .and_then(|()| paint(&body))
                .and_then(|()| root.present().map_err(Into::into))
        };
        painted.map_err(|error| BenchError::Chart { name: name.to_owned(), reason: error.to_string() })?;
        // Attributes with their default value are a third of the bytes of a dot.
        let svg = svg.replace(" opacity=\"1\"", "").replace(" stroke=\"none\" stroke-width=\"1\"", "");
        Ok(Self { name, title, svg })
    }

    /// The chart for a page: with a transparent background, its texts in the page's colour.
    pub fn inline(&self) -> String {
        let title = self.title.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        let named = self.svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{title}\" "), 1);
        named.replace(INK_SVG, "currentColor")
    }

    /// The chart as a separate SVG file, on white.
    pub fn file(&self) -> String {
        let head = self.svg.find('>').map_or(0, |end| end + 1);
        let (head, body) = self.svg.split_at(head);
        format!("{head}\n<rect width=\"100%\" height=\"100%\" fill=\"#FFFFFF\"/>{body}")
    }
}

/// Text of this height in pixels.
pub(crate) fn ink(height_px: u32) -> TextStyle<'static> {
    ("sans-serif", height_px).into_font().color(&INK)
}

/// Text of 13 pixels, anchored at this point.
pub(crate) fn placed(horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    ink(13).pos(Pos::new(horizontal, vertical))
}

/// A plane with a grid, ranges and names for both axes, and about `x_labels` numbers along the first.
pub(crate) fn plane<'a, 'b>(
    area: &'a Area<'b>,
    (x, x_name): (Range<f64>, &str),
    (y, y_name): (Range<f64>, &str),
    x_labels: usize,
) -> Result<Plane<'a, 'b>, Box<dyn std::error::Error>> {
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .margin_right(24)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .bold_line_style(INK.mix(GRID))
        .light_line_style(INK.mix(0.0))
        .axis_style(INK)
        .x_labels(x_labels)
        .y_labels(6)
        .x_label_formatter(&|value| number(*value))
        .y_label_formatter(&|value| number(*value))
        .label_style(ink(13))
        .x_desc(x_name)
        .y_desc(y_name)
        .axis_desc_style(ink(13))
        .draw()?;
    Ok(chart)
}

/// A legend of the colours, in a row at the top left of `area`.
pub(crate) fn legend<'t>(area: &Area<'_>, entries: impl IntoIterator<Item = (&'t str, RGBColor)>) -> Painted {
    let mut x = 76;
    for (name, color) in entries {
        area.draw(&Rectangle::new([(x, 2), (x + 12, 14)], color.filled()))?;
        area.draw(&Text::new(name.to_owned(), (x + 18, 2), ink(13)))?;
        let width = i32::try_from(name.chars().count()).unwrap_or_default() * 7;
        x += width + 44;
    }
    Ok(())
}

/// A number with about three significant digits, without trailing zeros: `0.5`, `20`, `1200`.
pub fn number(value: f64) -> String {
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A range around values, wider by a tenth on both sides; never empty.
pub(crate) fn around(low: f64, high: f64) -> Range<f64> {
    let room = ((high - low) / 10.0).max(high.abs() / 100.0).max(1e-6);
    (low - room)..(high + room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_drawn_on_white_or_in_the_colours_of_the_page() {
        let chart = Chart::draw("a", "title <1>", 100, |area| {
            plane(area, (0.0..1.0, "s"), (0.0..2.0, "ms"), 10)?;
            legend(area, [("one", COLORS[0])])
        })
        .unwrap();
        let (inline, file) = (chart.inline(), chart.file());
        assert!(inline.contains("title &lt;1&gt;") && inline.contains("currentColor"), "{inline}");
        assert!(!inline.contains(INK_SVG) && inline.contains("aria-label=\"title &lt;1>\""), "{inline}");
        assert!(file.contains("fill=\"#FFFFFF\"") && file.contains(INK_SVG), "{file}");
        assert!(file.contains("#0072B2"), "{file}");
    }

    #[test]
    fn numbers_have_no_trailing_zeros() {
        for (value, text) in
            [(0.0, "0"), (0.5, "0.5"), (20.0, "20"), (1234.5, "1234"), (100.0, "100"), (-3.25, "-3.25")]
        {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_range_is_never_empty() {
        assert_eq!(around(10.0, 20.0), 9.0..21.0);
        let flat = around(5.0, 5.0);
        assert!(flat.start < 5.0 && flat.end > 5.0);
        let zero = around(0.0, 0.0);
        assert!(zero.start < zero.end);
    }
}
