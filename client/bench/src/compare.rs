//! Compares two runs: the figures of each, their ratios, and the settings in which they differ.

use std::collections::{BTreeMap, BTreeSet};

use maud::html;

use super::chart::{self, Chart};
use super::figures::{Figures, Part, loading_ms, text_ms};
use super::page::{figure, page};
use super::record::{CaseRecord, Record, TextKind};
use super::summary::part_of;
use super::table::Table;
use crate::error::BenchError;
use crate::format;

/// By how much the parameters of one network may differ between two programs, as a share.
const SIZE_TOLERANCE: f64 = 0.01;

/// One figure of both runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its name, with the unit.
    pub name: String,
    /// The first run's figure.
    pub a: Option<f64>,
    /// The second run's.
    pub b: Option<f64>,
    /// Whether less of it is better.
    pub is_cost: bool,
}

impl Line {
    /// The second over the first, where both are there.
    pub fn ratio(&self) -> Option<f64> {
        let (a, b) = (self.a?, self.b?);
        (a > 0.0).then(|| b / a)
    }
}

/// Every setting, network size or prompt in which two runs differ, so that their figures cannot be compared.
pub fn differences(a: &Record, b: &Record) -> Vec<String> {
    let mut found = a.protocol.differences(&b.protocol);
    found.extend(network_differences(&a.system.parameters, &b.system.parameters));
    for case in &a.cases {
        if twin(b, case).is_some_and(|twin| twin.prompt != case.prompt) {
            found.push(format!("the prompt of the case {}", case.name));
        }
    }
    if a.cases.iter().all(|case| twin(b, case).is_none()) {
        found.push("the cases: none is in both".to_owned());
    }
    found
}

/// The networks whose sizes differ by more than programs count differently, and the largest network of each run if the
/// other run does not have it. Empty if a run does not state its networks.
fn network_differences(a: &BTreeMap<String, u64>, b: &BTreeMap<String, u64>) -> Vec<String> {
    if a.is_empty() || b.is_empty() {
        return Vec::new();
    }
    let largest = [a, b].map(|parts| parts.iter().max_by_key(|(_, count)| **count).map(|(name, _)| name));
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let text = |count: Option<&u64>| count.map_or_else(|| "none".to_owned(), u64::to_string);
    let differs = |name: &String| match (a.get(name), b.get(name)) {
        (Some(a), Some(b)) => {
            let (a, b) = (super::stats::bytes_f64(*a), super::stats::bytes_f64(*b));
            (a - b).abs() > a.max(b) * SIZE_TOLERANCE
        }
        // One program may leave out a small part, such as the decoder of previews.
        _ => largest.contains(&Some(name)),
    };
    let differing = names.into_iter().filter(|name| differs(name));
    differing.map(|name| format!("parameters of {name}: {} and {}", text(a.get(name)), text(b.get(name)))).collect()
}

fn twin<'a>(record: &'a Record, case: &CaseRecord) -> Option<&'a CaseRecord> {
    record.cases.iter().find(|other| other.name == case.name)
}

