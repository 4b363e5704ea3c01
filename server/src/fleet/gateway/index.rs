//! [`Index`]: the records of all jobs in memory, as the fleet's bucket of records has them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use sakuga_fleet::{Fleet, FleetError, RecordChange, Revised};
use sakuga_proto::generation::v1::JobState;
use sakuga_proto::internal::store::v1::JobRecord;
use tokio::sync::oneshot;

use crate::jobs::Record;

/// The pause before a watch that broke is opened again.
const PAUSE: Duration = Duration::from_millis(500);

/// The records of all jobs, by id. They lag behind the bucket by milliseconds; a gateway adds its own new jobs itself.
#[derive(Default)]
pub(super) struct Index {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    records: BTreeMap<String, (u64, Arc<Record>)>,
    /// The jobs that have not ended.
    live: BTreeSet<String>,
    /// The jobs of each client that have not ended.
    of_client: HashMap<String, usize>,
}

impl State {
    fn remove(&mut self, job: &str) {
        if let Some((_, record)) = self.records.remove(job) {
            self.forget_live(&record);
        }
    }

    fn forget_live(&mut self, record: &Record) {
        let job = record.job();
        if self.live.remove(&job.job_id)
            && let Some(jobs) = self.of_client.get_mut(&job.client_id)
        {
            *jobs -= 1;
            if *jobs == 0 {
                self.of_client.remove(&job.client_id);
            }
        }
    }
}

impl Index {
    /// Adds or replaces a record, unless the index has a newer one.
    pub(super) fn put(&self, read: Revised) {
        let record = Arc::new(Record::of_message(read.record));
        let id = record.job().job_id.clone();
        let mut state = self.state.write();
        if let Some((revision, before)) = state.records.get(&id) {
            if *revision >= read.revision {
                return;
            }
            let before = before.clone();
            state.forget_live(&before);
        }
        if !record.is_ended() && state.live.insert(id.clone()) {
            *state.of_client.entry(record.job().client_id.clone()).or_default() += 1;
        }
        state.records.insert(id, (read.revision, record));
    }

    /// Adds the record of a job that this gateway created.
    pub(super) fn created(&self, record: JobRecord, revision: u64) {
        self.put(Revised { record, revision });
    }

    /// Removes a job.
    pub(super) fn remove(&self, job: &str) {
        self.state.write().remove(job);
    }

    /// Whether there is a record of the job.
    pub(super) fn has(&self, job: &str) -> bool {
        self.state.read().records.contains_key(job)
    }

    /// At most `most` records below the id `before`, the newest first.
    pub(super) fn below(&self, before: Option<&str>, most: usize) -> Vec<Arc<Record>> {
        let state = self.state.read();
        let newest_first = |range: &mut dyn DoubleEndedIterator<Item = (&String, &(u64, Arc<Record>))>| {
            range.rev().take(most).map(|(_, (_, record))| record.clone()).collect()
        };
        match before {
            Some(before) => newest_first(
                &mut state.records.range::<str, _>((std::ops::Bound::Unbounded, std::ops::Bound::Excluded(before))),
            ),
            None => newest_first(&mut state.records.iter()),
        }
    }

    /// The jobs that have not ended, the oldest first.
    pub(super) fn live(&self) -> Vec<Arc<Record>> {
        let state = self.state.read();
        state.live.iter().filter_map(|job| state.records.get(job)).map(|(_, record)| record.clone()).collect()
    }

    /// The number of jobs that wait, and of those of a client that have not ended.
    pub(super) fn live_count(&self, client: &str) -> (usize, usize) {
        let state = self.state.read();
        let waits =
            |id: &&String| state.records.get(*id).is_some_and(|(_, record)| record.job().state() != JobState::Running);
        (state.live.iter().filter(waits).count(), state.of_client.get(client).copied().unwrap_or(0))
    }

