//! [`Interval`]: an estimate with its uncertainty, derived from the errors of earlier estimates.

use std::collections::VecDeque;

/// Number of latest errors that are kept.
const KEPT: usize = 64;
/// Number of latest errors of which the correction is the median.
const LEVEL_OF: usize = 15;
/// Number of errors that are needed before anything is corrected.
const LEVEL_FROM: usize = 5;
/// Bound of the correction's logarithm, in both directions.
const LEVEL_MAX: f64 = 0.7;
/// Logarithm of an assumed error in both directions, about a factor of 1.5. It counts as one error each way, so it matters only
/// while few errors are known.
const ASSUMED: f64 = 0.4;
/// Share of [`Fit::distance`](super::fit::Fit::distance) by which the interval is widened on both sides.
const DISTANCE_SHARE: f64 = 0.25;

/// An expected time and its 80 % interval, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Interval {
    pub expected: f64,
    /// The 10th percentile.
    pub low: f64,
    /// The 90th percentile.
    pub high: f64,
}

impl Interval {
    /// The interval with every time multiplied by `factor`.
    pub(crate) fn scaled(self, factor: f64) -> Self {
        Self { expected: factor * self.expected, low: factor * self.low, high: factor * self.high }
    }

    /// The interval from `expected / factor` to `expected * factor`.
    pub(super) fn within(expected: f64, factor: f64) -> Self {
        Self { expected, low: expected / factor, high: expected * factor }
    }

    /// The interval of this time and another one after it. Its bounds are the sums of both bounds: the errors of two passes have
    /// causes in common, so they are not taken for independent.
    pub(crate) fn and_then(self, next: Self) -> Self {
        Self { expected: self.expected + next.expected, low: self.low + next.low, high: self.high + next.high }
    }

    /// The interval of this time `count` times in a row.
    pub(crate) fn times(self, count: f64) -> Self {
        Self { expected: count * self.expected, low: count * self.low, high: count * self.high }
    }

    /// Shifts the interval by a time that is known exactly.
    pub(crate) fn plus(self, seconds: f64) -> Self {
        Self { expected: self.expected + seconds, low: self.low + seconds, high: self.high + seconds }
    }
}

/// The errors of the latest estimates: logarithms of the ratio of true to expected time.
#[derive(Clone, Debug, Default)]
pub(super) struct Errors {
    /// Errors of the regressions before correction.
    raw: VecDeque<f64>,
    /// Errors of the corrected estimates, which clients receive.
    corrected: VecDeque<f64>,
}

impl Errors {
    /// Adds the ratios of a job's true time to its estimates before and after correction.
    pub(super) fn add(&mut self, raw: f64, corrected: f64) {
        for (errors, ratio) in [(&mut self.raw, raw), (&mut self.corrected, corrected)] {
            if ratio.is_finite() && ratio > 0.0 {
                if errors.len() == KEPT {
                    errors.pop_front();
                }
                errors.push_back(ratio.ln());
            }
        }
    }

    /// The factor that corrects the regressions: the median of the latest [`LEVEL_OF`] errors.
    pub(super) fn level(&self) -> f64 {
        if self.raw.len() < LEVEL_FROM {
            return 1.0;
        }
        let mut latest: Vec<f64> = self.raw.iter().rev().take(LEVEL_OF).copied().collect();
        latest.sort_unstable_by(f64::total_cmp);
        latest[latest.len() / 2].clamp(-LEVEL_MAX, LEVEL_MAX).exp()
    }

    /// The interval of an expected time. `distance` is [`Fit::distance`](super::fit::Fit::distance) of the job.
    pub(super) fn interval(&self, expected: f64, distance: f64) -> Interval {
        let mut errors: Vec<f64> = self.corrected.iter().copied().chain([-ASSUMED, ASSUMED]).collect();
        errors.sort_unstable_by(f64::total_cmp);
        let last = (errors.len() - 1) as f64;
        let (low, high) = (errors[(0.1 * last).floor() as usize], errors[(0.9 * last).ceil() as usize]);
        let wider = DISTANCE_SHARE * distance;
        // The interval contains the expected time even if all latest errors have the same sign.
        let (low, high) = (low.min(0.0) - wider, high.max(0.0) + wider);
        Interval { expected, low: expected * low.exp(), high: expected * high.exp() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_passes_add_up() {
        let first = Interval { expected: 10.0, low: 8.0, high: 13.0 };
        let scene = Interval { expected: 2.0, low: 1.5, high: 3.0 }.times(2.0);
        assert_eq!(first.and_then(scene).plus(1.0), Interval { expected: 15.0, low: 12.0, high: 20.0 });
    }

    #[test]
    fn the_interval_covers_eight_in_ten() {
        let mut errors = Errors::default();
        // Errors of -19 to +20 percent, each as often.
        let ratios: Vec<f64> = (0..40).map(|place| 0.81 + 0.01 * f64::from(place * 7 % 40)).collect();
        ratios.iter().for_each(|ratio| errors.add(*ratio, *ratio));
        let interval = errors.interval(100.0, 0.0);
        let covered = ratios.iter().filter(|ratio| (interval.low..=interval.high).contains(&(100.0 * *ratio))).count();
        assert!((32..=38).contains(&covered), "{covered} of 40 in {interval:?}");
        let far = errors.interval(100.0, 1.0);
        assert!(far.low < interval.low && far.high > interval.high && far.expected == 100.0);
    }

    #[test]
    fn without_errors_the_interval_is_wide_and_nothing_is_corrected() {
        let errors = Errors::default();
        let interval = errors.interval(10.0, 0.0);
        assert!(interval.low < 7.0 && interval.high > 14.0 && errors.level() == 1.0, "{interval:?}");
    }

    #[test]
    fn a_lasting_error_is_corrected_and_a_single_one_is_not() {
        let mut errors = Errors::default();
        (0..20).for_each(|_| errors.add(1.0, 1.0));
        errors.add(4.0, 4.0);
        assert_eq!(errors.level(), 1.0);
        (0..20).for_each(|_| errors.add(1.3, 1.3));
        assert!((errors.level() - 1.3).abs() < 1e-9);
        (0..20).for_each(|_| errors.add(f64::NAN, -1.0));
        assert!((errors.level() - 1.3).abs() < 1e-9, "impossible ratios are ignored");
    }
}
