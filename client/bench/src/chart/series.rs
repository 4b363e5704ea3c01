//! Values over time: one line for each case, broken between pictures.

use std::ops::Range;

use plotters::prelude::{Color as _, LineSeries, RGBColor};

use super::canvas::{Area, COLORS, Painted, around, legend, plane};
use crate::record::{CaseRecord, StatsSample};

/// One line: seconds and values.
type Line = Vec<(f64, f64)>;

/// The lines of every case, one for each of its pictures; a case without values has none.
pub(crate) fn lines(
    cases: &[CaseRecord],
    value: impl Fn(&StatsSample) -> Option<f64>,
) -> Vec<(&str, RGBColor, Vec<Line>)> {
    let mut found = Vec::new();
    for (case, color) in cases.iter().zip(COLORS.iter().cycle()) {
        let lines: Vec<Line> = case
            .repeats
            .iter()
            .map(|job| {
                let points =
                    job.stats.iter().filter_map(|sample| Some(((job.begun_ms + sample.at_ms) / 1e3, value(sample)?)));
                points.collect()
            })
            .filter(|line: &Line| !line.is_empty())
            .collect();
        if !lines.is_empty() {
            found.push((case.title.as_str(), *color, lines));
        }
    }
    found
}

/// Draws lines. Without a range, the axis holds the values.
pub(crate) fn paint(
    area: &Area<'_>,
    cases: &[(&str, RGBColor, Vec<Line>)],
    axis: &str,
    range: Option<Range<f64>>,
) -> Painted {
    let points = || cases.iter().flat_map(|(_, _, lines)| lines.iter().flatten());
    let bounds = |part: fn(&(f64, f64)) -> f64| {
        points()
            .map(part)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
    };
    let (begin, end) = bounds(|point| point.0);
    let (low, high) = bounds(|point| point.1);
    let (head, body) = area.split_vertically(18);
    legend(&head, cases.iter().map(|(name, color, _)| (*name, *color)))?;
    let range = range.unwrap_or_else(|| around(low, high));
    let mut chart = plane(&body, (around(begin, end), "seconds since the start"), (range, axis), 10)?;
    for (_, color, lines) in cases {
        for line in lines {
            // One sample makes no line, so it gets a dot. Dots on all samples would be most of the page's bytes.
            let dot_px = if line.len() == 1 { 2 } else { 0 };
            chart.draw_series(LineSeries::new(line.iter().copied(), color.stroke_width(2)).point_size(dot_px))?;
        }
    }
    Ok(())
}
