//! [`RetentionGate`]: backpressure. Finishing a job blocks while the retention bounds are exceeded, so that a flood of jobs
//! cannot outrun the deletion of old ones.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use super::index::{Retention, RetentionIndex};
use crate::job::JobHandle;
use crate::job_id::JobId;

/// How often a job that waits at the gate is checked for cancellation.
const CHECK_PERIOD: Duration = Duration::from_millis(100);

/// The index of ended jobs, and the jobs whose pictures are being written.
#[derive(Debug)]
pub(crate) struct RetentionGate {
    bounds: Retention,
    state: Mutex<State>,
    /// Signals that jobs were deleted.
    freed: Condvar,
    /// Signals that jobs have to be deleted.
    over_limit: Notify,
}

#[derive(Debug, Default)]
struct State {
    index: RetentionIndex,
    /// Jobs that passed the gate and are not in the index yet.
    ending: HashSet<JobId>,
    /// Whether deleting old jobs fails; then no job waits at the gate.
    is_deletion_failing: bool,
}

impl RetentionGate {
    /// A gate with these bounds and an empty index.
    pub(crate) fn new(bounds: Retention) -> Self {
        Self { bounds, state: Mutex::default(), freed: Condvar::new(), over_limit: Notify::new() }
    }

    /// Blocks until there is room for a job's pictures. Returns at once if old jobs cannot be deleted or the job is
    /// cancelled.
    pub(crate) fn wait_for_room(&self, handle: &JobHandle) {
        let mut state = self.state.lock();
        while state.index.is_crowded(&self.bounds, state.ending.len())
            && !state.is_deletion_failing
            && handle.cancel_reason().is_none()
        {
            self.over_limit.notify_one();
            self.freed.wait_for(&mut state, CHECK_PERIOD);
        }
        state.ending.insert(handle.id.clone());
    }

    /// Adds an ended job to the index.
    pub(crate) fn record_ended(&self, job_id: &str, end: SystemTime, bytes: u64, is_whole: bool) {
        let mut state = self.state.lock();
        state.index.insert(job_id, end, bytes, is_whole);
        state.ending.remove(&JobId::named(job_id));
        if state.index.is_over(&self.bounds) {
            self.over_limit.notify_one();
        }
    }

    /// Removes deleted jobs from the index.
    pub(crate) fn remove<'a>(&self, jobs: impl IntoIterator<Item = &'a str>) {
        let mut state = self.state.lock();
        jobs.into_iter().for_each(|job| state.index.remove(job));
        drop(state);
        self.freed.notify_all();
    }

    /// Sets whether deleting old jobs fails.
    pub(crate) fn set_deletion_failing(&self, is_failing: bool) {
        self.state.lock().is_deletion_failing = is_failing;
        self.freed.notify_all();
    }

    /// Waits until jobs have to be deleted.
    pub(crate) async fn over_limit(&self) {
        self.over_limit.notified().await;
    }

    /// The jobs that have to be deleted, at most `limit`.
    pub(crate) fn surplus(&self, now: SystemTime, limit: usize) -> Vec<String> {
        self.state.lock().index.surplus(&self.bounds, now, limit)
    }

    /// Keeps the step events of a job until the job is deleted.
    pub(crate) fn keep_steps(&self, job: &str) {
        self.state.lock().index.keep_steps(job);
    }

    /// The jobs whose step events have to be deleted.
    pub(crate) fn stale(&self, now: SystemTime) -> Vec<String> {
        self.state.lock().index.stale(&self.bounds, now)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::super::index::MARGIN;
    use super::*;
    use crate::event::CancelReason;

    fn handle() -> JobHandle {
        JobHandle::new(JobId::new(), None)
    }

    fn full() -> RetentionGate {
        let gate = RetentionGate::new(Retention { count: 1, ..Retention::default() });
        for _ in 0..=MARGIN {
            let handle = handle();
            gate.wait_for_room(&handle);
            gate.record_ended(handle.id.as_str(), SystemTime::now(), 1, true);
        }
        gate
    }

    #[test]
    fn a_full_gate_blocks_until_jobs_are_deleted() {
        let gate = Arc::new(full());
        let passed = Arc::new(AtomicUsize::new(0));
        let (own, count) = (gate.clone(), passed.clone());
        let waiting = thread::spawn(move || {
            own.wait_for_room(&handle());
            count.store(1, Ordering::SeqCst);
        });
        thread::sleep(2 * CHECK_PERIOD);
        assert_eq!(passed.load(Ordering::SeqCst), 0);
        let gone = gate.surplus(SystemTime::now(), 3);
        assert_eq!(gone.len(), 3);
        gate.remove(gone.iter().map(String::as_str));
        waiting.join().expect("it passes");
    }

    #[test]
    fn a_full_gate_lets_cancelled_jobs_pass_and_all_jobs_while_deletion_fails() {
        let gate = full();
        let unwanted = handle();
        unwanted.cancel(CancelReason::Requested);
        gate.wait_for_room(&unwanted);
        gate.set_deletion_failing(true);
        gate.wait_for_room(&handle());
    }
}
