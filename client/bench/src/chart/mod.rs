//! The charts of a run. Values that were not reported have no chart.

mod canvas;
mod raster;
pub(crate) mod rows;
pub(crate) mod series;
mod steps;

pub use canvas::{COLORS, Chart, number};
pub use raster::{Raster, png, rasterize};

use super::figures::{Figures, Part, text_ms};
use super::record::{Record, StatsSample, TextKind};
use super::stats::bytes_f64;
use crate::error::BenchError;
use rows::Row;

/// Height of a chart over time.
const SERIES_PX: u32 = 280;
/// Bytes of a GiB.
const GIB: f64 = 1_073_741_824.0;

/// Every chart that the run has values for, in the order of the report.
///
/// # Errors
///
/// Those of [`Chart::draw`].
pub fn of_run(record: &Record) -> Result<Vec<Chart>, BenchError> {
    let mut charts = Vec::new();
    charts.extend(loading(record)?);
    charts.extend(step_times(record)?);
    charts.extend(parts(record)?);
    charts.extend(texts(record)?);
    let host = record.jobs().flat_map(|job| &job.stats).any(|sample| sample.source == "host");
    let busy = if host { "load of the host, in %" } else { "busy share of the device, in %" };
    let mut over_time = |name, title: &str, axis, range, value: fn(&StatsSample) -> Option<f64>| {
        let lines = series::lines(&record.cases, value);
        if !lines.is_empty() {
            charts.push(Chart::draw(name, title, SERIES_PX, |area| series::paint(area, &lines, axis, range))?);
        }
        Ok::<_, BenchError>(())
    };
    over_time("utilization", busy, "%", Some(0.0..105.0), |sample| sample.utilization_percent)?;
    let most = record.jobs().flat_map(|job| &job.stats).filter_map(|sample| sample.memory_used_bytes).max();
    let from_zero = 0.0..most.map_or(1.0, |most| bytes_f64(most) / GIB * 1.1).max(1e-3);
    over_time("memory", "memory in use, in GiB", "GiB", Some(from_zero), |sample| {
        sample.memory_used_bytes.map(|bytes| bytes_f64(bytes) / GIB)
    })?;
    over_time("power", "power, in W", "W", None, |sample| sample.power_watts)?;
    over_time("clock", "clock of the multiprocessors, in MHz", "MHz", None, |sample| {
        sample.sm_clock_mhz.map(f64::from)
    })?;
    over_time("pcie", "received over PCIe, in MB/s", "MB/s", None, |sample| {
        sample.pcie_receive_bytes_per_second.map(|bytes| bytes_f64(bytes) / 1e6)
    })?;
    Ok(charts)
}

/// A row for each figure with the ratio of two runs, and a line at 1.
///
/// # Errors
///
/// Those of [`Chart::draw`].
pub fn ratios(title: &str, ratios: &[(String, f64)]) -> Result<Chart, BenchError> {
    let rows: Vec<Row> = ratios
        .iter()
        .map(|(name, ratio)| Row {
            name: name.clone(),
            // Green is less, which is better for all that is compared here.
            bars: vec![(0.0, *ratio, if *ratio <= 1.0 { COLORS[2] } else { COLORS[3] })],
            value: format!("{ratio:.3}"),
            ..Row::default()
        })
        .collect();
    Chart::draw("ratios", title, rows::height_px(rows.len()), |area| {
        rows::paint(area, &rows, "times as much", Some(1.0))
    })
}

/// From the program's start to its readiness, phase by phase.
fn loading(record: &Record) -> Result<Option<Chart>, BenchError> {
    let rows: Vec<Row> = record
        .loading
        .iter()
        .zip(COLORS.iter().cycle())
        .map(|(phase, color)| {
            let seconds = phase.duration_ms / 1e3;
            let rate = if phase.bytes > 0 && seconds > 0.0 {
                format!(
                    ", {:.2} GB at {:.2} GB/s",
                    bytes_f64(phase.bytes) / 1e9,
                    bytes_f64(phase.bytes) / 1e9 / seconds
                )
            } else {
                String::new()
            };
            Row {
                name: phase.name.clone(),
                bars: vec![(phase.begin_ms / 1e3, phase.begin_ms / 1e3 + seconds, *color)],
                value: format!("{} s{rate}", number(seconds)),
                ..Row::default()
            }
        })
        .collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let title = "loading, in s from the program's start";
    Chart::draw("loading", title, rows::height_px(rows.len()), |area| rows::paint(area, &rows, "s", None)).map(Some)
}

fn step_times(record: &Record) -> Result<Option<Chart>, BenchError> {
    if record.jobs().all(|job| job.steps.is_empty()) {
        return Ok(None);
    }
    let title = "time of every step, in ms";
    Chart::draw("steps", title, steps::HEIGHT_PX, |area| steps::paint(area, &record.cases)).map(Some)
}

/// Where the time of a picture goes, a row for each case.
fn parts(record: &Record) -> Result<Option<Chart>, BenchError> {
    let mut rows = Vec::new();
    for case in &record.cases {
        let figures = Figures::of_case(case);
        let mut begin = 0.0;
        let mut bars = Vec::new();
        let mut values = Vec::new();
        for ((part, spread), color) in figures.parts.iter().zip(COLORS) {
            let Some(spread) = spread else { continue };
            bars.push((begin / 1e3, (begin + spread.median) / 1e3, color));
            values.push(format!("{} {}", part.title(), number(spread.median / 1e3)));
            begin += spread.median;
        }
        if !bars.is_empty() {
            rows.push(Row {
                name: case.title.clone(),
                bars,
                value: format!("{} s", number(begin / 1e3)),
                ..Row::default()
            });
        }
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let title = "where the time of a picture goes, medians in s";
    let height_px = rows::height_px(rows.len()) + 18;
    let chart = Chart::draw("parts", title, height_px, |area| {
        let (head, body) = area.split_vertically(18);
        canvas::legend(&head, Part::ALL.iter().map(|part| part.title()).zip(COLORS))?;
        rows::paint(&body, &rows, "s", None)
    });
    chart.map(Some)
}

/// The text encoders by what they had to do.
fn texts(record: &Record) -> Result<Option<Chart>, BenchError> {
    let rows: Vec<Row> = TextKind::ALL
        .iter()
        .zip(COLORS)
        .filter_map(|(&kind, color)| {
            let spread = text_ms(record, kind)?;
            let dots = record.texts.iter().filter(|text| text.kind == kind).map(|text| text.ms).collect();
            let value = format!("{} ms", number(spread.median));
            Some(Row { name: kind.title().to_owned(), bars: vec![(0.0, spread.median, color)], dots, value })
        })
        .collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let title = "text encoders, medians and single values in ms";
    Chart::draw("texts", title, rows::height_px(rows.len()), |area| rows::paint(area, &rows, "ms", None)).map(Some)
}
