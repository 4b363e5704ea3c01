//! [`Fit`]: predicts the time of one part of a job from its work.

use std::collections::VecDeque;

use super::amount::{FIRST_TERMS, Sample, Work, terms};
use super::solve::{Normal, UNKNOWNS};

/// The most measurements that a fit keeps.
pub(crate) const CAPACITY: usize = 96;
/// The weight of a measurement halves with this number of newer ones.
const HALF_LIFE: f64 = 48.0;
/// The weight of each assumed sample; see [`assumptions`].
const ASSUMED_WEIGHT: f64 = 0.02;
/// The weight of the assumption that a first use takes no time of its own, for each kind.
const FREE_WEIGHT: f64 = 0.01;
/// Iterations that reweight the measurements to suppress outliers.
const ROUNDS: usize = 6;
/// Relative errors up to this one never reduce a measurement's weight.
const TOLERANCE: f64 = 0.03;
/// Length of a sequence at which attention takes as many operations as the products of a transformer: six times its width. Those of
/// the served models are 2 000 to 3 000 wide. Used only for sizes that were not measured.
const ATTENTION_LENGTH: f64 = 14_000.0;

/// A regression of one part's time on its work.
#[derive(Clone, Debug, Default)]
pub(super) struct Fit {
    samples: VecDeque<Sample>,
    /// Samples of the running job. The samples of its end replace them.
    live: Vec<Sample>,
    knots: [f64; 2],
    coefficients: [f64; UNKNOWNS],
    /// The smallest and the largest measured size.
    range: Option<(f64, f64)>,
    /// Whether attention is a part of the operations, so that an unknown size is assumed to take more than its share.
    has_attention: bool,
}

impl Fit {
    /// For the evaluations of a transformer.
    pub(super) fn of_attention() -> Self {
        Self { has_attention: true, ..Self::default() }
    }

    /// Number of samples.
    pub(super) fn len(&self) -> usize {
        self.samples.len() + self.live.len()
    }

    /// Adds a sample. When [`CAPACITY`] is reached, the oldest sample of the most frequent size class is dropped, so that
    /// many jobs of one size do not displace the samples of other sizes.
    pub(super) fn add(&mut self, sample: Sample) {
        self.add_all([sample]);
    }

    /// As [`Fit::add`] for each sample, the oldest first, but solves the regression once.
    pub(super) fn add_all(&mut self, samples: impl IntoIterator<Item = Sample>) {
        let mut is_changed = false;
        for sample in samples.into_iter().filter(Sample::is_sound) {
            self.keep(sample);
            is_changed = true;
        }
        if is_changed {
            self.live.clear();
            self.refit();
        }
    }

    fn keep(&mut self, sample: Sample) {
        if self.samples.len() == CAPACITY {
            let classes: Vec<(bool, i32)> = self.samples.iter().map(Sample::class).collect();
            let class_size = |place: &usize| classes.iter().filter(|class| **class == classes[*place]).count();
            let oldest_of_largest = (0..classes.len()).rev().max_by_key(class_size);
            if let Some(place) = oldest_of_largest {
                self.samples.remove(place);
            }
        }
        self.samples.push_back(sample);
    }

    /// Replaces the samples of the running job.
    pub(super) fn set_live(&mut self, samples: Vec<Sample>) {
        if samples.is_empty() && self.live.is_empty() {
            return;
        }
        self.live = samples;
        self.live.retain(Sample::is_sound);
        self.refit();
    }

    /// Expected seconds of the work; `None` without samples.
    pub(super) fn predict(&self, work: &[Work]) -> Option<f64> {
        self.range?;
        Some(dot(&terms(work, self.knots), &self.coefficients))
    }

    /// How far the size of the work is outside of the measured range: the logarithm of its ratio to the nearest end, 0 inside.
    pub(super) fn distance(&self, work: &Work) -> f64 {
        let Some((least, most)) = self.range else { return 0.0 };
        let size = work.size().max(f64::MIN_POSITIVE);
        (size / most.max(f64::MIN_POSITIVE)).ln().max((least / size).ln()).max(0.0)
    }

