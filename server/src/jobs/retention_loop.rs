//! Deletes old jobs, as the [`RetentionGate`](crate::retention::RetentionGate) requires, many in one commit.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::{StreamExt as _, stream};

use super::record::Record;
use super::registry::Jobs;
use super::stored_events;
use crate::error::ServerError;
use crate::job_id::JobId;
use crate::journal::Entry;
use crate::store::{JobStore, StoreError, Write};

/// Longest time between two checks of the age of ended jobs.
const CHECK_PERIOD: Duration = Duration::from_secs(30);
/// Most jobs that are deleted in one commit.
const BATCH: usize = 64;
/// Jobs whose pictures are deleted at the same time.
const AT_ONCE: usize = 8;

impl Jobs {
    /// Adds a job to the index of ended jobs.
    pub(super) fn index_ended(&self, job_id: &str, record: &Record) {
        let job = record.job();
        let end = job.end_time.and_then(|time| SystemTime::try_from(time).ok()).unwrap_or_else(SystemTime::now);
        self.dependencies.gate.record_ended(job_id, end, record.picture_bytes(), job.oldest_sequence == 0);
    }

    /// Deletes jobs whenever the retention bounds are exceeded, and checks their age from time to time. Never returns.
    pub(crate) async fn retention_loop(self: Arc<Self>) {
        loop {
            self.delete_surplus().await;
            // A timeout is the other reason to check.
            let _ = tokio::time::timeout(CHECK_PERIOD, self.dependencies.gate.over_limit()).await;
        }
    }

    async fn delete_surplus(&self) {
        let gate = &self.dependencies.gate;
        let now = SystemTime::now();
        loop {
            let surplus = gate.surplus(now, BATCH);
            if surplus.is_empty() {
                break;
            }
            let count = surplus.len();
            if let Err(error) = self.remove_all(surplus).await {
                tracing::warn!(%error, "old jobs could not be deleted");
                return gate.set_deletion_failing(true);
            }
            tracing::debug!(count, "old jobs were deleted");
        }
        gate.set_deletion_failing(false);
        for job_id in gate.stale(now) {
            if let Err(error) = self.compact(&job_id).await {
                tracing::warn!(job_id, %error, "old events could not be deleted");
                return;
            }
        }
    }

    /// Deletes those of the ended jobs that can be deleted. Returns the first error.
    async fn remove_all(&self, jobs: Vec<String>) -> Result<(), ServerError> {
        let read = move |store: &dyn JobStore| {
            let record = |job: String| match store.job(&job) {
                // What belongs to it is unknown, and it must not stop the deletion of others.
                Err(error @ StoreError::Damaged(_)) => {
                    tracing::error!(job_id = job, %error, "an old job is damaged and is not deleted");
                    Ok((job, None))
                }
                read => read.map(|record| (job, record)),
            };
            jobs.into_iter().map(record).collect::<Result<Vec<_>, StoreError>>()
        };
        let (mut writes, mut gone, mut failure) = (Vec::new(), Vec::new(), None);
        let deletions = self.read_store(read).await?.into_iter().map(|(job, bytes)| {
            let artifacts = self.dependencies.artifacts.clone();
            async move {
                // `None`: the job was deleted by a call or is damaged; only its entry in the index is removed.
                let Some(bytes) = bytes else { return Ok((job, None)) };
                let Ok(record) = Record::of(&job, &bytes) else { return Ok((job, None)) };
                artifacts.delete(&job, record.picture_count()).await?;
                Ok::<_, StoreError>((job, Some(record.name_key().to_vec())))
            }
        });
        let mut deletions = stream::iter(deletions).buffer_unordered(AT_ONCE);
        while let Some(deleted) = deletions.next().await {
            match deleted {
                Ok((job, name)) => {
                    writes.extend(name.map(|name| Write::Delete { job: job.clone(), name }));
                    gone.push(job);
                }
                Err(error) => _ = failure.get_or_insert(error),
            }
        }
        let changing = self.record_changes.lock().await;
        self.dependencies.writer.write_once(writes).await?;
        drop(changing);
        self.forget(&gone);
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Deletes an ended job. Its pictures are deleted first: a record without pictures can be deleted again, pictures without
    /// a record never are.
    pub(super) async fn remove(&self, job_id: &str, record: &Record) -> Result<(), ServerError> {
        self.dependencies.artifacts.delete(job_id, record.picture_count()).await?;
        let delete = Write::Delete { job: job_id.to_owned(), name: record.name_key().to_vec() };
        let _changing = self.record_changes.lock().await;
        self.dependencies.writer.write_once(vec![delete]).await?;
        self.forget(&[job_id.to_owned()]);
        Ok(())
    }

    /// Drops what is in memory of deleted jobs.
    fn forget(&self, jobs: &[String]) {
        self.dependencies.gate.remove(jobs.iter().map(String::as_str));
        for id in jobs.iter().map(|job| JobId::named(job)) {
            self.dependencies.telemetry.forget(&id);
            self.ended.lock().remove(&id);
        }
    }

    /// Deletes the step events of an ended job.
    async fn compact(&self, job_id: &str) -> Result<(), ServerError> {
        let id = JobId::named(job_id);
        let _changing = self.record_changes.lock().await;
        let mut record = self.record(&id).await?;
        let job = job_id.to_owned();
        let read = self.read_store(move |store| store.events(&job, 0).and_then(stored_events::entries));
        let entries = match read.await {
            // Its damaged events stay: they go with the job.
            Err(ServerError::Store(StoreError::Damaged(_))) => {
                self.dependencies.gate.keep_steps(job_id);
                return Ok(());
            }
            read => read?,
        };
        let is_step = |entry: &Entry| entry.piece.is_none();
        // Only the pieces of the pictures and the terminal event come after the last step.
        let steps = entries.len().saturating_sub(1);
        let first_kept = entries[..steps].iter().rposition(is_step).map_or(0, |last| last + 1);
        let below = entries.get(first_kept).map_or(0, |entry| entry.sequence);
        record.job_mut().oldest_sequence = below;
        let job = job_id.to_owned();
        let writes = vec![Write::Compact { job: job.clone(), below }, Write::PutJob { job, record: record.encode() }];
        self.dependencies.writer.write_once(writes).await?;
        self.index_ended(job_id, &record);
        self.ended.lock().remove(&id);
        Ok(())
    }
}
