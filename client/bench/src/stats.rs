//! Statistics of measured values.

/// Summary statistics, in the unit of the values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Number of values.
    pub count: usize,
    /// The smallest.
    pub min: f64,
    /// A quarter of the values lies below.
    pub lower_quartile: f64,
    /// Half of the values lies below.
    pub median: f64,
    /// Three quarters of the values lie below.
    pub upper_quartile: f64,
    /// 99 % of the values lie below.
    pub p99: f64,
    /// The largest.
    pub max: f64,
    /// The arithmetic mean.
    pub mean: f64,
    /// Standard deviation of the sample (n - 1); 0 of one value.
    pub deviation: f64,
}

impl Spread {
    /// The statistics of the finite values; `None` without any.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let count = as_f64(sorted.len());
        let mean = sorted.iter().sum::<f64>() / count;
        let squares: f64 = sorted.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = if sorted.len() > 1 { (squares / (count - 1.0)).sqrt() } else { 0.0 };
        Some(Self {
            count: sorted.len(),
            min,
            lower_quartile: quantile(&sorted, 0.25),
            median: quantile(&sorted, 0.5),
            upper_quartile: quantile(&sorted, 0.75),
            p99: quantile(&sorted, 0.99),
            max,
            mean,
            deviation,
        })
    }

    /// The interquartile range as a share of the median. `None` if the median is 0.
    pub fn quartile_jitter(&self) -> Option<f64> {
        (self.median > 0.0).then(|| (self.upper_quartile - self.lower_quartile) / self.median)
    }

    /// The 99th percentile as a multiple of the median. `None` if the median is 0.
    pub fn tail_jitter(&self) -> Option<f64> {
        (self.median > 0.0).then(|| self.p99 / self.median)
    }
}

/// The value at a share of the sorted values, between two of them by a straight line (type 7 of Hyndman and Fan, 1996).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * as_f64(sorted.len() - 1);
    let below = place.floor();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place within the list")]
    let index = below as usize;
    let above = sorted.get(index + 1).copied().unwrap_or(sorted[index]);
    sorted[index] + (place - below) * (above - sorted[index])
}

/// Largest minus smallest value; `None` without values.
pub(crate) fn movement(values: impl IntoIterator<Item = u64>) -> Option<u64> {
    let mut values = values.into_iter();
    let first = values.next()?;
    let (low, high) = values.fold((first, first), |(low, high), value| (low.min(value), high.max(value)));
    Some(high - low)
}

/// A count or a number of bytes, for arithmetic.
#[expect(clippy::cast_precision_loss, reason = "figures of a measurement are shown with four digits at the most")]
pub(crate) fn as_f64(count: usize) -> f64 {
    count as f64
}

/// A number of bytes as `f64`; exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "figures of a measurement are shown with four digits at the most")]
pub(crate) fn bytes_f64(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_of_known_values() {
        // By hand: the squares sum up to 173, minus 31 * 31 / 8, divided by 7.
        let spread = Spread::of([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, f64::NAN]).unwrap();
        assert_eq!((spread.count, spread.min, spread.max), (8, 1.0, 9.0));
        assert_eq!((spread.lower_quartile, spread.median, spread.upper_quartile), (1.75, 3.5, 5.25));
        assert!((spread.p99 - 8.79).abs() < 1e-12, "{spread:?}");
        assert!((spread.mean - 3.875).abs() < 1e-12, "{spread:?}");
        assert!((spread.deviation - 2.748_376_143_938_713).abs() < 1e-12, "{spread:?}");
        assert_eq!(spread.quartile_jitter(), Some(1.0));
        assert!((spread.tail_jitter().unwrap() - 8.79 / 3.5).abs() < 1e-12);
    }

    #[test]
    fn one_value_has_no_deviation_and_none_has_no_spread() {
        let spread = Spread::of([7.0]).unwrap();
        assert_eq!((spread.median, spread.p99, spread.deviation), (7.0, 7.0, 0.0));
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([f64::INFINITY]), None);
        assert_eq!(Spread::of([0.0]).unwrap().tail_jitter(), None);
    }

    #[test]
    fn movement_is_largest_less_smallest() {
        assert_eq!(movement([5, 3, 9, 4]), Some(6));
        assert_eq!(movement([u64::MAX, 0]), Some(u64::MAX));
        assert_eq!(movement([]), None);
    }
}
