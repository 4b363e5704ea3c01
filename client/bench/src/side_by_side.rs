//! Other runs of the same protocol next to the run of a report, such as those of PyTorch.

use maud::{Markup, PreEscaped, html};

use super::chart::{self, Chart};
use super::compare::{self, Line};
use super::record::Record;
use super::table::Table;
use crate::error::BenchError;
use crate::format;

/// A section with one table of all runs and a chart of ratios for each of the others; nothing without others.
///
/// # Errors
///
/// Those of [`Chart::draw`].
pub(crate) fn section(record: &Record, others: &[Record]) -> Result<Markup, BenchError> {
    if others.is_empty() {
        return Ok(html! {});
    }
    let sides: Vec<(&Record, Vec<Line>)> = others.iter().map(|other| (other, compare::lines(other, record))).collect();
    let charts = sides.iter().map(|(other, lines)| ratios(other, lines)).collect::<Result<Vec<_>, _>>()?;
    Ok(html! {
        h2 { "Compared with other runs" }
        p.soft { "Medians. The column after each other run holds the ratio of this run to it." }
        (table(&sides).to_html())
        @for ((other, _), chart) in sides.iter().zip(&charts) {
            @let differences = compare::differences(other, record);
            @if !differences.is_empty() {
                p.notice { (name(other)) " has other settings: " (differences.join("; ")) "." }
            }
            // Without the name that a chart has on its own page: there is one for each other run.
            figure { (PreEscaped(chart.inline())) }
        }
        @for other in others {
            p { b { (name(other)) } ": " (other.system.model) " on " (other.system.device) }
            pre { (other.command) }
        }
    })
}

/// The engine with its version and precision.
fn name(record: &Record) -> String {
    let system = &record.system;
    let parts = [&system.engine, &system.version, &system.precision].into_iter().filter(|part| !part.is_empty());
    parts.map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn table(sides: &[(&Record, Vec<Line>)]) -> Table {
    let names: Vec<String> = sides.iter().map(|(other, _)| name(other)).collect();
    let mut head = vec!["", "this run"];
    head.extend(names.iter().flat_map(|name| [name.as_str(), "this / it"]));
    let mut table = Table::new(&head);
    let mut known: Vec<&Line> = Vec::new();
    for line in sides.iter().flat_map(|(_, lines)| lines) {
        if known.iter().all(|other| other.name != line.name) {
            known.push(line);
        }
    }
    for Line { name, b, .. } in known {
        let mut row = vec![name.clone(), compare::reported(*b)];
        for (_, lines) in sides {
            let line = lines.iter().find(|line| line.name == *name);
            row.extend([compare::reported(line.and_then(|line| line.a)), format::ratio(line.and_then(Line::ratio))]);
        }
        table.rows.push(row);
    }
    table
}

fn ratios(other: &Record, lines: &[Line]) -> Result<Chart, BenchError> {
    let title = format!("how many times as much this run needs as {}: below 1 it is faster, or smaller", name(other));
    chart::ratios(&title, &compare::costs(lines))
}

#[cfg(test)]
mod tests {
    use super::super::protocol::Protocol;
    use super::super::record::{FORMAT, System, TextKind, TextSample};
    use super::*;

    fn record(engine: &str, ms: f64) -> Record {
        Record {
            format: FORMAT.to_owned(),
            program: "test".to_owned(),
            command: format!("run {engine}"),
            begun_unix_ms: 0,
            protocol: Protocol::default(),
            system: System { engine: engine.to_owned(), version: "2".to_owned(), ..System::default() },
            loading: Vec::new(),
            compute_paths: Vec::new(),
            cases: Vec::new(),
            texts: vec![TextSample { kind: TextKind::Cold, ms }],
            profiled: None,
        }
    }

    #[test]
    fn every_other_run_has_two_columns() {
        let ours = record("burn", 10.0);
        let (eager, mut silent) = (record("eager", 40.0), record("silent", 1.0));
        silent.texts.clear();
        let sides: Vec<_> = [&eager, &silent].map(|other| (other, compare::lines(other, &ours))).into();
        let table = table(&sides);
        assert_eq!(table.head, ["", "this run", "eager 2", "this / it", "silent 2", "this / it"]);
        assert_eq!(table.rows, [["text encoders, new text: ms", "10", "40", "0.250", "not reported", ""]]);
        let page = section(&ours, &[eager]).unwrap().into_string();
        assert!(page.contains("as eager 2: below 1") && page.contains("run eager"), "{page}");
        assert_eq!(section(&ours, &[]).unwrap().into_string(), "");
    }
}
