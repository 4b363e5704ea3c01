//! The charts of a comparison.

use super::claims::Claims;
use super::figures::{ArticleFigures, memory_gb};
use super::record::{Comparison, System};
use super::rows::{Source, sources};
use crate::case::CASES;
use crate::chart::rows::{Row, height_px, paint};
use crate::chart::{COLORS, Chart, number, series};
use crate::error::BenchError;
use crate::record::Record;

/// Height of a chart over time.
const SERIES_PX: u32 = 280;

/// Every chart that there are figures for.
///
/// # Errors
///
/// Those of [`Chart::draw`].
pub fn charts(comparison: &Comparison, others: &[Record], claims: &Claims) -> Result<Vec<Chart>, BenchError> {
    let sources = sources(comparison, others, claims);
    let mut charts = vec![pictures(&sources, claims)?];
    charts.extend(loading(comparison, claims)?);
    let thirds = |source: &Source| {
        let middles = source.figures.third_ranges.map(|thirds| thirds.map(|[low, high]| (low + high) / 2.0));
        [0, 1, 2].map(|third| source.figures.thirds[third].map(|mean| mean.value).or(middles.map(|all| all[third])))
    };
    let names = ["first", "second", "last"];
    let rows = grouped(&sources, |source| {
        let values = thirds(source).into_iter().zip(names);
        values.map(|(value, name)| (format!("{name} third"), value)).collect()
    });
    charts.extend(bars(
        "thirds",
        "busy share by thirds of the steps, means in % (claimed: the middle of a range)",
        "%",
        &rows,
    )?);
    let form = |what: fn(&ArticleFigures, usize) -> Option<f64>| {
        grouped(&sources, |source| {
            let cases = CASES.iter().enumerate();
            cases.map(|(place, case)| (case.title.to_owned(), what(&source.figures, place))).collect()
        })
    };
    let rows = form(|figures, place| figures.forms[place].text_ms);
    charts.extend(bars("form_texts", "text encoders, a new text in each form, medians in ms", "ms", &rows)?);
    let rows = form(|figures, place| figures.forms[place].picture_s);
    charts.extend(bars("form_pictures", "a picture of each form, medians in s", "s", &rows)?);
    Ok(charts)
}

/// Time of a picture, with the single ones as dots, and the least on the article's card.
fn pictures(sources: &[Source], claims: &Claims) -> Result<Chart, BenchError> {
    let mut rows = Vec::new();
    for system in System::ALL {
        for (place, source) in sources.iter().filter(|source| source.system == system).enumerate() {
            let Some(seconds) = source.figures.picture_s else { continue };
            rows.push(Row {
                name: format!("{system}, {}", source.name),
                bars: vec![(0.0, seconds, COLORS[place % COLORS.len()])],
                dots: source.figures.picture_range_s.map(|range| range.to_vec()).unwrap_or_default(),
                value: format!("{} s", number(seconds)),
            });
        }
        let least = claims.of(system).work.least_s(&claims.card);
        rows.push(Row {
            name: format!("{system}, least there"),
            dots: vec![least],
            value: format!("{} s on the article's card", number(least)),
            ..Row::default()
        });
    }
    let title = "a picture, medians in s; dots: the shortest and the longest";
    Chart::draw("pictures", title, height_px(rows.len()), |area| paint(area, &rows, "s", None))
}

/// Memory from the call on, with the claimed phases.
fn loading(comparison: &Comparison, claims: &Claims) -> Result<Option<Chart>, BenchError> {
    let mut lines = Vec::new();
    for (system, color) in System::ALL.into_iter().zip(COLORS) {
        let stats = comparison.of(system).load.iter().flat_map(|load| &load.stats);
        let line: Vec<(f64, f64)> = stats.filter_map(|sample| Some((sample.at_ms / 1e3, memory_gb(sample)?))).collect();
        if !line.is_empty() {
            lines.push((system.title(), color, vec![line]));
        }
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let phases = &claims.of(System::Newbie).loading;
    let claimed = phases.iter().map(|phase| (phase.until_s, phase.memory_gb)).collect();
    lines.push(("NewBie, claimed", COLORS[2], vec![claimed]));
    let most = lines.iter().flat_map(|(_, _, lines)| lines.iter().flatten()).map(|point| point.1).fold(0.0, f64::max);
    let title = "memory in use while a model is loaded, in GB";
    Chart::draw("loading_memory", title, SERIES_PX, |area| series::paint(area, &lines, "GB", Some(0.0..most * 1.1)))
        .map(Some)
}

/// Rows of each source, named by it, without those that have no value.
fn grouped(sources: &[Source], values: impl Fn(&Source) -> Vec<(String, Option<f64>)>) -> Vec<(String, f64, usize)> {
    let mut rows = Vec::new();
    for (place, source) in sources.iter().enumerate() {
        for (name, value) in values(source) {
            rows.extend(value.map(|value| (format!("{}, {}: {name}", source.system, source.name), value, place)));
        }
    }
    rows
}

fn bars(
    name: &'static str,
    title: &str,
    unit: &str,
    rows: &[(String, f64, usize)],
) -> Result<Option<Chart>, BenchError> {
    if rows.is_empty() {
        return Ok(None);
    }
    let rows: Vec<Row> = rows
        .iter()
        .map(|(name, value, place)| Row {
            name: name.clone(),
            bars: vec![(0.0, *value, COLORS[place % COLORS.len()])],
            value: format!("{} {unit}", number(*value)),
            ..Row::default()
        })
        .collect();
    Chart::draw(name, title, height_px(rows.len()), |area| paint(area, &rows, unit, None)).map(Some)
}
