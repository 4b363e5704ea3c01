//! The report: one page with everything, the key figures first.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use maud::{Markup, html};

use super::chart::{self, Chart};
use super::figures::{self, Figures};
use super::page::{figure, page, tile, time};
use super::record::Record;
use super::stats::bytes_f64;
use super::table::Table;
use super::{format, profile, side_by_side, summary};
use crate::error::BenchError;

/// A picture on the page.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its kind, such as `image/png`.
    pub media_type: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
    /// Its alternative text.
    pub name: String,
}

/// The pictures of a job, as far as they are available.
#[derive(Clone, Debug, Default)]
pub struct Pictures {
    /// The finished picture; `None` if the report shows none.
    pub result: Option<Shown>,
    /// The previews in order.
    pub previews: Vec<Shown>,
}

/// The report as HTML.
///
/// # Errors
///
/// Those of [`Chart::draw`].
pub fn write(record: &Record, charts: &[Chart], pictures: &Pictures, others: &[Record]) -> Result<String, BenchError> {
    let figures = Figures::of_run(record);
    let system = &record.system;
    let texts = summary::texts(record);
    let others = side_by_side::section(record, others)?;
    let content = html! {
        h1 { (system.model) " on " (system.device) }
        p.soft { (record.protocol) }
        p.soft { (engine(record)) }
        @if !system.notice.is_empty() { p.notice { (system.notice) } }
        @if let Some(result) = &pictures.result { p { (shown(result, "picture")) } }
        @if !pictures.previews.is_empty() {
            p.soft { "Its previews, from the first to the last:" }
            div.strip { @for preview in &pictures.previews { (shown(preview, "")) } }
        }
        (tiles(&figures))
        h2 { "Cases" }
        p.soft { "Medians, with quartiles in parentheses." }
        (summary::times(record).to_html())
        @let device = summary::device(record);
        @if device.head.len() > 1 {
            p.soft { "Means with the standard deviation, of the samples while steps are computed. Range of memory: maximum "
                "minus minimum over all measured pictures." }
            (device.to_html())
        }
        (others)
        @for chart in charts { (figure(chart, caption(chart.name))) }
        @if !texts.rows.is_empty() { h2 { "Text encoders" } (texts.to_html()) }
        @let profiles = profile::tables(record);
        @if !profiles.is_empty() {
            h2 { "Where the device's time goes" }
            @if let Some(cost) = profile::cost(record) { p.soft { (cost) } }
            @for (heading, table) in &profiles { p { (heading) } (table.to_html()) }
        }
        @if !record.compute_paths.is_empty() { h2 { "How it is computed" } (compute_paths(record).to_html()) }
        (not_reported(record, &figures))
        h2 { "Made by" }
        pre { (record.command) }
        p.soft { (record.program) ", " (time(record.begun_unix_ms)) ". `sakuga bench --out FOLDER` writes every sample to run.json." }
    };
    Ok(page(&format!("{} on {}", system.model, system.device), &content))
}

fn engine(record: &Record) -> String {
    let system = &record.system;
    let parameters: u64 = system.parameters.values().sum();
    let mut parts = vec![format!("{} {}", system.engine, system.version)];
    parts.extend((!system.precision.is_empty()).then(|| system.precision.clone()));
    parts.extend((parameters > 0).then(|| format!("{:.1} million parameters in all", bytes_f64(parameters) / 1e6)));
    parts.join(", ")
}

fn tiles(figures: &Figures) -> Markup {
    let step = figures.step_ms;
    let quartiles = |spread: Option<super::stats::Spread>, unit: f64| {
        let text = |spread: super::stats::Spread| {
            let [low, high] = [spread.lower_quartile, spread.upper_quartile].map(|value| chart::number(value / unit));
            match spread.count {
                1 => "one value".to_owned(),
                count => format!("median of {count}, quartiles {low} and {high}"),
            }
        };
        spread.map(text).unwrap_or_default()
    };
    let tail = step.and_then(|spread| spread.tail_jitter());
    let samples = figures.utilization_percent.map(|spread| format!("mean ± deviation of {} samples", spread.count));
    html! {
        div.tiles {
            (tile("one step", &format::median(step, 1.0), "ms", &quartiles(step, 1.0)))
            (tile("one picture", &format::median(figures.picture_ms, 1e3), "s", &quartiles(figures.picture_ms, 1e3)))
            (tile("busy", &format::mean(figures.utilization_percent, 1.0), "%", &samples.unwrap_or_default()))
            (tile("range of memory in use", &format::mib(figures.memory_movement_bytes), "MiB", &match figures.memory_max_bytes {
                Some(_) => format!("at most {} MiB in use", format::mib(figures.memory_max_bytes)),
                None => String::new(),
            }))
            (tile("jitter of steps", &format::percent(step.and_then(|spread| spread.quartile_jitter())), "",
                &format!("interquartile range / median; p99 is {} medians", format::ratio(tail))))
            (tile("energy of a picture", &format::median(figures.energy_joules, 1.0), "J",
                &format!("at {} W", format::mean(figures.power_watts, 1.0))))
        }
    }
}

fn shown(picture: &Shown, class: &str) -> Markup {
    let data = format!("data:{};base64,{}", picture.media_type, BASE64_STANDARD.encode(&picture.bytes));
    html! { img class=(class) src=(data) alt=(picture.name); }
}

fn caption(chart: &str) -> &'static str {
    match chart {
        "steps" => "Left: a dot for every step, by its index. Right: all steps of a case together.",
        "parts" => "From the acceptance of the request, without the time in the queue.",
        "texts" => {
            "A new text shares no prefix with an earlier one; a text with a new last tag shares all but that tag."
        }
        "utilization" => "A line for every measured picture; between them the server was idle.",
        _ => "",
    }
}

fn compute_paths(record: &Record) -> Table {
    let mut table = Table::new(&["operation", "computed by", "why not the fast one"]);
    for path in &record.compute_paths {
        table.rows.push(vec![path.operation.clone(), path.implementation.clone(), path.reason.clone()]);
    }
    table.without_empty_columns()
}

/// Figures of the report that the server did not report.
fn not_reported(record: &Record, figures: &Figures) -> Markup {
    let missing: Vec<&str> = [
        (record.loading.is_empty(), "phases of loading"),
        (record.compute_paths.is_empty(), "compute paths"),
        (figures::text_ms(record, super::record::TextKind::Cold).is_none(), "times of the text encoders alone"),
        (figures.utilization_percent.is_none(), "utilisation"),
        (figures.memory_movement_bytes.is_none(), "memory"),
        (figures.power_watts.is_none(), "power"),
        (figures.energy_joules.is_none(), "energy"),
        (figures.pcie_receive.is_none(), "PCIe rates"),
        (profile::picture(record).is_none(), "a profile of the device's time"),
    ]
    .into_iter()
    .filter_map(|(is_missing, name)| is_missing.then_some(name))
    .collect();
    html! { @if !missing.is_empty() { h2 { "Not reported by this server" } p { (missing.join(", ")) "." } } }
}