/// Every figure of either run, in the order of the page.
pub fn lines(a: &Record, b: &Record) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |name: String, a: Option<f64>, b: Option<f64>, is_cost: bool| {
        if a.is_some() || b.is_some() {
            lines.push(Line { name, a, b, is_cost });
        }
    };
    for case in &a.cases {
        let Some(twin) = twin(b, case) else { continue };
        let (first, second) = (Figures::of_case(case), Figures::of_case(twin));
        let name = |what: &str| format!("{}: {what}", case.title);
        let median = |spread: Option<super::stats::Spread>, unit: f64| spread.map(|spread| spread.median / unit);
        add(name("step, ms"), median(first.step_ms, 1.0), median(second.step_ms, 1.0), true);
        // Without queue and PNG, which only one side may have.
        add(name("text to pixels, s"), median(first.pixels_ms, 1e3), median(second.pixels_ms, 1e3), true);
        for (part, what) in [(Part::TextEncode, "text, ms"), (Part::Decode, "decoder, ms")] {
            // After the first picture, the encoded text of a case comes from the cache.
            let is_cost = part == Part::Decode;
            add(name(what), median(part_of(&first, part), 1.0), median(part_of(&second, part), 1.0), is_cost);
        }
        let (first_j, second_j) = (first.energy_joules, second.energy_joules);
        add(name("energy, J"), median(first_j, 1.0), median(second_j, 1.0), true);
    }
    for kind in TextKind::ALL {
        let of = |record| text_ms(record, kind).map(|spread| spread.median);
        // A program that keeps no texts encodes each one again, so there is nothing to compare.
        let is_cost = kind == TextKind::Cold;
        add(format!("text encoders, {}: ms", kind.title()), of(a), of(b), is_cost);
    }
    add("loading, s".to_owned(), loading_ms(a).map(|ms| ms / 1e3), loading_ms(b).map(|ms| ms / 1e3), true);
    let (first, second) = (Figures::of_run(a), Figures::of_run(b));
    let mean = |spread: Option<super::stats::Spread>| spread.map(|spread| spread.mean);
    add("busy, mean %".to_owned(), mean(first.utilization_percent), mean(second.utilization_percent), false);
    let deviation = |figures: &Figures| figures.utilization_percent.map(|spread| spread.deviation);
    add("busy, deviation in points".to_owned(), deviation(&first), deviation(&second), false);
    let jitter =
        |figures: &Figures| figures.step_ms.and_then(|spread| spread.quartile_jitter()).map(|share| share * 100.0);
    add("jitter of steps, IQR/median in %".to_owned(), jitter(&first), jitter(&second), false);
    let gib = |bytes: Option<u64>| bytes.map(|bytes| super::stats::bytes_f64(bytes) / 1_073_741_824.0);
    add("most memory in use, GiB".to_owned(), gib(first.memory_max_bytes), gib(second.memory_max_bytes), true);
    let mib = |bytes: Option<u64>| bytes.map(|bytes| super::stats::bytes_f64(bytes) / 1_048_576.0);
    let (first, second) = (first.memory_movement_bytes, second.memory_movement_bytes);
    add("range of memory in use, MiB".to_owned(), mib(first), mib(second), false);
    lines
}

/// A figure in a table of several runs, where an absent one is named.
pub fn reported(value: Option<f64>) -> String {
    value.map_or_else(|| "not reported".to_owned(), chart::number)
}

/// One row for each line: its name, the values of A and B, and B / A.
pub fn table(lines: &[Line]) -> Table {
    let mut table = Table::new(&["", "A", "B", "B / A"]);
    for line in lines {
        table.rows.push(vec![line.name.clone(), reported(line.a), reported(line.b), format::ratio(line.ratio())]);
    }
    table
}

/// The ratios of the costs as a chart.
///
/// # Errors
///
/// Those of [`Chart::draw`].
pub fn chart(lines: &[Line]) -> Result<Chart, BenchError> {
    chart::ratios("how many times as much B needs as A: below 1 it is faster, or smaller", &costs(lines))
}

/// The ratios of the figures of which less is better.
pub fn costs(lines: &[Line]) -> Vec<(String, f64)> {
    lines.iter().filter(|line| line.is_cost).filter_map(|line| Some((line.name.clone(), line.ratio()?))).collect()
}

/// The comparison as one HTML page: differences of the settings, the table, the chart and the command that made it.
pub fn html(a: &Record, b: &Record, lines: &[Line], chart: &Chart, differences: &[String], command: &str) -> String {
    let side = |name: &str, record: &Record| {
        let system = &record.system;
        html! {
            p { b { (name) } ": " (system.model) " on " (system.device) ", " (system.engine) " " (system.version) ", " (system.precision) }
            p.soft { (record.protocol) }
        }
    };
    let content = html! {
        h1 { "Two runs side by side" }
        (side("A", a))
        (side("B", b))
        @if !differences.is_empty() {
            p.notice { "They differ in their settings: " (differences.join("; ")) "." }
        }
        (figure(chart, "Medians. Figures that are not a cost, such as the busy share, are in the table alone."))
        (table(lines).to_html())
        h2 { "Made by" }
        pre { (command) }
    };
    page("Two runs side by side", &content)
}

#[cfg(test)]
mod tests {
    use super::super::protocol::Protocol;
    use super::super::record::{FORMAT, JobRecord, StepSample, System, TextSample, Timings};
    use super::*;
    use sakuga_proto::generation::v1::{GenerateRequest, Sampling};

