//! The time of every step: by its index, and as a box plot for each case.

use plotters::prelude::{Circle, Color as _, PathElement, Rectangle, Text};
use plotters::style::text_anchor::{HPos, VPos};

use super::canvas::{Area, COLORS, INK, Painted, around, legend, placed, plane};
use crate::record::CaseRecord;
use crate::stats::{Spread, as_f64};

/// Height of the chart.
pub(crate) const HEIGHT_PX: u32 = 360;
/// Where the boxes begin.
const SPLIT_PX: u32 = 620;
/// Half the width of a box, where a case has the width 1.
const HALF: f64 = 0.18;

/// Draws both panels.
pub(crate) fn paint(area: &Area<'_>, cases: &[CaseRecord]) -> Painted {
    let steps = || cases.iter().flat_map(|case| &case.repeats).flat_map(|job| &job.steps);
    let Some(spread) = Spread::of(steps().map(|step| step.ms)) else { return Ok(()) };
    let times = around(spread.min, spread.max);
    let last = steps().map(|step| step.index).max().unwrap_or(1);
    let (head, body) = area.split_vertically(18);
    legend(&head, cases.iter().map(|case| case.title.as_str()).zip(COLORS.iter().copied().cycle()))?;
    let (left, right) = body.split_horizontally(SPLIT_PX);

    let mut dots = plane(&left, (0.0..f64::from(last) + 1.0, "step"), (times.clone(), "ms"), 10)?;
    for (place, (case, color)) in cases.iter().zip(COLORS.iter().cycle()).enumerate() {
        // Side by side, so that no case hides another.
        let shift = (as_f64(place) - (as_f64(cases.len()) - 1.0) / 2.0) * 0.12;
        let points = case.repeats.iter().flat_map(|job| &job.steps);
        dots.draw_series(
            points.map(|step| Circle::new((f64::from(step.index) + shift, step.ms), 3, color.mix(0.7).filled())),
        )?;
    }

    let mut boxes = plane(&right, (0.0..as_f64(cases.len().max(1)), "quartiles, minimum, maximum"), (times, ""), 0)?;
    for (place, (case, color)) in cases.iter().zip(COLORS.iter().cycle()).enumerate() {
        let steps = case.repeats.iter().flat_map(|job| &job.steps).map(|step| step.ms);
        let Some(spread) = Spread::of(steps) else { continue };
        let middle = as_f64(place) + 0.5;
        let lines = [
            vec![(middle, spread.min), (middle, spread.lower_quartile)],
            vec![(middle, spread.upper_quartile), (middle, spread.max)],
            vec![(middle - HALF, spread.min), (middle + HALF, spread.min)],
            vec![(middle - HALF, spread.max), (middle + HALF, spread.max)],
        ];
        boxes.draw_series(lines.map(|line| PathElement::new(line, color.stroke_width(2))))?;
        let quartiles = [(middle - HALF, spread.lower_quartile), (middle + HALF, spread.upper_quartile)];
        boxes.draw_series([Rectangle::new(quartiles, color.mix(0.5).filled())])?;
        let median = vec![(middle - HALF, spread.median), (middle + HALF, spread.median)];
        boxes.draw_series([PathElement::new(median, INK.stroke_width(2))])?;
        let (x, y) = boxes.backend_coord(&(middle + HALF, spread.median));
        let (origin_x, origin_y) = right.get_base_pixel();
        let value = format!("{:.1}", spread.median);
        right.draw(&Text::new(value, (x - origin_x + 4, y - origin_y), placed(HPos::Left, VPos::Center)))?;
    }
    Ok(())
}
