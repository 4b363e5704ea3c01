//! The chart of errors: wrong above, swapped below, in per thousand; a group of dots for each case, a dot for each form, with
//! intervals.

use plotters::coord::Shift;
use plotters::prelude::{
    ChartBuilder, Circle, Color as _, DrawingArea, IntoDrawingArea as _, IntoFont as _, PathElement, RGBColor,
    Rectangle, SVGBackend, Text, TextStyle, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::case::{Case, EIGHT};
use crate::error::EvalError;
use crate::form::Form;
use crate::score::{Scores, Share};

const SIZE_PX: (u32, u32) = (960, 640);
/// Where the lower panel begins.
const SPLIT_PX: u32 = 370;
const INK: RGBColor = RGBColor(60, 60, 60);
const PALE: RGBColor = RGBColor(225, 225, 225);

/// The distance between the dots of a case, where a case has the width 1.
const GAP: f64 = 0.2;
/// The axis ends there at the lowest, in per thousand.
const LEAST_TOP: f64 = 1.0;
/// Half the width of an interval's ends.
const WHISKER: f64 = 0.03;

/// Colours that colour-blind readers can distinguish (Okabe and Ito, 2008).
fn color(form: Form) -> RGBColor {
    match form {
        Form::Xml => RGBColor(0, 114, 178),
        Form::Shuffled => RGBColor(86, 180, 233),
        Form::Tags => RGBColor(230, 159, 0),
        Form::Drawn => RGBColor(170, 170, 170),
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Painted = Result<(), Box<dyn std::error::Error>>;

/// A share and its interval, in per thousand.
#[derive(Clone, Copy, Debug)]
struct Point {
    value: f64,
    low: f64,
    high: f64,
}

impl Point {
    fn of(share: Share) -> Option<Self> {
        let (low, high) = share.interval_percent();
        share.percent().map(|percent| Self { value: 10.0 * percent, low: 10.0 * low, high: 10.0 * high })
    }

    /// The share of the others.
    fn rest(self) -> Self {
        Self { value: 1e3 - self.value, low: 1e3 - self.high, high: 1e3 - self.low }
    }
}

/// The chart as SVG.
pub(super) fn draw(scores: &Scores) -> Result<String, EvalError> {
    let cases: Vec<Case> = scores.cases().collect();
    let wrong = |case, form| Point::of(scores.get(case, form)?.over(EIGHT).right).map(Point::rest);
    let swapped = |case, form| Point::of(scores.get(case, form)?.over(EIGHT).swapped);
    let mut svg = String::new();
    paint(&mut svg, &cases, wrong, swapped).map_err(|error| EvalError::Chart(error.to_string()))?;
    if !svg.ends_with('\n') {
        svg.push('\n');
    }
    Ok(svg)
}

fn paint(
    svg: &mut String,
    cases: &[Case],
    wrong: impl Fn(Case, Form) -> Option<Point>,
    swapped: impl Fn(Case, Form) -> Option<Point>,
) -> Painted {
    let root = SVGBackend::with_string(svg, SIZE_PX).into_drawing_area();
    root.fill(&WHITE)?;
    let (above, below) = root.split_vertically(SPLIT_PX);
    root.draw(&Text::new("wrong, per thousand of the eight attributes asked for", (12, 30), ink(16)))?;
    panel(&root, &above, cases, wrong)?;
    let title = "swapped, per thousand of those that another character was asked to have differently";
    root.draw(&Text::new(title, (12, 12 + SPLIT_PX as i32), ink(16)))?;
    panel(&root, &below, cases, swapped)?;
    legend(&root)?;
    root.present()?;
    Ok(())
}

/// Text of this height in pixels.
fn ink(height_px: i32) -> TextStyle<'static> {
    ("sans-serif", height_px).into_font().color(&INK)
}

/// One panel: `root` takes what the plot would cut off, in pixels of the whole chart.
fn panel(root: &Area<'_>, area: &Area<'_>, cases: &[Case], point: impl Fn(Case, Form) -> Option<Point>) -> Painted {
    let centered = |vertical| ink(13).pos(Pos::new(HPos::Center, vertical));
    let points =
        cases.iter().flat_map(|&case| Form::ALL.iter().filter_map(|&form| point(case, form)).collect::<Vec<_>>());
    let top = points.map(|point| point.high).fold(LEAST_TOP, f64::max);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .margin_top(56)
        .x_label_area_size(24)
        .y_label_area_size(40)
        // With room for the values above the intervals.
        .build_cartesian_2d(0.0..cases.len() as f64, 0.0..1.15 * top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(0)
        .y_labels(6)
        .bold_line_style(PALE)
        .light_line_style(WHITE)
        .axis_style(INK)
        .y_label_formatter(&|value: &f64| format!("{value:.1}"))
        .y_label_style(ink(13))
        .draw()?;
    for (at, &case) in cases.iter().enumerate() {
        let middle = at as f64 + 0.5;
        let (x, y) = chart.backend_coord(&(middle, 0.0));
        root.draw(&Text::new(case.title(), (x, y + 6), centered(VPos::Top)))?;
        for (number, &form) in Form::ALL.iter().enumerate() {
            let Some(Point { value, low, high }) = point(case, form) else { continue };
            let center = middle + (number as f64 - (Form::ALL.len() as f64 - 1.0) / 2.0) * GAP;
            let whisker = [
                vec![(center, low), (center, high)],
                vec![(center - WHISKER, low), (center + WHISKER, low)],
                vec![(center - WHISKER, high), (center + WHISKER, high)],
            ];
            chart.draw_series(whisker.map(|line| PathElement::new(line, color(form).stroke_width(2))))?;
            chart.draw_series([Circle::new((center, value), 5, color(form).filled())])?;
            let (x, y) = chart.backend_coord(&(center, high));
            root.draw(&Text::new(format!("{value:.1}"), (x, y - 3), centered(VPos::Bottom)))?;
        }
    }
    Ok(())
}

/// What each colour means, in the upper right corner.
fn legend(root: &Area<'_>) -> Painted {
    const WIDTH_PX: i32 = 120;
    let left = SIZE_PX.0 as i32 - WIDTH_PX * Form::ALL.len() as i32;
    for (number, &form) in (0..).zip(Form::ALL) {
        let x = left + WIDTH_PX * number;
        root.draw(&Rectangle::new([(x, 13), (x + 13, 26)], color(form).filled()))?;
        root.draw(&Text::new(form.title(), (x + 18, 13), ink(14)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Answer, FigureAnswers, Key, Record};
    use sakuga_figures::attributes::Attribute;

    fn picture(case: Case, form: Form, read: [&str; 2]) -> Record {
        let figure = |asked: &str, read: &str| FigureAnswers {
            position: "left".to_owned(),
            answers: vec![Answer { attribute: Attribute::HairColor, asked: asked.to_owned(), read: read.to_owned() }],
        };
        Record {
            key: Key { case, scene: 0, image: 0, form },
            seed: 0,
            sampling: String::new(),
            pixels_sha256: String::new(),
            figures: vec![figure("blue", read[0]), figure("pink", read[1])],
            picture: Vec::new(),
        }
    }

    #[test]
    fn there_is_a_dot_for_each_case_and_form_above_and_below() {
        let records = [
            picture(Case::TwoCrossed, Form::Xml, ["blue", "pink"]),
            picture(Case::TwoCrossed, Form::Tags, ["pink", "pink"]),
            picture(Case::UnseenTwo, Form::Xml, ["blue", "pink"]),
        ];
        let svg = draw(&Scores::count(&records)).unwrap();
        let dots = |form: Form| {
            let RGBColor(red, green, blue) = color(form);
            let color = format!("fill=\"#{red:02X}{green:02X}{blue:02X}\"");
            svg.split("<circle")
                .skip(1)
                .filter(|circle| circle.split('>').next().is_some_and(|tag| tag.contains(&color)))
                .count()
        };
        assert_eq!([Form::Xml, Form::Tags, Form::Shuffled].map(dots), [4, 2, 0]);
        for text in ["two characters, crossed", "two characters, unseen", "plain tags", "per thousand", "500.0", "0.0"]
        {
            assert!(svg.contains(text), "{text}\n{svg}");
        }
        assert!(!svg.contains("three characters"));
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{svg}");
    }
}