    fn refit(&mut self) {
        let all: Vec<&Sample> = self.samples.iter().chain(&self.live).collect();
        let mut sizes: Vec<f64> = all.iter().map(|sample| sample.size()).collect();
        sizes.sort_unstable_by(f64::total_cmp);
        let (Some(least), Some(most)) = (sizes.first().copied(), sizes.last().copied()) else {
            self.range = None;
            return;
        };
        self.range = Some((least, most));
        self.knots = knots(&sizes);
        let rows: Vec<[f64; UNKNOWNS]> = all.iter().map(|sample| terms(&sample.work, self.knots)).collect();
        let newest = all.len().saturating_sub(1);
        let age_weight = |place: usize| 0.5_f64.powf((newest - place) as f64 / HALF_LIFE);
        let assumed = self.assumptions(&all, &sizes);
        // Columns are scaled to the same magnitude, which keeps the equations well conditioned.
        let mut magnitude = [0.0_f64; UNKNOWNS];
        for row in &rows {
            magnitude.iter_mut().zip(row).for_each(|(most, value)| *most = most.max(*value));
        }
        let scaled = |row: &[f64; UNKNOWNS], scale: f64| -> [f64; UNKNOWNS] {
            std::array::from_fn(
                |index| {
                    if magnitude[index] > 0.0 { row[index] / magnitude[index] / scale } else { 0.0 }
                },
            )
        };
        // Row, value and age weight of each sample. Only the outlier weights change between iterations.
        let measured = all.iter().zip(&rows).enumerate();
        let measured: Vec<([f64; UNKNOWNS], f64, f64)> = measured
            .map(|(place, (sample, row))| (scaled(row, sample.scale), sample.seconds / sample.scale, age_weight(place)))
            .collect();
        let assumed: Vec<[f64; UNKNOWNS]> =
            assumed.iter().map(|(work, seconds)| scaled(&terms(work, self.knots), *seconds)).collect();
        // A single measurement of a shape counts as steady time: a cost of first use is only inferred once a shorter measurement exists.
        let free: Vec<[f64; UNKNOWNS]> = FIRST_TERMS
            .map(|term| scaled(&std::array::from_fn(|index| f64::from(u8::from(index == term))), typical_scale(&all)))
            .collect();
        let mut robust = vec![1.0; all.len()];
        for _ in 0..ROUNDS {
            let mut normal = Normal::default();
            for ((row, value, age_weight), robust) in measured.iter().zip(&robust) {
                normal.add(row, *value, robust * age_weight);
            }
            for row in &assumed {
                normal.add(row, 1.0, ASSUMED_WEIGHT);
            }
            for row in &free {
                normal.add(row, 0.0, FREE_WEIGHT);
            }
            let found = normal.solve();
            self.coefficients =
                std::array::from_fn(|index| if magnitude[index] > 0.0 { found[index] / magnitude[index] } else { 0.0 });
            let errors: Vec<f64> = all
                .iter()
                .zip(&rows)
                .map(|(sample, row)| (dot(row, &self.coefficients) - sample.seconds).abs() / sample.scale)
                .collect();
            // First uses vary more, so they have a usual error of their own.
            for is_first in [false, true] {
                let places: Vec<usize> = (0..all.len()).filter(|place| all[*place].is_first() == is_first).collect();
                let errors: Vec<f64> = places.iter().map(|place| errors[*place]).collect();
                places.iter().zip(outlier_weights(&errors)).for_each(|(place, weight)| robust[*place] = weight);
            }
        }
    }

    /// Assumed samples with a small weight, for sizes that were not measured: time is proportional to the number of operations, and a
    /// token of the guided half costs the same as any other.
    fn assumptions(&self, all: &[&Sample], sorted_sizes: &[f64]) -> Vec<(Vec<Work>, f64)> {
        let middle = sorted_sizes[sorted_sizes.len() / 2];
        let sized = all.iter().filter(|sample| sample.seconds > 0.0 && sample.size() > 0.0);
        // Without first uses if there is such a one.
        let nearest = |one: &&&Sample, other: &&&Sample| {
            let far = |sample: &Sample| (sample.size() - middle).abs();
            one.is_first().cmp(&other.is_first()).then(far(one).total_cmp(&far(other)))
        };
        let Some(typical) = sized.min_by(nearest) else { return Vec::new() };
        let attention = if self.has_attention { 1.0 / ATTENTION_LENGTH } else { 0.0 };
        let operations = |works: &[Work]| -> f64 {
            works.iter().map(|work| work.count * work.size() * (1.0 + attention * work.length)).sum()
        };
        let assumed = |works: Vec<Work>| {
            let seconds = typical.seconds * operations(&works) / operations(&typical.work);
            (works, seconds)
        };
        let scaled = |factor: f64| typical.work.iter().map(|work| work.scaled(factor)).collect();
        let unguided = typical.work.iter().map(|work| Work { extra: 0.0, ..work.scaled(1.0) }).collect();
        let found = [scaled(0.25), scaled(4.0), unguided].map(assumed);
        found.into_iter().filter(|(_, seconds)| *seconds > 0.0).collect()
    }
}

/// The median scale of samples.
fn typical_scale(all: &[&Sample]) -> f64 {
    let mut scales: Vec<f64> = all.iter().map(|sample| sample.scale).collect();
    scales.sort_unstable_by(f64::total_cmp);
    scales.get(scales.len() / 2).copied().unwrap_or(1.0)
}

