//! How the leading and the assisting worker of a job exchange halves of guidance.
//!
//! Each waits for the other in short intervals, in which it reports to the watchdog and notices that the job was cancelled or that the
//! other one was replaced.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use sakuga_model_core::{Assistant, HalfPrediction, HalfTask, Leader, PeerLost};

use super::share::{AssistTask, AssistingDevice};
use super::shared::Shared;
use super::worker_id::WorkerId;
use crate::job::JobHandle;

/// Interval at which a waiting worker checks the other one.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// The assisting device as the engine of the leading one sees it.
pub(super) struct LeadingEnd<'a> {
    pub(super) assisting: &'a AssistingDevice,
    pub(super) shared: &'a Shared,
    /// The leading worker.
    pub(super) worker: WorkerId,
    pub(super) job: &'a JobHandle,
}

impl Assistant for LeadingEnd<'_> {
    fn begin(&self, task: HalfTask) -> Result<(), PeerLost> {
        let ends = self.assisting.ends();
        let (tasks, _) = ends.as_ref().ok_or(PeerLost)?;
        tasks.send(task).map_err(|_| PeerLost)
    }

    fn finish(&self) -> Result<HalfPrediction, PeerLost> {
        let ends = self.assisting.ends();
        let (_, halves) = ends.as_ref().ok_or(PeerLost)?;
        wait(halves, || {
            let is_wanted = self.shared.record_report(self.worker) && self.job.cancel_reason().is_none();
            is_wanted && self.shared.is_current(self.assisting.worker())
        })
        .ok_or(PeerLost)
    }

    fn release(&self) {
        self.assisting.release();
    }
}

/// The leading device as the engine of the assisting one sees it.
pub(super) struct AssistingEnd<'a> {
    pub(super) shared: &'a Shared,
    /// The assisting worker.
    pub(super) worker: WorkerId,
    pub(super) task: &'a AssistTask,
    /// Evaluations so far.
    pub(super) evaluations: u32,
}

impl Leader for AssistingEnd<'_> {
    fn next(&mut self) -> Option<HalfTask> {
        let task = wait(&self.task.tasks, || {
            self.shared.record_report(self.worker) && self.shared.is_current(self.task.leader)
        })?;
        self.shared.record_report(self.worker);
        Some(task)
    }

    fn answer(&mut self, half: HalfPrediction) -> Result<(), PeerLost> {
        self.evaluations += 1;
        self.task.halves.send(half).map_err(|_| PeerLost)
    }
}

/// The next message; `None`: the other end is gone, or `continues` returned false.
fn wait<T>(messages: &Receiver<T>, continues: impl Fn() -> bool) -> Option<T> {
    loop {
        match messages.recv_timeout(CHECK_INTERVAL) {
            Ok(message) => return Some(message),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) if !continues() => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}
