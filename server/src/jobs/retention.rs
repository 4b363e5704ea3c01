//! How long ended jobs are kept: by age, by count and by the bytes of their pictures; the oldest go first.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Jobs;
use crate::error::ServerError;
use crate::store::Write;
use crate::sync::lock;
use crate::wire::stored::Record;

/// Time between two looks at the age of what is kept.
const SWEEP: Duration = Duration::from_secs(30);

/// The bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How long after its end a job is kept.
    pub age: Duration,
    /// How long after its end a job's steps are kept; its terminal event and the pieces of its pictures stay.
    pub event_age: Duration,
    /// How many ended jobs are kept.
    pub count: usize,
    /// How many bytes their pictures may have together.
    pub bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self { age: 7 * DAY, event_age: DAY, count: 10_000, bytes: 10 << 30 }
    }
}

/// The ended jobs.
#[derive(Debug, Default)]
pub struct Kept {
    /// By end.
    by_end: BTreeSet<(SystemTime, String)>,
    sizes: HashMap<String, (SystemTime, u64)>,
    bytes: u64,
    /// Those whose steps are kept, by end.
    whole: BTreeSet<(SystemTime, String)>,
}

impl Kept {
    fn insert(&mut self, job: &str, end: SystemTime, bytes: u64, is_whole: bool) {
        self.remove(job);
        self.by_end.insert((end, job.to_owned()));
        if is_whole {
            self.whole.insert((end, job.to_owned()));
        }
        self.sizes.insert(job.to_owned(), (end, bytes));
        self.bytes += bytes;
    }

    fn remove(&mut self, job: &str) {
        if let Some((end, bytes)) = self.sizes.remove(job) {
            let key = (end, job.to_owned());
            self.by_end.remove(&key);
            self.whole.remove(&key);
            self.bytes -= bytes;
        }
    }

    /// The jobs that have to go.
    fn surplus(&self, bounds: &Retention, now: SystemTime) -> Vec<String> {
        let (mut count, mut bytes) = (self.by_end.len(), self.bytes);
        let mut gone = Vec::new();
        for (end, job) in &self.by_end {
            let is_old = now.duration_since(*end).is_ok_and(|age| age > bounds.age);
            if !is_old && count <= bounds.count && bytes <= bounds.bytes {
                break;
            }
            count -= 1;
            bytes -= self.sizes.get(job).map_or(0, |(_, bytes)| *bytes);
            gone.push(job.clone());
        }
        gone
    }

    /// The jobs whose steps have to go.
    fn stale(&self, bounds: &Retention, now: SystemTime) -> Vec<String> {
        let is_old = |end: &SystemTime| now.duration_since(*end).is_ok_and(|age| age > bounds.event_age);
        self.whole.iter().take_while(|(end, _)| is_old(end)).map(|(_, job)| job.clone()).collect()
    }
}

impl Jobs {
    /// Counts a job that has ended.
    pub(super) fn note_ended(&self, job_id: &str, record: &Record) {
        let job = record.job();
        let end = job.end_time.and_then(|time| SystemTime::try_from(time).ok()).unwrap_or_else(SystemTime::now);
        lock(&self.kept).insert(job_id, end, record.picture_bytes(), job.oldest_sequence == 0);
    }

    pub(super) async fn count_ended(self: &Arc<Self>, job_id: &str) {
        if let Ok(record) = self.record(job_id).await {
            self.note_ended(job_id, &record);
            self.sweep().await;
        }
    }

    /// Looks at what is kept from time to time.
    pub async fn keep_house(self: Arc<Self>) {
        loop {
            self.sweep().await;
            tokio::time::sleep(SWEEP).await;
        }
    }

    async fn sweep(&self) {
        let now = SystemTime::now();
        let (surplus, stale) = {
            let kept = lock(&self.kept);
            (kept.surplus(&self.parts.retention, now), kept.stale(&self.parts.retention, now))
        };
        for job_id in surplus {
            let removed = match self.record(&job_id).await {
                Ok(record) => self.remove(&job_id, record).await,
                Err(ServerError::UnknownJob(_)) => {
                    lock(&self.kept).remove(&job_id);
                    Ok(())
                }
                Err(error) => Err(error),
            };
            if let Err(error) = removed {
                tracing::warn!(job_id, %error, "an old job could not be deleted");
                return;
            }
            tracing::debug!(job_id, "an old job was deleted");
        }
        for job_id in stale {
            if let Err(error) = self.compact(&job_id).await {
                tracing::warn!(job_id, %error, "old events could not be deleted");
                return;
            }
        }
    }

    /// Deletes an ended job. Its pictures go first: a record without them is deleted again, files without one never.
    pub(super) async fn remove(&self, job_id: &str, record: Record) -> Result<(), ServerError> {
        let images = record.job().request.map_or(0, |request| request.images);
        self.parts.artifacts.delete(job_id, images).await?;
        self.parts.writer.write_once(vec![Write::Delete { job: job_id.to_owned(), name: record.name }]).await?;
        lock(&self.kept).remove(job_id);
        self.parts.telemetry.forget(&crate::job::JobId::named(job_id));
        lock(&self.read).remove(&crate::job::JobId::named(job_id));
        Ok(())
    }

    /// Deletes what an ended job told on its way.
    async fn compact(&self, job_id: &str) -> Result<(), ServerError> {
        use prost::Message as _;
        let mut record = self.record(job_id).await?;
        let name = job_id.to_owned();
        let entries = self.stored(move |store| crate::wire::stored::entries(store.events(&name, 0)?)).await?;
        let is_last_step = |entry: &crate::journal::Entry| entry.piece.is_none();
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
        lock(&self.kept).whole.retain(|(_, whole)| whole != job_id);
        lock(&self.read).remove(&crate::job::JobId::named(job_id));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    #[test]
    fn the_oldest_go_first_by_age_count_and_bytes() {
        let mut kept = Kept::default();
        for second in 0..5 {
            kept.insert(&second.to_string(), at(second), 10, true);
        }
        let bounds =
            Retention { age: Duration::from_secs(100), event_age: Duration::from_secs(2), count: 10, bytes: 1000 };
        assert!(kept.surplus(&bounds, at(5)).is_empty());
        assert_eq!(kept.surplus(&Retention { count: 3, ..bounds }, at(5)), ["0", "1"]);
        assert_eq!(kept.surplus(&Retention { bytes: 25, ..bounds }, at(5)), ["0", "1", "2"]);
        assert_eq!(kept.surplus(&bounds, at(102)), ["0", "1"]);
        assert_eq!(kept.stale(&bounds, at(4)), ["0", "1"]);
        kept.insert("0", at(9), 5, false);
        assert_eq!((kept.bytes, kept.by_end.len(), kept.whole.len()), (45, 5, 4));
        kept.remove("0");
        kept.remove("no such job");
        assert_eq!((kept.bytes, kept.by_end.len(), kept.whole.len()), (40, 4, 4));
    }
}