/// Sizes at which the slope may change: a third and two thirds of the way through the different sizes, if there are at least
/// four.
fn knots(sorted: &[f64]) -> [f64; 2] {
    /// Sizes within this ratio count as the same size.
    const SAME: f64 = 1.05;
    let mut apart: Vec<f64> = Vec::new();
    for size in sorted {
        if apart.last().is_none_or(|last| *size > last * SAME) {
            apart.push(*size);
        }
    }
    match apart.len() {
        0..=3 => [f64::INFINITY; 2],
        count => [apart[count / 3], apart[2 * count / 3]],
    }
}

/// The weight of each sample by its relative error: 1 up to 1.5 times the median error, then falling with the inverse of the
/// error, and nearly 0 above four times that bound.
fn outlier_weights(errors: &[f64]) -> Vec<f64> {
    let mut sorted = errors.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
    let usual = (1.5 * median).max(TOLERANCE);
    let weight = |error: &f64| {
        let times = usual / error.max(f64::MIN_POSITIVE);
        if times >= 1.0 {
            1.0
        } else if times > 0.25 {
            times
        } else {
            0.1 * times * times
        }
    };
    errors.iter().map(weight).collect()
}

fn dot(left: &[f64; UNKNOWNS], right: &[f64; UNKNOWNS]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds of a device with a fixed cost, a linear and a quadratic one.
    fn truth(size: f64) -> f64 {
        0.01 + 1e-5 * size + 2e-9 * size * size
    }

    fn sample(size: f64, seconds: f64) -> Sample {
        Sample { work: vec![Work::each(1.0, size)], seconds, scale: seconds }
    }

    const SIZES: [f64; 5] = [256.0, 1024.0, 2048.0, 4096.0, 9216.0];

    fn assert_near(fit: &Fit, size: f64, share: f64) {
        let found = fit.predict(&[Work::each(1.0, size)]).expect("measured");
        assert!((found / truth(size) - 1.0).abs() < share, "{size}: {found} is not {}", truth(size));
    }

    #[test]
    fn it_converges_between_and_beyond_what_was_measured() {
        let mut fit = Fit::default();
        assert_eq!(fit.predict(&[Work::each(1.0, 1.0)]), None);
        for size in SIZES.into_iter().cycle().take(10) {
            fit.add(sample(size, truth(size)));
        }
        for size in [256.0, 600.0, 1500.0, 3000.0, 6000.0, 9216.0] {
            assert_near(&fit, size, 0.05);
        }
        assert_near(&fit, 16_384.0, 0.2);
        assert!(fit.distance(&Work::each(1.0, 18_432.0)) > 0.6 && fit.distance(&Work::each(1.0, 500.0)) == 0.0);
    }

    #[test]
    fn one_size_is_carried_over_in_proportion() {
        let mut fit = Fit::default();
        fit.add(sample(1000.0, 2.0));
        for (size, seconds) in [(1000.0, 2.0), (4000.0, 8.0), (250.0, 0.5)] {
            let found = fit.predict(&[Work::each(1.0, size)]).expect("measured");
            assert!((found / seconds - 1.0).abs() < 0.02, "{size}: {found}");
        }
    }

    #[test]
    fn outliers_change_little() {
        let mut fit = Fit::default();
        for (place, size) in SIZES.into_iter().cycle().take(20).enumerate() {
            // A quarter of the measurements took five times as long.
            let factor = if place % 4 == 3 { 5.0 } else { 1.0 };
            fit.add(sample(size, factor * truth(size)));
        }
        for size in SIZES {
            assert_near(&fit, size, 0.1);
        }
    }

    #[test]
    fn more_work_never_takes_less_time() {
        let mut fit = Fit::default();
        // Times without a system.
        for (size, seconds) in [(100.0, 3.0), (200.0, 1.0), (400.0, 5.0), (800.0, 0.5), (1600.0, 4.0), (3200.0, 3.9)] {
            fit.add(sample(size, seconds));
        }
        let times: Vec<f64> =
            (1..200).map(|step| fit.predict(&[Work::each(1.0, 40.0 * f64::from(step))]).expect("measured")).collect();
        assert!(times.is_sorted(), "{times:?}");
    }

    #[test]
    fn the_unguided_half_is_learnt_apart() {
        let mut fit = Fit::default();
        for guided in [true, false, true, false] {
            let work = Work {
                count: 1.0,
                main: 1000.0,
                extra: if guided { 1000.0 } else { 0.0 },
                length: 1000.0,
                ..Work::default()
            };
            // The halves run next to each other: guidance costs a third more.
            let seconds = if guided { 4.0 } else { 3.0 };
            fit.add(Sample { work: vec![work], seconds, scale: seconds });
        }
        let predict = |extra| {
            fit.predict(&[Work { count: 10.0, main: 1000.0, extra, length: 1000.0, ..Work::default() }])
                .expect("measured")
        };
        assert!((predict(0.0) / 30.0 - 1.0).abs() < 0.02 && (predict(1000.0) / 40.0 - 1.0).abs() < 0.02);
    }

    #[test]
    fn first_uses_are_learnt_apart() {
        let mut fit = Fit::default();
        // A new shape takes 0.1 s and each new half 0.03 s, give or take a fifth; the first operation of all takes 2 s.
        for (place, size) in SIZES.into_iter().cycle().take(15).enumerate() {
            let halves = f64::from(place as u32 % 3);
            let preparation = 0.1 + 0.03 * halves + if place == 0 { 2.0 } else { 0.0 };
            let noise = [0.8, 1.0, 1.2][(place / 5 + place) % 3];
            let first = [f64::from(u8::from(place == 0)), 1.0, halves, 0.0];
            let seconds = truth(size) + noise * preparation;
            fit.add(Sample { work: vec![Work { first, ..Work::each(1.0, size) }], seconds, scale: seconds });
            fit.add(sample(size, truth(size)));
        }
        SIZES.into_iter().for_each(|size| assert_near(&fit, size, 0.05));
        let first =
            |halves| fit.predict(&[Work { first: [0.0, 1.0, halves, 0.0], ..Work::default() }]).expect("measured");
        assert!((first(0.0) / 0.1 - 1.0).abs() < 0.3 && (first(2.0) / 0.16 - 1.0).abs() < 0.3, "{}", first(2.0));
    }

    #[test]
    fn one_first_measurement_is_no_preparation() {
        let mut fit = Fit::default();
        let first = [1.0, 1.0, 0.0, 0.0];
        fit.add(Sample { work: vec![Work { first, ..Work::each(1.0, 1000.0) }], seconds: 2.0, scale: 2.0 });
        let found = fit.predict(&[Work::each(1.0, 1000.0)]).expect("measured");
        assert!((found / 2.0 - 1.0).abs() < 0.02, "{found}");
        fit.add(sample(1000.0, 0.5));
        let found = [[0.0; 4], first].map(|first| fit.predict(&[Work { first, ..Work::each(1.0, 1000.0) }]));
        let found = found.map(|found| found.expect("measured"));
        assert!((found[0] / 0.5 - 1.0).abs() < 0.05 && (found[1] / 2.0 - 1.0).abs() < 0.1, "{found:?}");
    }

    #[test]
    fn an_unknown_length_takes_the_time_of_its_attention_too() {
        let evaluation =
            |tokens: f64| Work { count: 1.0, main: tokens, extra: tokens, length: tokens, ..Work::default() };
        let mut fit = Fit::of_attention();
        for _ in 0..3 {
            fit.add(Sample { work: vec![evaluation(2000.0)], seconds: 1.0, scale: 1.0 });
        }
        let found = fit.predict(&[evaluation(8000.0)]).expect("measured");
        assert!(found > 4.4 && found < 6.0, "{found}");
    }

    #[test]
    fn memory_is_bounded_and_keeps_every_size() {
        let mut fit = Fit::default();
        fit.add(sample(64.0, truth(64.0)));
        for _ in 0..3 * CAPACITY {
            fit.add(sample(4096.0, truth(4096.0)));
        }
        assert_eq!(fit.len(), CAPACITY);
        assert!(fit.samples.iter().any(|sample| sample.size() == 64.0));
    }

    #[test]
    fn a_change_of_speed_is_followed() {
        let mut fit = Fit::default();
        for factor in [1.0, 2.0] {
            for size in SIZES.into_iter().cycle().take(CAPACITY) {
                fit.add(sample(size, factor * truth(size)));
            }
        }
        let found = fit.predict(&[Work::each(1.0, 2048.0)]).expect("measured");
        assert!((found / truth(2048.0) / 2.0 - 1.0).abs() < 0.1, "{found}");
    }

    #[test]
    fn measurements_that_cannot_be_are_left_out() {
        let mut fit = Fit::default();
        for (size, seconds) in [(f64::NAN, 1.0), (1.0, f64::INFINITY), (1.0, 0.0), (-1.0, 1.0)] {
            fit.add(sample(size, seconds));
        }
        fit.add(Sample { work: Vec::new(), seconds: 1.0, scale: 1.0 });
        assert_eq!((fit.len(), fit.predict(&[Work::each(1.0, 1.0)])), (0, None));
    }

    #[test]
    fn the_running_job_counts_until_its_end() {
        let mut fit = Fit::default();
        fit.set_live(vec![sample(100.0, 1.0)]);
        assert!((fit.predict(&[Work::each(1.0, 100.0)]).expect("measured") - 1.0).abs() < 0.02);
        fit.add(sample(100.0, 3.0));
        assert!((fit.predict(&[Work::each(1.0, 100.0)]).expect("measured") - 3.0).abs() < 0.06);
        assert_eq!(fit.len(), 1);
    }
}
