//! What happens when a job loses its readers or ends.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::record::Record;
use super::registry::Jobs;
use crate::event::CancelReason;
use crate::job_id::JobId;
use crate::journal::JournalHooks;

/// The registry as journals know it. The reference is weak, so that a journal does not keep the registry alive.
struct RegistryHooks(Weak<Jobs>);

impl JournalHooks for RegistryHooks {
    fn unwatched(&self, job: &JobId) {
        if let Some(jobs) = self.0.upgrade() {
            jobs.unwatched(job, Duration::ZERO);
        }
    }

    fn ended(&self, job: &JobId) {
        if let Some(jobs) = self.0.upgrade() {
            jobs.on_ended(job);
        }
    }
}

impl Jobs {
    /// The hooks for the journals of this registry's jobs.
    pub(super) fn hooks(&self) -> Arc<dyn JournalHooks> {
        Arc::new(RegistryHooks(self.this.clone()))
    }

    /// Cancels a job without readers after its grace period, at least `least`, unless a reader returns. Does nothing to a job that
    /// runs without readers.
    pub(super) fn unwatched(&self, id: &JobId, least: Duration) {
        let mut live = self.live.lock();
        let Some(entry) = live.get_mut(id) else { return };
        let Some(grace) = entry.grace.map(|grace| grace.max(least)) else { return };
        if grace.is_zero() {
            drop(live);
            return self.cancel_live(id, CancelReason::ClientGone);
        }
        let (jobs, id) = (self.this.clone(), id.clone());
        entry.unwatched = Some(AbortOnDropHandle::new(self.runtime.spawn(async move {
            tokio::time::sleep(grace).await;
            let Some(jobs) = jobs.upgrade() else { return };
            let is_watched = jobs.live_journal(&id).is_none_or(|journal| journal.is_watched());
            if !is_watched {
                jobs.cancel_live(&id, CancelReason::ClientGone);
            }
        })));
    }

    /// Moves a job from the live jobs to the index of ended ones. Runs on the store's thread before the next commit, so
    /// later admissions see this job as ended.
    fn on_ended(&self, id: &JobId) {
        match self.live_journal(id).map(|journal| Record::decode(&journal.record())) {
            Some(Ok(record)) => self.index_ended(id.as_str(), &record),
            // It could not be resumed after a restart and was never live.
            _ => {
                let (jobs, id) = (self.this.clone(), id.clone());
                self.runtime.spawn(async move {
                    let Some(jobs) = jobs.upgrade() else { return };
                    if let Ok(record) = jobs.record(&id).await {
                        jobs.index_ended(id.as_str(), &record);
                    }
                });
            }
        }
        let assets = &self.dependencies.assets;
        if assets.has_files_of_job(id) {
            let (assets, id) = (assets.clone(), id.clone());
            self.runtime.spawn(async move { assets.release_job(&id).await });
        }
        // Dropped outside the lock, which dropping a reader's task may take.
        let entry = self.live.lock().remove(id);
        drop(entry);
    }
}
