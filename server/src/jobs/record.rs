//! [`Record`]: what the store keeps of a job besides its events.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use prost::Message as _;
use sakuga_proto::generation::v1::{self as generation, generate_event};
use sakuga_proto::internal::store::v1::{JobMeasurements, JobRecord};

use super::policy::JobPolicy;
use super::stored_events;
use crate::store::StoreError;
use crate::trace::TraceParent;
use crate::wire::to_proto::{self, JobContext, timestamp};

/// The version that this server writes. It reads older ones.
pub(super) const VERSION: u32 = 1;
/// Sequence numbers that are left out where it cannot be read which ones were used.
const UNKNOWN_SEQUENCES: u64 = 1 << 20;

/// What the store keeps of a job besides its events.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record(JobRecord);

/// What a new job's record needs besides its request.
pub(super) struct Creation {
    /// For limits and shares of the device.
    pub client: String,
    /// The credential that owns the job; empty if the server asks for none.
    pub owner: String,
    pub options: generation::JobOptions,
    /// SHA-256 of the call.
    pub fingerprint: Vec<u8>,
    /// The key under which a repeated call finds the job; empty if the call has no `request_id`.
    pub name_key: Vec<u8>,
    pub trace_parent: Option<TraceParent>,
    /// How long the job is expected to take from its start.
    pub estimated_time: Option<Duration>,
}

impl Record {
    /// The record of a job that is accepted now.
    pub(super) fn new(context: &JobContext, creation: Creation) -> Self {
        let Creation { client, owner, options, fingerprint, name_key, trace_parent, estimated_time } = creation;
        let now = SystemTime::now();
        let deadline = JobPolicy::read(&options).timeout.and_then(|timeout| now.checked_add(timeout));
        let job = generation::Job {
            job_id: context.job_id.to_string(),
            request_id: context.resolved.request_id.clone(),
            state: generation::JobState::Queued.into(),
            client_id: client,
            request: Some(context.resolved.clone()),
            options: Some(options),
            create_time: Some(timestamp(now)),
            deadline: deadline.map(timestamp),
            attempt: 1,
            estimated_time: estimated_time.and_then(to_proto::duration),
            ..generation::Job::default()
        };
        let trace_parent = trace_parent.map(|parent| parent.to_string()).unwrap_or_default();
        Self(JobRecord {
            job: Some(job),
            fingerprint,
            name_key,
            trace_parent,
            version: VERSION,
            owner,
            measurements: None,
        })
    }

