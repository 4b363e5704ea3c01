//! The comparison as one page.

use maud::{Markup, html};

use super::charts::charts;
use super::claims::Claims;
use super::figures::is_of_host;
use super::record::{Comparison, Measured, System, system_of};
use super::rows::{bounds, sources, summary, table, texts_table};
use crate::chart::{Chart, number};
use crate::error::BenchError;
use crate::page::{figure, page, tile, time};
use crate::record::Record;
use crate::stats::bytes_f64;
use crate::table::Table;

const TITLE: &str = "NewBie and SD-Anime on one device";
/// By how much parameters may differ from the published ones, as a share: a program may hold one encoder twice.
const SIZE_TOLERANCE: f64 = 0.15;

/// The page and its charts.
///
/// # Errors
///
/// Those of [`Chart::draw`].
pub fn write(comparison: &Comparison, others: &[Record]) -> Result<(String, Vec<Chart>), BenchError> {
    let claims = Claims::of_article();
    let charts = charts(comparison, others, &claims)?;
    let sources = sources(comparison, others, &claims);
    let picture = |system: System| {
        let ours = sources.iter().find(|source| source.system == system && source.name == "ours");
        ours.and_then(|source| source.figures.picture_s).map(number).unwrap_or_default()
    };
    let claimed = |system: System| format!("claimed {} s on another card", number(claims.of(system).picture_s));
    let content = html! {
        h1 { (TITLE) }
        @for system in System::ALL { (described(system, comparison.of(system))) }
        @for other in others {
            p.soft {
                (system_of(other)) " by " (other.system.engine) " " (other.system.version) ", " (other.system.precision) ", on "
                (other.system.device) ": " (other.protocol)
                @if !other.system.notice.is_empty() { ". " (other.system.notice) }
            }
        }
        p.notice {
            "The columns named claimed are figures of the article that this comparison is from, on one " (claims.card.name)
            ". They are claims, not measurements of this program."
        }
        @for remark in remarks(comparison, &claims) { p.notice { (remark) } }
        div.tiles {
            @for system in System::ALL {
                (tile(&format!("a picture of {system}"), &picture(system), "s", &claimed(system)))
            }
        }
        h2 { "Loading, steady state and utilisation" }
        p.soft {
            "Ours: medians over all pictures after the warm-up, each system alone on the device. Busy: mean and standard deviation of "
            "the samples while steps are computed. Memory rate: bytes that operations other than large products must at least read and "
            "write, over the time of the steps; from an additional picture with a profile."
        }
        (table(comparison, others, &claims).to_html())
        (phases(comparison, &claims))
        h2 { "Prompts as XML and as text" }
        p.soft {
            "A new text shares no beginning with an earlier one. Pictures are drawn again from a text that is kept, so their times "
            "have next to no text encoding in them."
        }
        (texts_table(comparison, others, &claims).to_html())
        p.soft {
            "How often colours are swapped, and how many tries a right picture takes, is measured by `sakuga-eval compare` with models "
            "that were trained on figures whose attributes can be read. The article claims "
            (failures(&claims, "two-text")) " failures before a right picture from text, and " (failures(&claims, "two-xml")) " from XML."
        }
        h2 { "The article's summary" }
        (summary(&sources, &claims).to_html())
        h2 { "What the article's card can do" }
        p.soft {
            (claims.card.name) ": " (number(claims.card.flops_per_second / 1e12)) " TFLOP/s of dense products in bf16, "
            (number(claims.card.bytes_per_second / 1e9)) " GB/s, " (number(claims.card.host_bytes_per_second / 1e9))
            " GB/s from the host, by its data sheet. The least is what the sizes of the networks alone need at these rates."
        }
        (bounds(&claims).to_html())
        (work(&claims))
        p { (fit(&claims)) }
        h2 { "Charts" }
        @for chart in &charts { (figure(chart, "")) }
        h2 { "Made by" }
        pre { (comparison.command) }
        p.soft { (comparison.newbie.record.program) ", " (time(comparison.newbie.record.begun_unix_ms)) }
        @for other in others { pre { (other.command) } }
    };
    Ok((page(TITLE, &content), charts))
}

