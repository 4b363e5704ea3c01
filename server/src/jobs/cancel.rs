//! Cancels and deletes jobs.

use sakuga_proto::generation::v1::{self as generation};

use super::caller::Caller;
use super::registry::Jobs;
use crate::error::ServerError;
use crate::event::CancelReason;
use crate::job_id::JobId;

impl Jobs {
    /// Cancels a job unless it has ended, and returns it: a waiting job as cancelled, a running one as it is until its next
    /// step.
    ///
    /// # Errors
    ///
    /// [`ServerError::UnknownJob`], [`ServerError::InvalidRequest`] or [`ServerError::Store`].
    pub(crate) async fn cancel(&self, caller: &Caller, job_id: &str) -> Result<generation::Job, ServerError> {
        let (id, record) = self.accessible(caller, job_id).await?;
        if record.is_ended() {
            return Ok(self.with_progress(record.into_job()));
        }
        self.cancel_live(&id, CancelReason::Requested);
        // Batches are committed in order: once this one is done, so is the end of a waiting job. If the store fails, the
        // job ends when the store works again.
        let _ = self.dependencies.writer.write_once(Vec::new()).await;
        Ok(self.with_progress(self.record(&id).await?.into_job()))
    }

    /// Cancels a job that has not ended, without a look at its owner.
    pub(crate) fn cancel_live(&self, id: &JobId, reason: CancelReason) {
        let handle = self.live.lock().get(id).map(|live| live.handle.clone());
        if let Some(handle) = handle {
            self.dependencies.scheduler.cancel(&handle, reason);
        }
    }

    /// Deletes an ended job.
    ///
    /// # Errors
    ///
    /// [`ServerError::UnknownJob`], [`ServerError::InvalidRequest`], [`ServerError::NotEnded`] or [`ServerError::Store`].
    pub(crate) async fn delete(&self, caller: &Caller, job_id: &str) -> Result<(), ServerError> {
        let (id, record) = self.accessible(caller, job_id).await?;
        if !record.is_ended() {
            return Err(ServerError::NotEnded(id.to_string()));
        }
        self.remove(id.as_str(), &record).await
    }

    /// Deletes an ended job that belongs to a fleet, which keeps it.
    ///
    /// # Errors
    ///
    /// [`ServerError::Store`], or [`ServerError::NotEnded`].
    #[cfg(feature = "fleet")]
    pub(crate) async fn leave_to_fleet(&self, id: &JobId) -> Result<(), ServerError> {
        let record = self.record(id).await?;
        if !record.is_ended() {
            return Err(ServerError::NotEnded(id.to_string()));
        }
        self.remove(id.as_str(), &record).await
    }
}
