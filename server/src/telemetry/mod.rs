//! What is seen of the device while a job has it: kept in memory, for the newest jobs, for whoever asks afterwards.
//!
//! Everything here happens on the sampler's thread; the thread that draws only says where it is, in the scheduler.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::gpu::{DeviceSample, Sampler, Subscription};
use crate::job_id::JobId;
use crate::sync::lock;

mod activity;
mod series;

pub use activity::{Activity, Observer, Running, SchedulerSnapshot};
pub use series::Series;

/// Jobs whose series are kept.
const JOBS_MAX: usize = 64;
/// Time between two samples of a job's series.
const SAMPLE_PERIOD: Duration = Duration::from_millis(100);
/// Time between two looks at the activity.
const ACTIVITY_PERIOD: Duration = Duration::from_millis(500);

/// A job's series, which is written while it is read.
type Shared = Arc<Mutex<Series>>;

/// The series of the newest jobs.
#[derive(Clone, Default)]
pub struct Telemetry {
    jobs: Arc<Mutex<VecDeque<(JobId, Shared)>>>,
}

impl Telemetry {
    /// Keeps what is seen of a job until the subscription is dropped, or the device goes to another.
    pub fn record(&self, job: &JobId, sampler: &Sampler, observer: Observer) -> Subscription {
        let series = self.begin(job);
        let job = job.clone();
        let mut activity_due = Instant::now();
        sampler.subscribe(SAMPLE_PERIOD, move |sample| {
            let snapshot = observer.snapshot();
            // A job whose engine hangs was given up, and its thread never came to drop the subscription.
            if snapshot.running.as_ref().is_none_or(|running| running.job_id != job) {
                return;
            }
            let mut series = lock(&series);
            series.push_sample(DeviceSample { processes: Vec::new(), ..sample.clone() });
            let now = Instant::now();
            if now >= activity_due {
                activity_due = now + ACTIVITY_PERIOD - SAMPLE_PERIOD / 2;
                series.push_activity(observer.activity(snapshot, sample));
            }
        })
    }

    /// What is kept of a job.
    pub fn of(&self, job: &JobId) -> Option<Series> {
        let series = lock(&self.jobs).iter().find(|(id, _)| id == job).map(|(_, series)| series.clone())?;
        let series = lock(&series);
        Some(series.clone())
    }

    /// Keeps nothing of a job any more.
    pub fn forget(&self, job: &JobId) {
        lock(&self.jobs).retain(|(id, _)| id != job);
    }

    fn begin(&self, job: &JobId) -> Shared {
        let series = Arc::default();
        let mut jobs = lock(&self.jobs);
        jobs.retain(|(id, _)| id != job);
        if jobs.len() == JOBS_MAX {
            jobs.pop_front();
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
            telemetry.begin(&JobId::named(&number.to_string()));
        }
        assert!(telemetry.of(&JobId::named("0")).is_none());
        assert!(telemetry.of(&JobId::named("1")).is_some());
        telemetry.forget(&JobId::named("1"));
        assert!(telemetry.of(&JobId::named("1")).is_none());
        // One that begins anew takes its own place, not another's.
        telemetry.begin(&JobId::named("2"));
        assert!(telemetry.of(&JobId::named("3")).is_some());
    }
}
