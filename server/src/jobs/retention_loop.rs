//! Deletes old jobs: what [`RetentionGate`](super::room::RetentionGate) says has to go, many in one commit.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::{StreamExt as _, stream};
use prost::Message as _;

use super::Jobs;
use crate::error::ServerError;
use crate::job_id::JobId;
use crate::jobs::record::{self, JobRecord};
use crate::journal::Entry;
use crate::store::{StoreError, Write};
use crate::sync::lock;

/// Time between two looks at the age of what is kept.
const SWEEP: Duration = Duration::from_secs(30);
/// Jobs that are deleted in one commit at the most.
const BATCH: usize = 64;
/// Jobs whose pictures are deleted at the same time.
const AT_ONCE: usize = 8;

impl Jobs {
    /// Counts a job that has ended.
    pub(super) fn note_ended(&self, job_id: &str, record: &JobRecord) {
        let job = record.job();
        let end = job.end_time.and_then(|time| SystemTime::try_from(time).ok()).unwrap_or_else(SystemTime::now);
        self.parts.gate.record_ended(job_id, end, record.picture_bytes(), job.oldest_sequence == 0);
    }

    /// The same for a job whose record is in the store alone.
    pub(super) async fn count_ended(&self, job_id: &str) {
        if let Ok(record) = self.record(job_id).await {
            self.note_ended(job_id, &record);
        }
    }

    /// Deletes what has to go, when there is too much and from time to time.
    pub async fn retention_loop(self: Arc<Self>) {
        loop {
            self.sweep().await;
            // Either is a reason to look again.
            let _ = tokio::time::timeout(SWEEP, self.parts.gate.over_limit()).await;
        }
    }

    async fn sweep(&self) {
        let now = SystemTime::now();
        loop {
            let surplus = self.parts.gate.surplus(now, BATCH);
            if surplus.is_empty() {
                break;
            }
            let count = surplus.len();
            if let Err(error) = self.remove_all(surplus).await {
                tracing::warn!(%error, "old jobs could not be deleted");
                return self.parts.gate.set_deletion_failing(true);
            }
            tracing::debug!(count, "old jobs were deleted");
        }
        self.parts.gate.set_deletion_failing(false);
        for job_id in self.parts.gate.stale(now) {
            if let Err(error) = self.compact(&job_id).await {
                tracing::warn!(job_id, %error, "old events could not be deleted");
                return;
            }
        }
    }

    /// Deletes ended jobs, those that can be; the error is that of the first that cannot.
    async fn remove_all(&self, jobs: Vec<String>) -> Result<(), ServerError> {
        let read = move |store: &dyn crate::store::JobStore| {
            let record = |job: String| store.job(&job).map(|record| (job, record));
            jobs.into_iter().map(record).collect::<Result<Vec<_>, StoreError>>()
        };
        let (mut writes, mut gone, mut failure) = (Vec::new(), Vec::new(), None);
        let deletions = self.stored(read).await?.into_iter().map(|(job, bytes)| {
            let artifacts = self.parts.artifacts.clone();
            async move {
                // One that was deleted meanwhile is counted no more.
                let Some(bytes) = bytes else { return Ok((job, None)) };
                let record = JobRecord::read(&bytes)?;
                artifacts.delete(&job, pictures(&record)).await?;
                Ok::<_, StoreError>((job, Some(record.name)))
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
        self.parts.writer.write_once(writes).await?;
        self.forget(&gone);
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Deletes an ended job. Its pictures go first: a record without them is deleted again, files without one never.
    pub(super) async fn remove(&self, job_id: &str, record: JobRecord) -> Result<(), ServerError> {
        self.parts.artifacts.delete(job_id, pictures(&record)).await?;
        self.parts.writer.write_once(vec![Write::Delete { job: job_id.to_owned(), name: record.name }]).await?;
        self.forget(&[job_id.to_owned()]);
        Ok(())
    }

    /// Forgets jobs that are in the store no more.
    fn forget(&self, jobs: &[String]) {
        self.parts.gate.remove(jobs.iter().map(String::as_str));
        for id in jobs.iter().map(|job| JobId::named(job)) {
            self.parts.telemetry.forget(&id);
            lock(&self.read).remove(&id);
        }
    }

    /// Deletes what an ended job told on its way.
    async fn compact(&self, job_id: &str) -> Result<(), ServerError> {
        let mut record = self.record(job_id).await?;
        let name = job_id.to_owned();
        let entries = self.stored(move |store| record::entries(store.events(&name, 0)?)).await?;
        let is_last_step = |entry: &Entry| entry.piece.is_none();
        // What is behind the last step are the pieces of the pictures and the terminal event.
        let steps = entries.len().saturating_sub(1);
        let first_kept = entries[..steps].iter().rposition(is_last_step).map_or(0, |place| place + 1);
        let below = entries.get(first_kept).map_or(0, |entry| entry.sequence);
        if let Some(job) = &mut record.job {
            job.oldest_sequence = below;
        }
        let job = job_id.to_owned();
        let writes =
            vec![Write::Compact { job: job.clone(), below }, Write::PutJob { job, record: record.encode_to_vec() }];
        self.parts.writer.write_once(writes).await?;
        self.note_ended(job_id, &record);
        lock(&self.read).remove(&JobId::named(job_id));
        Ok(())
    }
}

/// How many pictures a job may have.
fn pictures(record: &JobRecord) -> u32 {
    record.job.as_ref().and_then(|job| job.request.as_ref()).map_or(0, |request| request.images)
}
