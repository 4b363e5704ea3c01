//! The report: one page that holds everything, its figures first.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use maud::{Markup, html};

use super::chart::{self, Chart};
use super::figures::{self, Figures};
use super::page::{figure, page, tile, time};
use super::record::Record;
use super::stats::bytes_f64;
use super::table::Table;
use super::{beside, profile, summary, words};
use crate::cli::failure::Failure;

/// A picture to be shown on the page.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its kind, such as `image/png`.
    pub media_type: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
    /// What it shows, in words.
    pub name: String,
}

/// What was drawn, where it is at hand.
#[derive(Clone, Debug, Default)]
pub struct Pictures {
    /// The result.
    pub result: Option<Shown>,
    /// The previews, the first first.
    pub previews: Vec<Shown>,
}

/// The report as HTML.
///
/// # Errors
///
/// Those of [`Chart::draw`].
pub fn write(record: &Record, charts: &[Chart], pictures: &Pictures, others: &[Record]) -> Result<String, Failure> {
    let figures = Figures::of_run(record);
    let system = &record.system;
    let texts = summary::texts(record);
    let beside = beside::section(record, others)?;
    let content = html! {
        h1 { (system.model) " on " (system.device) }
        p.soft { (protocol(record)) }
        p.soft { (engine(record)) }
        @if !system.notice.is_empty() { p.notice { (system.notice) } }
        (tiles(&figures))
        @if pictures.result.is_some() || !pictures.previews.is_empty() {
            h2 { "What was drawn" }
            @if !pictures.previews.is_empty() { div.strip { @for preview in &pictures.previews { (shown(preview, "")) } } }
            @if let Some(result) = &pictures.result { p { (shown(result, "picture")) } }
        }
        h2 { "Cases" }
        p.soft { "Medians, with quartiles in brackets." }
        (summary::times(record).to_html())
        @let device = summary::device(record);
        @if device.head.len() > 1 {
            p.soft { "Means with the standard deviation, of the samples while steps are computed. Memory: most less least, "
                "over all pictures that count." }
            (device.to_html())
        }
        (beside)
        @for chart in charts { (figure(chart, caption(chart.name))) }
        @if !texts.rows.is_empty() { h2 { "Text encoders" } (texts.to_html()) }
        @let profiles = profile::tables(record);
        @if !profiles.is_empty() {
            h2 { "Where the device's time goes" }
            @if let Some(cost) = profile::cost(record) { p.soft { (cost) } }
            @for (heading, table) in &profiles { p { (heading) } (table.to_html()) }
        }
        @if !record.compute_paths.is_empty() { h2 { "How it is computed" } (compute_paths(record).to_html()) }
        (not_told(record, &figures))
        h2 { "Made by" }
        pre { (record.command) }
        p.soft { (record.program) ", " (time(record.begun_unix_ms)) ". Every sample is in run.json." }
    };
    Ok(page(&format!("{} on {}", system.model, system.device), &content))
}

/// What was asked for: `1024 x 1024, 28 steps (euler), guidance 5, ...`.
pub fn protocol(record: &Record) -> String {
    let protocol = &record.protocol;
    format!(
        "{} x {} px, {} steps ({}), guidance {}, shift {}; {} of each case after {} for warm-up, seeds from {}",
        protocol.width_px,
        protocol.height_px,
        protocol.steps,
        protocol.solver,
        protocol.guidance_scale,
        protocol.shift,
        if protocol.repeats == 1 { "1 picture".to_owned() } else { format!("{} pictures", protocol.repeats) },
        protocol.warmup,
        protocol.seed,
    )
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
    let beside = |spread: Option<super::stats::Spread>, unit: f64| {
        let text = |spread: super::stats::Spread| {
            let [low, high] = [spread.lower_quartile, spread.upper_quartile].map(|value| chart::number(value / unit));
            format!("median of {}, quartiles {low} and {high}", spread.count)
        };
        spread.map(text).unwrap_or_default()
    };
    let tail = step.and_then(|spread| spread.tail_jitter());
    let samples = figures.utilization_percent.map(|spread| format!("mean ± deviation of {} samples", spread.count));
    html! {
        div.tiles {
            (tile("one step", &words::median(step, 1.0), "ms", &beside(step, 1.0)))
            (tile("one picture", &words::median(figures.picture_ms, 1e3), "s", &beside(figures.picture_ms, 1e3)))
            (tile("busy", &words::mean(figures.utilization_percent, 1.0), "%", &samples.unwrap_or_default()))
            (tile("memory moves", &words::mib(figures.memory_movement_bytes), "MiB", &match figures.memory_max_bytes {
                Some(_) => format!("at most {} MiB in use", words::mib(figures.memory_max_bytes)),
                None => String::new(),
            }))
            (tile("jitter of steps", &words::percent(step.and_then(|spread| spread.quartile_jitter())), "",
                &format!("IQR/median; p99 is {} medians", words::ratio(tail))))
            (tile("energy of a picture", &words::median(figures.energy_joules, 1.0), "J",
                &format!("at {} W", words::mean(figures.power_watts, 1.0))))
        }
    }
}

fn shown(picture: &Shown, class: &str) -> Markup {
    let data = format!("data:{};base64,{}", picture.media_type, BASE64_STANDARD.encode(&picture.bytes));
    html! { img class=(class) src=(data) alt=(picture.name); }
}

fn caption(chart: &str) -> &'static str {
    match chart {
        "steps" => "Left: a dot for every step, by its place in the picture. Right: all steps of a case together.",
        "parts" => "From the request's acceptance; the queue is left out.",
        "texts" => {
            "A new text shares no beginning with one before; of a text with a new last tag the beginning is known."
        }
        "utilization" => "A line for every picture that counts; between them nothing was asked for.",
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

/// What the report would show and nobody told.
fn not_told(record: &Record, figures: &Figures) -> Markup {
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
    html! { @if !missing.is_empty() { h2 { "Not told by this server" } p { (missing.join(", ")) "." } } }
}