fn described(system: System, measured: &Measured) -> Markup {
    let record = &measured.record;
    let named = &record.system;
    html! {
        p {
            b { (system) } ": " (named.model) " on " (named.device) ", " (named.engine) " " (named.version) ", " (named.precision) ", "
            (number(parameters(record) / 1e6)) " million parameters"
        }
        p.soft { (record.protocol) @if !named.notice.is_empty() { ". " (named.notice) } }
    }
}

fn parameters(record: &Record) -> f64 {
    record.system.parameters.values().map(|count| bytes_f64(*count)).sum()
}

/// What keeps figures of the page from being comparable.
fn remarks(comparison: &Comparison, claims: &Claims) -> Vec<String> {
    let mut remarks = Vec::new();
    for system in System::ALL {
        let measured = comparison.of(system);
        let (ours, published) = (parameters(&measured.record), claims.of(system).work.parameters);
        if (ours - published).abs() > published * SIZE_TOLERANCE {
            remarks.push(format!(
                "{system}: our networks have {} million parameters and the article's {} million, so their times are not comparable.",
                number(ours / 1e6),
                number(published / 1e6)
            ));
        }
        if is_of_host(&measured.record) {
            remarks.push(format!(
                "{system}: this device has no samples of its own. Busy is the load of the host, other programs included; memory is that \
                 of the server."
            ));
        }
        if !measured.no_load.is_empty() {
            remarks.push(format!("{system}: loading was not measured: {}.", measured.no_load));
        }
    }
    remarks
}

/// The phases of the server's start, and those that are claimed.
fn phases(comparison: &Comparison, claims: &Claims) -> Markup {
    let mut table = Table::new(&["phase", "ends at, s", "GB read", "memory at its end, GB"]);
    for system in System::ALL {
        for phase in &comparison.of(system).record.loading {
            table.rows.push(vec![
                format!("{system}, ours: {}", phase.name),
                number((phase.begin_ms + phase.duration_ms) / 1e3),
                if phase.bytes > 0 { number(bytes_f64(phase.bytes) / 1e9) } else { String::new() },
                String::new(),
            ]);
        }
        for phase in &claims.of(system).loading {
            table.rows.push(vec![
                format!("{system}, claimed: {}", phase.what),
                number(phase.until_s),
                String::new(),
                number(phase.memory_gb),
            ]);
        }
    }
    html! {
        h2 { "Phases of loading" }
        p.soft { "Ours: from the start of the server, whose report names the phases of its default model." }
        (table.without_empty_columns().to_html())
    }
}

fn failures(claims: &Claims, case: &str) -> String {
    let form = claims.of(System::Newbie).form(case);
    form.and_then(|form| form.failures).map(|failures| failures.to_string()).unwrap_or_default()
}

/// The operations and weights that the bounds are made of.
fn work(claims: &Claims) -> Markup {
    let mut table = Table::new(&["part of a picture", "evaluations", "TFLOP of one", "weights of one, GB"]);
    for system in System::ALL {
        for part in &claims.of(system).work.parts {
            table.rows.push(vec![
                format!("{system}: {}", part.name),
                part.count.to_string(),
                number(part.tflop),
                number(part.parameters * 2.0 / 1e9),
            ]);
        }
    }
    html! {
        (table.to_html())
        @for system in System::ALL { p.soft { (system) ": " (claims.of(system).work.source) "." } }
    }
}

fn fit(claims: &Claims) -> String {
    let (fit, all) = claims.evaluations_that_fit(System::Newbie);
    format!(
        "{} TFLOP of NewBie's picture at the card's peak leave room for {} of {} evaluations within the claimed {} s: its author's \
         program skipped guidance on part of the steps, or drew fewer of them, or another size.",
        number(claims.of(System::Newbie).work.tflop()),
        number(fit),
        number(all),
        number(claims.of(System::Newbie).picture_s)
    )
}
