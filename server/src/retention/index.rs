//! How long ended jobs are kept: bounds on age, count and bytes of pictures. The oldest are deleted first.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

/// Ended jobs beyond [`Retention::count`] that are allowed while old ones are being deleted. At this number finishing a job
/// blocks.
pub(crate) const MARGIN: usize = 64;
/// Bytes of pictures beyond [`Retention::bytes`] that are allowed in the same way, in addition to an eighth of it.
const MARGIN_BYTES: u64 = 64 << 20;

/// The bounds on ended jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How long after its end a job is kept.
    pub age: Duration,
    /// How long after its end a job's step events are kept. Its chunks and its terminal event stay.
    pub event_age: Duration,
    /// How many ended jobs are kept.
    pub count: usize,
    /// Bytes of pictures that are kept.
    pub bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self { age: 7 * DAY, event_age: DAY, count: 10_000, bytes: 10 << 30 }
    }
}

/// The ended jobs, ordered by end.
#[derive(Debug, Default)]
pub(crate) struct RetentionIndex {
    by_end: BTreeSet<(SystemTime, String)>,
    sizes: HashMap<String, (SystemTime, u64)>,
    bytes: u64,
    /// Jobs whose step events are kept.
    whole: BTreeSet<(SystemTime, String)>,
}

impl RetentionIndex {
    /// Adds an ended job, or replaces its entry.
    pub(super) fn insert(&mut self, job: &str, end: SystemTime, bytes: u64, is_whole: bool) {
        self.remove(job);
        self.by_end.insert((end, job.to_owned()));
        if is_whole {
            self.whole.insert((end, job.to_owned()));
        }
        self.sizes.insert(job.to_owned(), (end, bytes));
        self.bytes += bytes;
    }

    pub(super) fn remove(&mut self, job: &str) {
        if let Some((end, bytes)) = self.sizes.remove(job) {
            let key = (end, job.to_owned());
            self.by_end.remove(&key);
            self.whole.remove(&key);
            self.bytes -= bytes;
        }
    }

    /// Keeps the step events of a job until the job is deleted.
    pub(super) fn keep_steps(&mut self, job: &str) {
        if let Some((end, _)) = self.sizes.get(job) {
            self.whole.remove(&(*end, job.to_owned()));
        }
    }

    /// Whether the count or the bytes exceed the bounds.
    pub(super) fn is_over(&self, bounds: &Retention) -> bool {
        self.by_end.len() > bounds.count || self.bytes > bounds.bytes
    }

    /// Whether the bounds and the margins are exceeded, with `ending` jobs about to be added.
    pub(super) fn is_crowded(&self, bounds: &Retention, ending: usize) -> bool {
        let bytes_max = bounds.bytes.saturating_add(bounds.bytes / 8).saturating_add(MARGIN_BYTES);
        self.by_end.len() + ending >= bounds.count.saturating_add(MARGIN) || self.bytes > bytes_max
    }

    /// The jobs that have to be deleted, at most `limit`, the oldest first.
    pub(super) fn surplus(&self, bounds: &Retention, now: SystemTime, limit: usize) -> Vec<String> {
        let (mut count, mut bytes) = (self.by_end.len(), self.bytes);
        let mut gone = Vec::new();
        for (end, job) in self.by_end.iter().take(limit) {
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

    /// The jobs whose step events have to be deleted.
    pub(super) fn stale(&self, bounds: &Retention, now: SystemTime) -> Vec<String> {
        let is_old = |end: &SystemTime| now.duration_since(*end).is_ok_and(|age| age > bounds.event_age);
        self.whole.iter().take_while(|(end, _)| is_old(end)).map(|(_, job)| job.clone()).collect()
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
        let mut kept = RetentionIndex::default();
        for second in 0..5 {
            kept.insert(&second.to_string(), at(second), 10, true);
        }
        let bounds =
            Retention { age: Duration::from_secs(100), event_age: Duration::from_secs(2), count: 10, bytes: 1000 };
        assert!(kept.surplus(&bounds, at(5), 9).is_empty());
        assert_eq!(kept.surplus(&Retention { count: 3, ..bounds }, at(5), 9), ["0", "1"]);
        assert_eq!(kept.surplus(&Retention { bytes: 25, ..bounds }, at(5), 9), ["0", "1", "2"]);
        assert_eq!(kept.surplus(&bounds, at(102), 9), ["0", "1"]);
        assert_eq!(kept.surplus(&bounds, at(102), 1), ["0"]);
        assert!(!kept.is_over(&bounds) && kept.is_over(&Retention { count: 4, ..bounds }));
        assert!(!kept.is_crowded(&bounds, 10 + MARGIN - 6) && kept.is_crowded(&bounds, 10 + MARGIN - 5));
        assert_eq!(kept.stale(&bounds, at(4)), ["0", "1"]);
        kept.insert("0", at(9), 5, false);
        assert_eq!((kept.bytes, kept.by_end.len(), kept.whole.len()), (45, 5, 4));
        kept.remove("0");
        kept.remove("no such job");
        assert_eq!((kept.bytes, kept.by_end.len(), kept.whole.len()), (40, 4, 4));
    }
}
