//! RetentionGate for ended jobs: who ends one waits here while more are kept than may be, so that a flood of jobs cannot outrun the
//! deletion of old ones.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use super::index::{Retention, RetentionIndex};
use crate::job::JobHandle;
use crate::job_id::JobId;
use crate::sync::lock;

/// Time between two looks at whether a job that waits for room is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// The ended jobs, and those whose pictures are being written.
#[derive(Debug)]
pub struct RetentionGate {
    bounds: Retention,
    state: Mutex<State>,
    /// Told when there is more gate.
    freed: Condvar,
    /// Told when something has to be deleted.
    over_limit: Notify,
}

#[derive(Debug, Default)]
struct State {
    kept: RetentionIndex,
    /// Jobs that were let in and have not been counted yet.
    ending: HashSet<JobId>,
    /// Whether old jobs cannot be deleted: then nobody waits for it.
    is_deletion_failing: bool,
}

impl RetentionGate {
    /// RetentionGate within these bounds.
    pub fn new(bounds: Retention) -> Self {
        Self { bounds, state: Mutex::default(), freed: Condvar::new(), over_limit: Notify::new() }
    }

    /// Lets a job write its pictures; waits while too many ended jobs are kept, unless they cannot be deleted or the job is
    /// given up.
    pub fn wait_for_room(&self, handle: &JobHandle) {
        let mut state = lock(&self.state);
        while state.kept.is_crowded(&self.bounds, state.ending.len())
            && !state.is_deletion_failing
            && handle.cancel_reason().is_none()
        {
            self.over_limit.notify_one();
            (state, _) = self.freed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner);
        }
        state.ending.insert(handle.id.clone());
    }

    /// Counts a job that has ended.
    pub(crate) fn record_ended(&self, job_id: &str, end: SystemTime, bytes: u64, is_whole: bool) {
        let mut state = lock(&self.state);
        state.kept.insert(job_id, end, bytes, is_whole);
        state.ending.remove(&JobId::named(job_id));
        if state.kept.is_over(&self.bounds) {
            self.over_limit.notify_one();
        }
    }

    /// Counts deleted jobs no more.
    pub(crate) fn remove<'a>(&self, jobs: impl IntoIterator<Item = &'a str>) {
        let mut state = lock(&self.state);
        jobs.into_iter().for_each(|job| state.kept.remove(job));
        drop(state);
        self.freed.notify_all();
    }

    /// Notes whether old jobs can be deleted.
    pub(crate) fn set_deletion_failing(&self, is_failing: bool) {
        lock(&self.state).is_deletion_failing = is_failing;
        self.freed.notify_all();
    }

    /// Waits until something has to be deleted.
    pub(crate) async fn over_limit(&self) {
        self.over_limit.notified().await;
    }

    /// Jobs that have to go, as many as `limit`.
    pub(crate) fn surplus(&self, now: SystemTime, limit: usize) -> Vec<String> {
        lock(&self.state).kept.surplus(&self.bounds, now, limit)
    }

    /// The jobs whose steps have to go.
    pub(crate) fn stale(&self, now: SystemTime) -> Vec<String> {
        lock(&self.state).kept.stale(&self.bounds, now)
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
    fn who_finds_no_room_waits_until_jobs_are_deleted() {
        let gate = Arc::new(full());
        let entered = Arc::new(AtomicUsize::new(0));
        let (own, count) = (gate.clone(), entered.clone());
        let waiting = thread::spawn(move || {
            own.wait_for_room(&handle());
            count.store(1, Ordering::SeqCst);
        });
        thread::sleep(2 * LOOK);
        assert_eq!(entered.load(Ordering::SeqCst), 0);
        let gone = gate.surplus(SystemTime::now(), 3);
        assert_eq!(gone.len(), 3);
        gate.remove(gone.iter().map(String::as_str));
        waiting.join().expect("it enters");
    }

    #[test]
    fn nobody_waits_for_what_cannot_be_deleted_or_with_a_job_that_nobody_wants() {
        let gate = full();
        let unwanted = handle();
        unwanted.cancel(CancelReason::Requested);
        gate.wait_for_room(&unwanted);
        gate.set_deletion_failing(true);
        gate.wait_for_room(&handle());
    }
}