    /// Decodes a record of any version up to `VERSION` and converts it to that version.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] if the bytes are not a record, [`StoreError::Newer`] if a newer server wrote it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut record = JobRecord::decode(bytes)
            .map_err(|error| StoreError::Damaged(format!("a job's record cannot be decoded: {error}")))?;
        if record.job.is_none() {
            return Err(StoreError::Damaged("a job's record holds no job".into()));
        }
        match record.version {
            0 => {
                // Until version 1 a client's name was its credential's name wherever the server asked for one.
                record.owner = record.job.as_ref().map(|job| job.client_id.clone()).unwrap_or_default();
                record.version = 1;
            }
            VERSION => {}
            newer => return Err(StoreError::Newer(newer)),
        }
        Ok(Self(record))
    }

    /// Decodes the record that is stored under a job's id, as [`Record::decode`] does.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as of [`Record::decode`], with the job, and [`StoreError::Damaged`] for the record of another job.
    pub(crate) fn of(job_id: &str, bytes: &[u8]) -> Result<Self, StoreError> {
        let record = Self::decode(bytes).map_err(|error| error.of_job(job_id))?;
        match record.job().job_id == job_id {
            true => Ok(record),
            false => Err(StoreError::Damaged("its record is that of another job".into()).of_job(job_id)),
        }
    }

    /// A record that was decoded elsewhere, in the newest version.
    #[cfg(feature = "fleet")]
    pub(crate) fn of_message(record: JobRecord) -> Self {
        Self(record)
    }

    /// The record as a message.
    #[cfg(feature = "fleet")]
    pub(crate) fn message(&self) -> &JobRecord {
        &self.0
    }

    /// The encoded record, in the newest version.
    pub(crate) fn encode(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }

    /// Whether encoded bytes are of an older version than [`VERSION`].
    pub(super) fn is_outdated(bytes: &[u8]) -> bool {
        JobRecord::decode(bytes).is_ok_and(|record| record.version < VERSION)
    }

    /// The job as clients see it.
    pub(crate) fn job(&self) -> &generation::Job {
        // Never `None`: `decode` and `new` require it.
        static NONE: std::sync::LazyLock<generation::Job> = std::sync::LazyLock::new(generation::Job::default);
        self.0.job.as_ref().unwrap_or(&NONE)
    }

    /// The job, to be changed.
    pub(super) fn job_mut(&mut self) -> &mut generation::Job {
        self.0.job.get_or_insert_default()
    }

    /// Replaces the labels of the job.
    pub(crate) fn set_labels(&mut self, labels: Vec<String>) {
        self.job_mut().labels = labels;
    }

    /// The job without the rest.
    pub(crate) fn into_job(self) -> generation::Job {
        self.0.job.unwrap_or_default()
    }

    /// SHA-256 of the call that created the job.
    pub(crate) fn fingerprint(&self) -> &[u8] {
        &self.0.fingerprint
    }

    /// The key under which a repeated call finds the job; empty if it has none.
    pub(crate) fn name_key(&self) -> &[u8] {
        &self.0.name_key
    }

    /// The credential that owns the job; empty if the server asked for none.
    pub(crate) fn owner(&self) -> &str {
        &self.0.owner
    }

    /// The span of the call that created the job.
    pub(super) fn trace_parent(&self) -> Option<TraceParent> {
        self.0.trace_parent.parse().ok()
    }

    /// What was measured while the job was drawn, if it is completed.
    pub(super) fn measurements(&self) -> Option<&JobMeasurements> {
        self.0.measurements.as_ref()
    }

    /// Sets what was measured while the job was drawn. It is stored with the next event that changes the record.
    pub(super) fn set_measurements(&mut self, measurements: JobMeasurements) {
        self.0.measurements = Some(measurements);
    }

    /// Whether the job has ended.
    pub(crate) fn is_ended(&self) -> bool {
        self.job().end_time.is_some()
    }

    /// Index, size in bytes and SHA-256 of each picture of a job that completed.
    pub(crate) fn pictures(&self) -> Vec<(u32, (u64, &str))> {
        let images = self.job().images.iter().enumerate();
        images.map(|(position, image)| (image.index_at(position), (image.size, image.sha256.as_str()))).collect()
    }

    /// Leaves out the events before a gap or a damaged one, and notes from which one on they are kept. Returns how many are
    /// left out.
    pub(crate) fn keep_whole(&mut self, events: &mut Vec<(u64, Bytes)>) -> usize {
        let whole = stored_events::whole_from(&self.job().job_id, self.is_ended(), events);
        let before = events.len();
        events.retain(|(sequence, _)| *sequence >= whole);
        let is_ended = self.is_ended();
        let job = self.job_mut();
        // Where the last event is gone, nothing can be watched up to the number that would come next.
        let oldest = if is_ended && events.is_empty() { job.next_sequence } else { whole };
        job.oldest_sequence = job.oldest_sequence.max(oldest);
        before - events.len()
    }

    /// The events with their sequence numbers, from within the encoded events; `None` if one is not an event of this job, or
    /// they are not in order.
    pub(crate) fn number(&self, events: &[Bytes]) -> Option<Vec<(u64, Bytes)>> {
        let mut last = None;
        let number = |message: &Bytes| {
            let event = stored_events::decode(0, message).ok()?;
            let is_next = last.replace(event.sequence).is_none_or(|before| before < event.sequence);
            (is_next && event.job_id == self.job().job_id).then(|| (event.sequence, message.clone()))
        };
        events.iter().map(number).collect()
    }

    /// The first sequence number that no event of the job can have, where the store does not say.
    pub(crate) fn safe_sequence(&self, events: &[(u64, Bytes)]) -> u64 {
        let last = events.last().map_or(0, |(sequence, _)| sequence + 1);
        self.job().next_sequence.max(last) + UNKNOWN_SEQUENCES
    }

    /// Applies an event of the job; returns whether it changed the record.
    pub(crate) fn apply(&mut self, event: &generation::GenerateEvent) -> bool {
        use generation::JobState;
        let job = self.job_mut();
        match &event.event {
            Some(generate_event::Event::Started(started)) => {
                job.set_state(JobState::Running);
                job.start_time = event.time;
                job.device.clone_from(&started.device);
            }
            Some(generate_event::Event::Requeued(requeued)) => {
                job.set_state(JobState::Queued);
                job.start_time = None;
                job.device.clear();
                job.attempt = requeued.attempt;
            }
            Some(generate_event::Event::Completed(completed)) => {
                job.set_state(JobState::Completed);
                job.images.clone_from(&completed.images);
                job.actual_time = completed.timings.as_ref().and_then(run_time);
            }
            Some(generate_event::Event::Failed(error)) => {
                job.set_state(JobState::Failed);
                job.error = Some(error.clone());
            }
            Some(generate_event::Event::Cancelled(cancelled)) => {
                job.set_state(JobState::Cancelled);
                job.cancelled = Some(*cancelled);
            }
            Some(generate_event::Event::Accepted(_)) => {}
            _ => return false,
        }
        job.next_sequence = event.sequence + 1;
        if matches!(job.state(), JobState::Completed | JobState::Failed | JobState::Cancelled) {
            job.end_time = event.time;
        }
        true
    }

    /// Brings an old state of the record up to its events.
    pub(crate) fn catch_up(&mut self, events: &[(u64, Bytes)]) {
        for (sequence, message) in events {
            if *sequence >= self.next_sequence()
                && let Ok(event) = stored_events::decode(*sequence, message)
            {
                self.apply(&event);
            }
        }
    }

    /// The sequence number of the next event, as of this state.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.job().next_sequence
    }

    /// Orders the states that were stored of one job by their age.
    pub(crate) fn age(&self) -> (bool, u32, u64) {
        let job = self.job();
        (self.is_ended(), job.attempt, job.next_sequence)
    }

    /// Bytes of the job's pictures.
    pub(crate) fn picture_bytes(&self) -> u64 {
        self.job().images.iter().map(|image| image.size).sum()
    }

    /// The number of pictures of the batch: one more than the largest index that a picture of the job can have.
    pub(super) fn picture_count(&self) -> u32 {
        self.job().request.as_ref().map_or(0, |request| request.images)
    }
}

