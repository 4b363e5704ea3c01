//! Room for ended jobs: who ends one waits here while more are kept than may be, so that a flood of jobs cannot outrun the
//! deletion of old ones.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use super::retention::{Kept, Retention};
use crate::job::{JobId, Ticket};
use crate::sync::lock;

/// Time between two looks at whether a job that waits for room is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// The ended jobs, and those whose pictures are being written.
#[derive(Debug)]
pub struct Room {
    bounds: Retention,
    state: Mutex<State>,
    /// Told when there is more room.
    freed: Condvar,
    /// Told when something has to be deleted.
    full: Notify,
}

#[derive(Debug, Default)]
struct State {
    kept: Kept,
    /// Jobs that were let in and have not been counted yet.
    ending: HashSet<JobId>,
    /// Whether old jobs cannot be deleted: then nobody waits for it.
    is_stuck: bool,
}

impl Room {
    /// Room within these bounds.
    pub fn new(bounds: Retention) -> Self {
        Self { bounds, state: Mutex::default(), freed: Condvar::new(), full: Notify::new() }
    }

    /// Lets a job write its pictures; waits while too many ended jobs are kept, unless they cannot be deleted or the job is
    /// given up.
    pub fn enter(&self, ticket: &Ticket) {
        let mut state = lock(&self.state);
        while state.kept.is_crowded(&self.bounds, state.ending.len()) && !state.is_stuck && ticket.given_up().is_none()
        {
            self.full.notify_one();
            (state, _) = self.freed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner);
        }
        state.ending.insert(ticket.id.clone());
    }

    /// Counts a job that has ended.
    pub(super) fn note(&self, job_id: &str, end: SystemTime, bytes: u64, is_whole: bool) {
        let mut state = lock(&self.state);
        state.kept.insert(job_id, end, bytes, is_whole);
        state.ending.remove(&JobId::named(job_id));
        if state.kept.is_over(&self.bounds) {
            self.full.notify_one();
        }
    }

    /// Counts deleted jobs no more.
    pub(super) fn leave<'a>(&self, jobs: impl IntoIterator<Item = &'a str>) {
        let mut state = lock(&self.state);
        jobs.into_iter().for_each(|job| state.kept.remove(job));
        drop(state);
        self.freed.notify_all();
    }

    /// Notes whether old jobs can be deleted.
    pub(super) fn set_stuck(&self, is_stuck: bool) {
        lock(&self.state).is_stuck = is_stuck;
        self.freed.notify_all();
    }

    /// Waits until something has to be deleted.
    pub(super) async fn full(&self) {
        self.full.notified().await;
    }

    /// Jobs that have to go, as many as `limit`.
    pub(super) fn surplus(&self, now: SystemTime, limit: usize) -> Vec<String> {
        lock(&self.state).kept.surplus(&self.bounds, now, limit)
    }

    /// The jobs whose steps have to go.
    pub(super) fn stale(&self, now: SystemTime) -> Vec<String> {
        lock(&self.state).kept.stale(&self.bounds, now)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::super::retention::MARGIN;
    use super::*;
    use crate::event::CancelReason;

    fn ticket() -> Ticket {
        Ticket::new(JobId::new(), None)
    }

    fn full() -> Room {
        let room = Room::new(Retention { count: 1, ..Retention::default() });
        for _ in 0..=MARGIN {
            let ticket = ticket();
            room.enter(&ticket);
            room.note(ticket.id.as_str(), SystemTime::now(), 1, true);
        }
        room
    }

    #[test]
    fn who_finds_no_room_waits_until_jobs_are_deleted() {
        let room = Arc::new(full());
        let entered = Arc::new(AtomicUsize::new(0));
        let (own, count) = (room.clone(), entered.clone());
        let waiting = thread::spawn(move || {
            own.enter(&ticket());
            count.store(1, Ordering::SeqCst);
        });
        thread::sleep(2 * LOOK);
        assert_eq!(entered.load(Ordering::SeqCst), 0);
        let gone = room.surplus(SystemTime::now(), 3);
        assert_eq!(gone.len(), 3);
        room.leave(gone.iter().map(String::as_str));
        waiting.join().expect("it enters");
    }

    #[test]
    fn nobody_waits_for_what_cannot_be_deleted_or_with_a_job_that_nobody_wants() {
        let room = full();
        let unwanted = ticket();
        unwanted.give_up(CancelReason::Requested);
        room.enter(&unwanted);
        room.set_stuck(true);
        room.enter(&ticket());
    }
}
