//! Device times of a profiled picture, summed over layers.

use super::chart::number;
use super::figures::Figures;
use super::format;
use super::operations::{self, Operation, Span};
use super::record::{JobRecord, Profile, ProfileSpan, Record};
use super::stats::Spread;
use super::table::Table;

/// Rows of a table; the rest is summed in one row.
const ROWS_MAX: usize = 14;

impl<'a> From<&'a ProfileSpan> for Span<'a> {
    fn from(span: &'a ProfileSpan) -> Self {
        let ProfileSpan { ref network, ref name, count, ms, flops, bytes, layer: _ } = *span;
        Self { network, name, count, ms, flops, bytes }
    }
}

/// The profiled picture: the additional one, or the only one of a record of one picture.
pub(crate) fn picture(record: &Record) -> Option<&JobRecord> {
    record.profiled.iter().chain(record.jobs()).find(|job| !job.profile.is_empty())
}

/// How much longer the steps of the profiled picture took than the measured ones.
pub(crate) fn cost(record: &Record) -> Option<String> {
    let job = record.profiled.as_ref()?;
    let with = Spread::of(job.steps.iter().map(|step| step.ms))?.median;
    let without = Figures::of_run(record).step_ms?.median;
    let share = (with - without) / without;
    Some(format!(
        "Measured in an additional picture, which the other figures leave out. Its steps took {} ms ({} more).",
        number(with),
        format::percent(Some(share.max(0.0)))
    ))
}

/// One table for each part of the pipeline that was measured, with a heading.
pub(crate) fn tables(record: &Record) -> Vec<(String, Table)> {
    let Some(job) = picture(record) else { return Vec::new() };
    job.profile
        .iter()
        .filter(|profile| !profile.spans.is_empty())
        .map(|profile| (heading(profile), table(profile)))
        .collect()
}

fn heading(profile: &Profile) -> String {
    let share = (profile.wall_ms > 0.0).then(|| profile.device_ms / profile.wall_ms);
    let of =
        share.map(|share| format!(" of {} ms by the clock: {}", number(profile.wall_ms), format::percent(Some(share))));
    format!("{}: {} ms on the device{}", profile.stage, number(profile.device_ms), of.unwrap_or_default())
}

fn table(profile: &Profile) -> Table {
    let mut table = Table::new(&["operation", "times", "ms", "share", "TFLOP/s", "TB/s", "of the highest rate"]);
    let mut operations = operations::summed(&profile.spans);
    let rest = operations.split_off(operations.len().min(ROWS_MAX));
    if !rest.is_empty() {
        let mut sum = Operation { name: format!("{} more", rest.len()), ..Operation::default() };
        for operation in rest {
            sum.count += operation.count;
            sum.ms += operation.ms;
        }
        operations.push(sum);
    }
    let rate = |amount: f64, ms: f64| (amount > 0.0 && ms > 0.0).then(|| amount / (ms / 1e3));
    // The peak is measured with one product of one size, which an operation here may exceed.
    let highest = |peak: Option<f64>, amount: fn(&Operation) -> f64| {
        let rates = operations.iter().filter_map(|operation| rate(amount(operation), operation.ms));
        peak.map(|peak| rates.fold(peak, f64::max))
    };
    let peak_flops = highest(profile.peak_flops_per_second, |operation| operation.flops);
    let peak_bytes = highest(profile.peak_bytes_per_second, |operation| operation.bytes);
    for operation in &operations {
        let (flops, bytes) = (rate(operation.flops, operation.ms), rate(operation.bytes, operation.ms));
        let of_peak = |rate: Option<f64>, peak: Option<f64>| Some(rate? / peak.filter(|peak| *peak > 0.0)?);
        // The larger share is the bottleneck.
        let peak = [of_peak(flops, peak_flops), of_peak(bytes, peak_bytes)];
        let share = (profile.device_ms > 0.0).then(|| operation.ms / profile.device_ms);
        let tera = |rate: Option<f64>| rate.map(|rate| number(rate / 1e12)).unwrap_or_default();
        table.rows.push(vec![
            operation.name.clone(),
            operation.count.to_string(),
            number(operation.ms),
            format::percent(share),
            tera(flops),
            tera(bytes),
            format::percent(peak.into_iter().flatten().reduce(f64::max)),
        ]);
    }
    table.without_empty_columns()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(layer: u32, name: &str, ms: f64, flops: f64) -> ProfileSpan {
        let network = "next_dit".to_owned();
        ProfileSpan { network, layer: Some(layer), name: name.to_owned(), count: 2, ms, flops, bytes: 0.0 }
    }

    fn profile(spans: Vec<ProfileSpan>) -> Profile {
        Profile {
            stage: "denoise".to_owned(),
            device_ms: 90.0,
            wall_ms: 100.0,
            peak_flops_per_second: Some(8e14),
            peak_bytes_per_second: None,
            spans,
        }
    }

    #[test]
    fn layers_are_summed_up_and_rates_compared_with_the_peak() {
        let profile = profile(vec![
            span(0, "attention", 10.0, 4e12),
            span(0, "product", 30.0, 1.2e13),
            span(1, "attention", 10.0, 4e12),
            span(1, "norm", 1.0, 0.0),
        ]);
        assert_eq!(heading(&profile), "denoise: 90 ms on the device of 100 ms by the clock: 90 %");
        let table = table(&profile);
        assert_eq!(table.head, ["operation", "times", "ms", "share", "TFLOP/s", "of the highest rate"]);
        assert_eq!(table.rows[0], ["next_dit product", "2", "30", "33.3 %", "400", "50 %"]);
        assert_eq!(table.rows[1], ["next_dit attention", "4", "20", "22.2 %", "400", "50 %"]);
        assert_eq!(table.rows[2][4], "");
    }

    #[test]
    fn many_operations_end_in_a_sum() {
        let spans = (0..20).map(|index| span(0, &format!("operation {index}"), 1.0, 0.0)).collect();
        let rows = table(&profile(spans)).rows;
        assert_eq!(rows.len(), ROWS_MAX + 1);
        assert_eq!(rows[ROWS_MAX][..3], ["6 more", "12", "6"]);
    }
}