    /// Follows the bucket without end. `current` is sent when every record that existed at the beginning was read.
    pub(super) async fn follow(self: Arc<Self>, fleet: Fleet, current: oneshot::Sender<()>) {
        let mut current = Some(current);
        loop {
            let Err(error) = self.follow_once(&fleet, &mut current).await;
            tracing::warn!(%error, "the records of jobs are read again");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn follow_once(
        &self,
        fleet: &Fleet,
        current: &mut Option<oneshot::Sender<()>>,
    ) -> Result<std::convert::Infallible, FleetError> {
        let mut watch = fleet.records.watch().await?;
        // Jobs that were deleted while the watch was broken have no change that says so.
        let mut seen = BTreeSet::new();
        let mut is_current = false;
        loop {
            match watch.next().await {
                Ok(RecordChange::Put(read)) => {
                    if !is_current && let Some(job) = &read.record.job {
                        seen.insert(job.job_id.clone());
                    }
                    self.put(*read);
                }
                // Ids of jobs are their own keys.
                Ok(RecordChange::Deleted { key }) => self.remove(&key),
                Ok(RecordChange::Current) => {
                    is_current = true;
                    self.keep_only(&seen);
                    // The receiver is gone if the start was cancelled.
                    let _ = current.take().map(|current| current.send(()));
                }
                Err(error @ FleetError::Damaged(_)) => tracing::error!(%error, "a record is left out"),
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes the jobs that ended long ago and are not among `seen`. A young one may have been created after the watch began.
    fn keep_only(&self, seen: &BTreeSet<String>) {
        let mut state = self.state.write();
        let gone = |(id, (_, record)): (&String, &(u64, Arc<Record>))| {
            (record.is_ended() && !seen.contains(id)).then(|| id.clone())
        };
        let gone: Vec<String> = state.records.iter().filter_map(gone).collect();
        gone.iter().for_each(|job| state.remove(job));
    }
}

#[cfg(test)]
mod tests {
    use sakuga_proto::generation::v1::Job;

    use super::*;

    fn read(id: &str, client: &str, revision: u64, is_ended: bool) -> Revised {
        in_state(id, client, revision, if is_ended { JobState::Completed } else { JobState::Queued })
    }

    fn in_state(id: &str, client: &str, revision: u64, state: JobState) -> Revised {
        let end_time = (state == JobState::Completed).then(prost_types::Timestamp::default);
        let job = Job { job_id: id.into(), client_id: client.into(), state: state.into(), end_time, ..Job::default() };
        Revised { record: JobRecord { job: Some(job), ..JobRecord::default() }, revision }
    }

    #[test]
    fn live_jobs_are_counted_once_and_older_states_change_nothing() {
        let index = Index::default();
        index.put(read("a", "alice", 1, false));
        index.put(read("a", "alice", 2, false));
        index.put(read("b", "bob", 3, false));
        assert_eq!(
            (index.live_count("alice"), index.live_count("bob"), index.live_count("eve")),
            ((2, 1), (2, 1), (2, 0))
        );
        index.put(read("a", "alice", 5, true));
        index.put(read("a", "alice", 4, false));
        assert_eq!((index.live_count("alice"), index.live().len()), ((1, 0), 1));
        index.put(in_state("b", "bob", 6, JobState::Running));
        assert_eq!(index.live_count("bob"), (0, 1), "what runs does not wait");
        index.remove("b");
        index.remove("b");
        assert_eq!((index.live_count("bob"), index.has("a"), index.has("b")), ((0, 0), true, false));
    }

    #[test]
    fn pages_go_from_the_newest_to_the_oldest() {
        let index = Index::default();
        ["a", "b", "c"].iter().zip(1..).for_each(|(id, revision)| index.put(read(id, "x", revision, true)));
        let ids = |before, most| -> Vec<String> {
            index.below(before, most).iter().map(|record| record.job().job_id.clone()).collect()
        };
        assert_eq!(
            (ids(None, 2), ids(Some("b"), 9), ids(Some("a"), 9)),
            (vec!["c".into(), "b".into()], vec!["a".into()], vec![])
        );
    }
}
