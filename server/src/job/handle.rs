//! [`JobHandle`]: identifies a job and cancels it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use crate::event::CancelReason;
use crate::job_id::JobId;

/// Identifies a job and cancels it. Clones refer to the same job.
#[derive(Clone, Debug)]
pub(crate) struct JobHandle {
    pub id: JobId,
    cancellation: Arc<Cancellation>,
}

#[derive(Debug)]
struct Cancellation {
    /// 0: not cancelled. Else the value of a [`CancelReason`].
    reason: AtomicU8,
    deadline: Option<Instant>,
}

impl JobHandle {
    /// The handle of a new job, which is cancelled once `deadline` has passed.
    pub(crate) fn new(id: JobId, deadline: Option<Instant>) -> Self {
        Self { id, cancellation: Arc::new(Cancellation { reason: AtomicU8::new(0), deadline }) }
    }

    /// When the job is cancelled if it has not ended.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.cancellation.deadline
    }

    /// Marks the job as cancelled. The first reason is kept.
    pub(crate) fn cancel(&self, reason: CancelReason) {
        let _ = self.cancellation.reason.compare_exchange(0, reason as u8, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Why the job is cancelled: a call to `JobHandle::cancel`, or its deadline has passed. `None`: it is not.
    pub(crate) fn cancel_reason(&self) -> Option<CancelReason> {
        if self.cancellation.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.cancel(CancelReason::Deadline);
        }
        match self.cancellation.reason.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(CancelReason::ClientGone),
            2 => Some(CancelReason::Requested),
            3 => Some(CancelReason::Deadline),
            _ => Some(CancelReason::Shutdown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_is_kept_and_every_reason_is_read_back() {
        use CancelReason::{ClientGone, Deadline, Requested, Shutdown};
        for reason in [ClientGone, Requested, Deadline, Shutdown] {
            let handle = JobHandle::new(JobId::new(), None);
            assert_eq!(handle.cancel_reason(), None);
            handle.cancel(reason);
            handle.cancel(Shutdown);
            assert_eq!(handle.clone().cancel_reason(), Some(reason));
        }
        assert_eq!(JobHandle::new(JobId::new(), Some(Instant::now())).cancel_reason(), Some(Deadline));
    }
}
