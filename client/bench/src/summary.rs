//! The figures of a run by case, as tables for the terminal and the report.

use super::figures::{Figures, Part, text_ms};
use super::format;
use super::record::{Record, TextKind};
use super::stats::Spread;
use super::table::Table;

/// The times: one row a case, and one for all if there are several.
pub fn times(record: &Record) -> Table {
    let head = [
        "case",
        "step, ms",
        "IQR/median",
        "p99/median",
        "picture, s",
        "text, ms",
        "steps, s",
        "decoder, ms",
        "PNG, ms",
    ];
    by_case(record, &head, |figures| {
        let part = |part: Part, unit: f64| format::median(part_of(figures, part), unit);
        vec![
            format::quartiles(figures.step_ms, 1.0),
            format::percent(figures.step_ms.and_then(|spread| spread.quartile_jitter())),
            format::ratio(figures.step_ms.and_then(|spread| spread.tail_jitter())),
            format::quartiles(figures.picture_ms, 1e3),
            part(Part::TextEncode, 1.0),
            part(Part::Denoise, 1e3),
            part(Part::Decode, 1.0),
            part(Part::EncodeImage, 1.0),
        ]
    })
}

/// The device: one row a case, and one for all if there are several.
pub fn device(record: &Record) -> Table {
    let head = [
        "case",
        "busy, %",
        "memory bus, %",
        "range of memory, MiB",
        "range of the server's memory, MiB",
        "W",
        "J a picture",
        "PCIe in, MB/s",
        "PCIe out, MB/s",
    ];
    by_case(record, &head, |figures| {
        vec![
            format::mean(figures.utilization_percent, 1.0),
            format::mean(figures.memory_utilization_percent, 1.0),
            format::mib(figures.memory_movement_bytes),
            format::mib(figures.process_memory_movement_bytes),
            format::mean(figures.power_watts, 1.0),
            format::median(figures.energy_joules, 1.0),
            format::mean(figures.pcie_receive, 1e6),
            format::mean(figures.pcie_send, 1e6),
        ]
    })
}

fn by_case(record: &Record, head: &[&str], cells: impl Fn(&Figures) -> Vec<String>) -> Table {
    let mut table = Table::new(head);
    let mut add = |name: &str, figures: &Figures| {
        let mut row = vec![name.to_owned()];
        row.extend(cells(figures));
        table.rows.push(row);
    };
    for case in &record.cases {
        add(&case.title, &Figures::of_case(case));
    }
    if record.cases.len() > 1 {
        add("all", &Figures::of_run(record));
    }
    table.without_empty_columns()
}

/// One row for each kind of text.
pub fn texts(record: &Record) -> Table {
    let mut table = Table::new(&["text encoders", "ms, median (quartiles)", "least", "most", "texts"]);
    for kind in TextKind::ALL {
        let Some(spread) = text_ms(record, kind) else { continue };
        let Spread { min, max, count, .. } = spread;
        let [min, max] = [min, max].map(super::chart::number);
        table.rows.push(vec![
            kind.title().to_owned(),
            format::quartiles(Some(spread), 1.0),
            min,
            max,
            count.to_string(),
        ]);
    }
    table
}

/// The time of a part.
pub fn part_of(figures: &Figures, wanted: Part) -> Option<Spread> {
    figures.parts.iter().find(|(part, _)| *part == wanted).and_then(|(_, spread)| *spread)
}
