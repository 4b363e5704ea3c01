//! [`Series`]: the samples of one job, bounded in number.

use std::collections::VecDeque;
use std::time::Duration;

use super::Activity;
use crate::gpu::DeviceSample;

/// Device samples that are kept of a job: ten minutes.
const SAMPLES_MAX: usize = 6000;
/// Activity records that are kept of a job: the same time.
const ACTIVITY_MAX: usize = SAMPLES_MAX / 5;

/// The samples of one job, in order. Of a very long job only the end is kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    samples: VecDeque<DeviceSample>,
    activity: VecDeque<Activity>,
    is_cut: bool,
}

impl Series {
    pub(crate) fn samples(&self) -> impl DoubleEndedIterator<Item = &DeviceSample> + ExactSizeIterator {
        self.samples.iter()
    }

    /// Activity of the server.
    pub(crate) fn activity(&self) -> impl DoubleEndedIterator<Item = &Activity> + ExactSizeIterator {
        self.activity.iter()
    }

    /// Whether only the end is kept.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Energy of the device from the first sample to the last, in joules, and the time between them.
    pub(crate) fn energy(&self) -> Option<(f64, Duration)> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let span = last.time.duration_since(first.time).ok()?;
        Some((last.energy_joules? - first.energy_joules?, span)).filter(|(joules, _)| *joules > 0.0)
    }

    pub(crate) fn push_sample(&mut self, sample: DeviceSample) {
        self.is_cut |= push_within(&mut self.samples, sample, SAMPLES_MAX);
    }

    pub(crate) fn push_activity(&mut self, activity: Activity) {
        self.is_cut |= push_within(&mut self.activity, activity, ACTIVITY_MAX);
    }
}

/// Adds to the end; returns whether the first element was dropped for it.
fn push_within<T>(list: &mut VecDeque<T>, value: T, max: usize) -> bool {
    let is_full = list.len() >= max;
    if is_full {
        list.pop_front();
    }
    list.push_back(value);
    is_full
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energy_is_that_between_the_first_and_the_last_sample() {
        let begin = std::time::SystemTime::UNIX_EPOCH;
        let sample = |seconds, energy_joules| DeviceSample {
            time: begin + Duration::from_secs(seconds),
            energy_joules,
            ..DeviceSample::default()
        };
        let mut series = Series::default();
        assert_eq!(series.energy(), None);
        [(0, Some(100.0)), (1, None), (2, Some(700.0))]
            .into_iter()
            .for_each(|(seconds, joules)| series.push_sample(sample(seconds, joules)));
        assert_eq!(series.energy(), Some((600.0, Duration::from_secs(2))));
        series.push_sample(sample(3, None));
        assert_eq!(series.energy(), None, "a CPU has none");
    }

    #[test]
    fn the_end_of_a_long_job_is_kept() {
        let mut series = Series::default();
        for number in 0..SAMPLES_MAX as u32 + 2 {
            assert_eq!(series.is_cut(), number > SAMPLES_MAX as u32);
            series.push_sample(DeviceSample { device_index: number, ..DeviceSample::default() });
        }
        assert!(series.is_cut());
        let kept: Vec<u32> = series.samples().map(|sample| sample.device_index).collect();
        assert_eq!((kept.len(), kept[0]), (SAMPLES_MAX, 2));
    }

    /// 64 jobs of ten minutes each must not fill the memory.
    #[test]
    fn a_sample_is_small() {
        assert!(size_of::<DeviceSample>() <= 320, "{}", size_of::<DeviceSample>());
    }
}