/// The time from the start of a job to its pictures.
fn run_time(timings: &generation::Timings) -> Option<prost_types::Duration> {
    let time = |time: Option<prost_types::Duration>| time.and_then(sakuga_proto::time::duration);
    let run = time(timings.total)?.checked_sub(time(timings.queued).unwrap_or_default())?;
    to_proto::duration(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> generation::Job {
        generation::Job { job_id: "1".into(), client_id: "alice".into(), ..generation::Job::default() }
    }

    #[test]
    fn a_record_without_a_version_belongs_to_its_client() {
        let old = JobRecord { job: Some(job()), name_key: vec![1], ..JobRecord::default() }.encode_to_vec();
        assert!(Record::is_outdated(&old));
        let record = Record::decode(&old).expect("the first version");
        assert_eq!((record.owner(), record.name_key(), record.job()), ("alice", &[1][..], &job()));
        let new = record.encode();
        assert!(!Record::is_outdated(&new));
        assert_eq!(Record::decode(&new), Ok(record));
    }

    #[test]
    fn what_is_not_a_record_of_this_or_an_older_version_is_an_error() {
        let newer = JobRecord { job: Some(job()), version: VERSION + 1, ..JobRecord::default() };
        assert_eq!(Record::decode(&newer.encode_to_vec()), Err(StoreError::Newer(VERSION + 1)));
        for bytes in [&b""[..], b"\x0a\xff\xff", b"text"] {
            assert!(matches!(Record::decode(bytes), Err(StoreError::Damaged(_))), "{bytes:?}");
        }
    }
}
