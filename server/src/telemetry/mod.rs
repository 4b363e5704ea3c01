//! Samples of a device and of its activity while a job has it, kept in memory for the newest jobs.
//!
//! Everything runs on the sampler's thread; the engines' threads only update the scheduler's state.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::devices::DeviceId;
use crate::gpu::{DeviceSample, Sampler, Subscription};
use crate::job_id::JobId;

mod activity;
mod series;

pub(crate) use activity::{Activity, ActivityProbe, DeviceActivity, DeviceSnapshot, RunningJob, SchedulerSnapshot};
pub(crate) use series::Series;

/// Jobs whose series are kept, not counting those that run beyond this number.
const JOBS_MAX: usize = 64;
/// Time between two samples of a job's series.
const SAMPLE_PERIOD: Duration = Duration::from_millis(100);
/// Time between two records of the activity.
const ACTIVITY_PERIOD: Duration = Duration::from_millis(500);

/// A job's series: it is still written while the job runs.
type Shared = Arc<Mutex<Series>>;

/// The series of the newest jobs.
#[derive(Clone, Default)]
pub(crate) struct Telemetry {
    jobs: Arc<Mutex<VecDeque<(JobId, Shared)>>>,
}

impl Telemetry {
    /// Records a job until the subscription is dropped or another job has the device.
    pub(crate) fn record(
        &self,
        job: &JobId,
        device: DeviceId,
        sampler: &Sampler,
        activity: ActivityProbe,
    ) -> Subscription {
        let series = self.begin(job);
        let job = job.clone();
        let mut activity_due = Instant::now();
        sampler.subscribe(device, SAMPLE_PERIOD, move |sample| {
            let snapshot = activity.snapshot();
            // The watchdog failed a job whose engine hangs; the thread that would drop the subscription is stuck.
            let running = snapshot.devices.get(device.index()).and_then(|device| device.running.as_ref());
            if running.is_none_or(|running| running.job_id != job) {
                return;
            }
            let mut series = series.lock();
            series.push_sample(DeviceSample { processes: Vec::new(), ..sample.clone() });
            let now = Instant::now();
            if now >= activity_due {
                activity_due = now + ACTIVITY_PERIOD - SAMPLE_PERIOD / 2;
                series.push_activity(activity.activity_of(device, snapshot, sample));
            }
        })
    }

    fn series(&self, job: &JobId) -> Option<Shared> {
        self.jobs.lock().iter().find(|(id, _)| id == job).map(|(_, series)| series.clone())
    }

    /// The series of a job, if it is kept.
    pub(crate) fn of(&self, job: &JobId) -> Option<Series> {
        Some(self.series(job)?.lock().clone())
    }

    /// Energy of the device in joules during a job that ran for `took`. The energy between the first and the last sample is scaled to
    /// `took`. `None` if the device does not measure it or the job was too short.
    pub(crate) fn joules(&self, job: &JobId, took: Duration) -> Option<f64> {
        self.joules_since(job, (0.0, Duration::ZERO), took)
    }

    /// Energy of the device in joules since the first sample of a job, and the time since then, up to the last sample.
    pub(crate) fn energy_so_far(&self, job: &JobId) -> Option<(f64, Duration)> {
        self.series(job)?.lock().energy()
    }

    /// As [`joules`](Self::joules), during a part of a job that began at `before`, an earlier
    /// [`energy_so_far`](Self::energy_so_far), and took `took`.
    pub(crate) fn joules_since(&self, job: &JobId, before: (f64, Duration), took: Duration) -> Option<f64> {
        let (joules, span) = self.energy_so_far(job)?;
        let (joules, span) = (joules - before.0, span.checked_sub(before.1)?);
        let is_enough = joules > 0.0 && span >= took / 2 && span >= 2 * SAMPLE_PERIOD;
        is_enough.then(|| joules * took.as_secs_f64() / span.as_secs_f64())
    }

    /// Drops the series of a job.
    pub(crate) fn forget(&self, job: &JobId) {
        self.jobs.lock().retain(|(id, _)| id != job);
    }

    fn begin(&self, job: &JobId) -> Shared {
        let series = Arc::default();
        let mut jobs = self.jobs.lock();
        jobs.retain(|(id, _)| id != job);
        if jobs.len() >= JOBS_MAX {
            // A series is written through its other reference while its job runs.
            let oldest = jobs.iter().position(|(_, series)| Arc::strong_count(series) == 1);
            oldest.map(|oldest| jobs.remove(oldest));
        }
        jobs.push_back((job.clone(), Arc::clone(&series)));
        series
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_jobs_are_kept() {
        let telemetry = Telemetry::default();
        for number in 0..=JOBS_MAX {
            drop(telemetry.begin(&JobId::named(&number.to_string())));
        }
        assert!(telemetry.of(&JobId::named("0")).is_none());
        assert!(telemetry.of(&JobId::named("1")).is_some());
        telemetry.forget(&JobId::named("1"));
        assert!(telemetry.of(&JobId::named("1")).is_none());
        // A job that starts again replaces its own series, not another job's.
        telemetry.begin(&JobId::named("2"));
        assert!(telemetry.of(&JobId::named("3")).is_some());
    }

    #[test]
    fn the_series_of_running_jobs_are_kept_however_many_there_are() {
        let telemetry = Telemetry::default();
        let id = |number: usize| JobId::named(&number.to_string());
        let ended = telemetry.begin(&id(0));
        drop(ended);
        let running: Vec<Shared> = (1..=2 * JOBS_MAX).map(|number| telemetry.begin(&id(number))).collect();
        assert!(telemetry.of(&id(0)).is_none(), "the one that has ended makes room");
        assert!((1..=2 * JOBS_MAX).all(|number| telemetry.of(&id(number)).is_some()));
        drop(running);
        drop(telemetry.begin(&id(2 * JOBS_MAX + 1)));
        assert!(telemetry.of(&id(1)).is_none() && telemetry.of(&id(2)).is_some());
    }
}