    fn record(step_ms: f64) -> Record {
        let step = StepSample { index: 1, ms: step_ms, at_ms: 0.0, guided: true };
        let timings = Timings { denoise_ms: 10.0 * step_ms, total_ms: 9e9, ..Timings::default() };
        let job = JobRecord { steps: vec![step], timings, ..JobRecord::default() };
        Record {
            format: FORMAT.to_owned(),
            program: "test".to_owned(),
            command: "test".to_owned(),
            begun_unix_ms: 0,
            protocol: Protocol::of(Some(&GenerateRequest {
                width: 256,
                height: 256,
                sampling: Some(Sampling { steps: 20, ..Sampling::default() }),
                ..GenerateRequest::default()
            })),
            system: System::default(),
            loading: Vec::new(),
            compute_paths: Vec::new(),
            cases: vec![CaseRecord {
                name: "two-xml".to_owned(),
                title: "two".to_owned(),
                prompt: "1girl".to_owned(),
                warmup: Vec::new(),
                repeats: vec![job],
            }],
            texts: vec![TextSample { kind: TextKind::Cold, ms: 30.0 }],
            profiled: None,
        }
    }

    #[test]
    fn ratios_are_second_over_first() {
        let (a, b) = (record(200.0), record(100.0));
        let lines = lines(&a, &b);
        let line = |name: &str| lines.iter().find(|line| line.name == name).unwrap();
        assert_eq!(line("two: step, ms").ratio(), Some(0.5));
        assert_eq!(
            line("two: text to pixels, s"),
            &Line { name: "two: text to pixels, s".into(), a: Some(2.0), b: Some(1.0), is_cost: true }
        );
        assert_eq!(line("text encoders, new text: ms").ratio(), Some(1.0));
        assert!(lines.iter().all(|line| !line.name.contains("energy")), "a figure that neither reported is left out");
        let rows = table(&lines).rows;
        assert_eq!(rows[0], ["two: step, ms", "200", "100", "0.500"]);
        let svg = chart(&lines).unwrap().file();
        assert!(svg.contains("0.500") && svg.contains("two: step, ms"), "{svg}");
    }

    #[test]
    fn a_figure_of_one_side_has_no_ratio() {
        let (a, mut b) = (record(200.0), record(100.0));
        b.texts.clear();
        let lines = lines(&a, &b);
        let text = lines.iter().find(|line| line.name.starts_with("text encoders")).unwrap();
        assert_eq!((text.ratio(), table(std::slice::from_ref(text)).rows[0][2].as_str()), (None, "not reported"));
    }

    #[test]
    fn different_runs_are_recognised() {
        let (a, mut b) = (record(200.0), record(100.0));
        assert_eq!(differences(&a, &b), [""; 0]);
        b.protocol.repeats = 9;
        assert_eq!(differences(&a, &b), [""; 0], "more repeats are the same work");
        b.protocol.request.sampling.get_or_insert_default().steps = 28;
        b.protocol.request.width = 512;
        b.cases[0].prompt.push('s');
        b.system.parameters.insert("next_dit".to_owned(), 1_000);
        assert_eq!(differences(&a, &b).len(), 3, "one side does not report parameters");
        let mut sized = a.clone();
        sized.system.parameters.insert("next_dit".to_owned(), 1_005);
        assert_eq!(differences(&sized, &b).len(), 3);
        sized.system.parameters.insert("next_dit".to_owned(), 3_000);
        assert_eq!(differences(&sized, &b)[3], "the prompt of the case two-xml");
        assert_eq!(differences(&sized, &b)[2], "parameters of next_dit: 3000 and 1000");
        sized.system.parameters = [("unet".to_owned(), 5_000), ("next_dit".to_owned(), 1_000)].into();
        assert_eq!(differences(&sized, &b)[2], "parameters of unet: 5000 and none");
        sized.system.parameters = [("tiny_decoder".to_owned(), 10), ("next_dit".to_owned(), 1_000)].into();
        assert_eq!(differences(&sized, &b).len(), 3, "a small part that one side does not count");
        let expected = ["sampling.steps: 20 and 28", "width: 256 and 512", "the prompt of the case two-xml"];
        assert_eq!(differences(&a, &b), expected);
        b.cases[0].name = "other".to_owned();
        assert!(differences(&a, &b).contains(&"the cases: none is in both".to_owned()));
    }
}
