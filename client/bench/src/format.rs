//! Figures as text, for the report and the terminal. An absent figure is an empty text.

use super::chart::number;
use super::stats::{Spread, bytes_f64};

/// Bytes of a MiB.
const MIB: f64 = 1_048_576.0;

pub(crate) fn median(spread: Option<Spread>, unit: f64) -> String {
    spread.map(|spread| number(spread.median / unit)).unwrap_or_default()
}

/// The median with its quartiles, `117.5 (116.4 to 119)`; a single value without.
pub(crate) fn quartiles(spread: Option<Spread>, unit: f64) -> String {
    let text = |spread: Spread| {
        let [low, median, high] =
            [spread.lower_quartile, spread.median, spread.upper_quartile].map(|value| number(value / unit));
        if spread.count == 1 { median } else { format!("{median} ({low} to {high})") }
    };
    spread.map(text).unwrap_or_default()
}

/// Mean and standard deviation, `98.2 ± 1.4`; a single value without.
pub(crate) fn mean(spread: Option<Spread>, unit: f64) -> String {
    let text = |spread: Spread| match spread.count {
        1 => number(spread.mean / unit),
        _ => format!("{} ± {}", number(spread.mean / unit), number(spread.deviation / unit)),
    };
    spread.map(text).unwrap_or_default()
}

/// Text of a size in MiB: `0`, `1.25`; empty if it is not known.
pub(crate) fn mib(bytes: Option<u64>) -> String {
    bytes.map(|bytes| number(bytes_f64(bytes) / MIB)).unwrap_or_default()
}

/// Text of a ratio in percent: 0.012 is `1.2 %`; empty if it is not known.
pub(crate) fn percent(share: Option<f64>) -> String {
    share.map(|share| format!("{} %", number(share * 100.0))).unwrap_or_default()
}

/// How many times as much: `1.013`.
pub(crate) fn ratio(ratio: Option<f64>) -> String {
    ratio.map(|ratio| format!("{ratio:.3}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_come_with_their_spread() {
        let spread = Spread::of([1000.0, 2000.0, 4000.0]);
        assert_eq!(median(spread, 1e3), "2");
        assert_eq!(quartiles(spread, 1e3), "2 (1.5 to 3)");
        assert_eq!(mean(spread, 1e3), "2.33 ± 1.53");
        let one = Spread::of([2000.0]);
        assert_eq!((quartiles(one, 1e3), mean(one, 1e3)), ("2".into(), "2".into()));
        assert_eq!(mib(Some(1_310_720)), "1.25");
        assert_eq!(percent(Some(0.0123)), "1.23 %");
        assert_eq!(ratio(Some(2.0)), "2.000");
        assert_eq!((quartiles(None, 1.0), mib(None), ratio(None)), Default::default());
    }
}
