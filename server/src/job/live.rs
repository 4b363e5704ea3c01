//! Jobs without a terminal event.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::handle::JobHandle;
use super::request::JobRequest;
use crate::error::ServerError;
use crate::event::{CancelReason, EventBody};
use crate::job_id::JobId;
use crate::journal::Journal;

/// A job that waits or runs. It counts as live until it is dropped; dropping it without a terminal event ends it as failed.
#[derive(Debug)]
pub(crate) struct Job {
    /// Identifies and cancels it.
    pub handle: JobHandle,
    /// What it asks for.
    pub request: JobRequest,
    /// Where its events are published.
    pub events: Arc<Journal>,
    /// When it was accepted.
    pub accepted: Instant,
    live: Arc<LiveJobs>,
}

impl Job {
    /// A job that counts as live from now on.
    pub(crate) fn new(handle: JobHandle, request: JobRequest, events: Arc<Journal>, live: &Arc<LiveJobs>) -> Self {
        live.insert(&handle, &request.client);
        Self { handle, request, events, accepted: Instant::now(), live: live.clone() }
    }

    /// Ends the job as cancelled after `at_step` steps. A kept job does not end at a shutdown: its journal is sealed, and
    /// it waits again after the next start.
    pub(crate) fn cancelled(&self, at_step: u32, reason: CancelReason) {
        if self.request.is_kept && reason == CancelReason::Shutdown {
            return self.events.seal();
        }
        self.events.publish(EventBody::Cancelled { at_step, reason });
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // The journal refuses this if the job has a terminal event, as it should have.
        if self.events.publish(EventBody::Failed(ServerError::Internal("the job was lost".into()))) {
            tracing::error!(job_id = %self.handle.id, "a job was dropped without a terminal event");
        }
        self.live.remove(&self.handle.id);
    }
}

/// The jobs without a terminal event, and their number.
#[derive(Debug)]
pub(crate) struct LiveJobs {
    /// Handle and client of each.
    jobs: Mutex<HashMap<JobId, (JobHandle, Arc<str>)>>,
    count: watch::Sender<usize>,
}

impl Default for LiveJobs {
    fn default() -> Self {
        Self { jobs: Mutex::default(), count: watch::Sender::new(0) }
    }
}

impl LiveJobs {
    /// The number of live jobs, now and whenever it changes.
    pub(crate) fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    pub(crate) fn handles(&self) -> Vec<JobHandle> {
        self.jobs.lock().values().map(|(handle, _)| handle.clone()).collect()
    }

    /// The number of a client's live jobs.
    pub(crate) fn of_client(&self, client: &str) -> usize {
        self.jobs.lock().values().filter(|(_, owner)| **owner == *client).count()
    }

    fn insert(&self, handle: &JobHandle, client: &Arc<str>) {
        let mut jobs = self.jobs.lock();
        jobs.insert(handle.id.clone(), (handle.clone(), client.clone()));
        self.count.send_replace(jobs.len());
    }

    /// Stops counting a job.
    pub(crate) fn remove(&self, id: &JobId) {
        let mut jobs = self.jobs.lock();
        jobs.remove(id);
        self.count.send_replace(jobs.len());
    }
}
