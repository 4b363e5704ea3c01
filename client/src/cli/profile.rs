//! The device times of a job, as a table.

use std::fmt::Write as _;

use sakuga_bench::operations::{self, Operation};
use sakuga_client::proto::generation::v1::Profile;
use sakuga_client::proto::text::one_line;
use sakuga_client::stage_name;

use super::output::column_width;

/// Operations of a stage that have their own line; the others share one.
const LINES: usize = 8;

/// The table; empty if there are no profiles.
pub(crate) fn table(profiles: &[Profile]) -> String {
    let mut rows = Vec::new();
    for profile in profiles {
        let stage = stage_name(profile.stage());
        if profile.spans.is_empty() {
            rows.push([stage.to_owned(), "not measured on this device".to_owned(), ms(profile.wall_ms), String::new()]);
            continue;
        }
        let device_ms = profile.device_ms.max(f64::MIN_POSITIVE);
        let mut operations = operations::summed(&profile.spans);
        let others: f64 = operations.split_off(operations.len().min(LINES)).iter().map(|operation| operation.ms).sum();
        rows.push([stage.to_owned(), "all on the device".to_owned(), ms(profile.device_ms), of(profile)]);
        for operation in &operations {
            let share = operation.ms / device_ms;
            let name = format!("  {}", one_line(&operation.name));
            rows.push([
                String::new(),
                name,
                ms(operation.ms),
                format!("{}{}", percent(share), rate(operation, profile)),
            ]);
        }
        if others > 0.0 {
            rows.push([String::new(), "  others".to_owned(), ms(others), percent(others / device_ms)]);
        }
    }
    let width = |column: usize| column_width(rows.iter().map(|row: &[String; 4]| row[column].as_str()));
    let widths = [width(0), width(1), width(2)];
    rows.iter().fold(String::new(), |mut text, [stage, operation, ms, rest]| {
        let line = format!("{stage:0$}  {operation:1$}  {ms:>2$}  {rest}", widths[0], widths[1], widths[2]);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
        text
    })
}

/// `, 84.0 TFLOP/s, 42 % of the peak`: the rate of an operation, if its work is known.
fn rate(operation: &Operation, profile: &Profile) -> String {
    let seconds = operation.ms / 1e3;
    let (amount, unit, peak) = if operation.flops > 0.0 {
        (operation.flops, "TFLOP/s", profile.peak_flops_per_second)
    } else {
        (operation.bytes, "TB/s", profile.peak_bytes_per_second)
    };
    if amount <= 0.0 || seconds <= 0.0 {
        return String::new();
    }
    let rate = amount / seconds;
    let of_peak = peak.filter(|peak| *peak > 0.0).map(|peak| format!(", {} of the peak", percent(rate / peak).trim()));
    format!(", {:.2} {unit}{}", rate / 1e12, of_peak.unwrap_or_default())
}

/// The device's share of the host's time.
fn of(profile: &Profile) -> String {
    format!("of {} by the host's clock", ms(profile.wall_ms))
}

fn ms(ms: f64) -> String {
    format!("{ms:.2} ms")
}

fn percent(share: f64) -> String {
    format!("{:3.0} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sakuga_client::proto::generation::v1::{ProfileSpan, Stage};

    fn span(layer: u32, name: &str, ms: f64, flops: f64, bytes: f64) -> ProfileSpan {
        ProfileSpan { network: "next_dit".into(), layer: Some(layer), name: name.into(), count: 4, ms, flops, bytes }
    }

    #[test]
    fn layers_are_summed_up_and_the_longest_come_first() {
        let denoise = Profile {
            stage: Stage::Denoise.into(),
            spans: vec![
                span(0, "norm", 1.0, 0.0, 1e9),
                span(0, "attention", 2.0, 4e11, 0.0),
                span(1, "attention", 2.0, 4e11, 0.0),
                span(1, "copy", 1.0, 0.0, 0.0),
            ],
            device_ms: 6.0,
            wall_ms: 8.0,
            peak_flops_per_second: Some(400e12),
            peak_bytes_per_second: None,
        };
        let decode = Profile { stage: Stage::Decode.into(), wall_ms: 3.0, ..Profile::default() };
        let expected = "\
denoise  all on the device            6.00 ms  of 8.00 ms by the host's clock
           next_dit attention         4.00 ms   67 %, 200.00 TFLOP/s, 50 % of the peak
           next_dit norm              1.00 ms   17 %, 1.00 TB/s
           next_dit copy              1.00 ms   17 %
decode   not measured on this device  3.00 ms
";
        assert_eq!(table(&[denoise, decode]), expected);
        assert_eq!(table(&[]), "");
        let long = "x".repeat(100_000);
        let profile = Profile { spans: vec![span(0, &long, 1.0, 0.0, 0.0)], device_ms: 1.0, ..Profile::default() };
        assert!(table(&[profile]).contains(&format!("next_dit {long}  1.00 ms")), "a name of any length is printed");
    }

    #[test]
    fn the_other_operations_share_a_line() {
        let spans = (0..10).map(|number| span(0, &format!("op {number}"), 1.0, 0.0, 0.0)).collect();
        let profile = Profile { spans, device_ms: 10.0, wall_ms: 10.0, ..Profile::default() };
        let table = table(&[profile]);
        assert_eq!(table.lines().count(), 1 + LINES + 1);
        assert!(table.ends_with("others            2.00 ms   20 %\n"), "{table}");
    }
}
