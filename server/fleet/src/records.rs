//! [`Records`]: the records of jobs, changed by compare-and-set.

use std::ops::ControlFlow;

use async_nats::jetstream::kv::{CreateErrorKind, Entry, Operation, Store, UpdateErrorKind, Watch};
use bytes::Bytes;
use futures::StreamExt as _;
use prost::Message as _;
use sakuga_proto::internal::store::v1::JobRecord;

use crate::error::FleetError;
use crate::layout::DELETED_MARK;
use crate::names::token;

/// How often a change is tried while others change the same record.
const TRIES: usize = 64;

/// The records of jobs: one key a job, the newest value only. A record follows the job's events, which are the truth: see
/// [`EventLog`](crate::EventLog).
#[derive(Clone, Debug)]
pub struct Records {
    bucket: Store,
    max_payload: usize,
}

/// A record and the revision at which it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Revised {
    /// The record.
    pub record: JobRecord,
    /// What a change compares.
    pub revision: u64,
}

/// A change of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordChange {
    /// The record is new or has changed.
    Put(Box<Revised>),
    /// The job was deleted.
    Deleted {
        /// The key, which is the [`token`] of the job's id.
        key: String,
    },
    /// All records that existed when the watch began were returned.
    Current,
}

impl Records {
    pub(crate) fn new(bucket: Store, max_payload: usize) -> Self {
        Self { bucket, max_payload }
    }

    /// Stores the record of a new job.
    ///
    /// # Errors
    ///
    /// [`FleetError::Conflict`] if the job has a record, [`FleetError::TooLarge`] or [`FleetError::Nats`].
    pub async fn create(&self, job: &str, record: &JobRecord) -> Result<u64, FleetError> {
        let created = self.bucket.create(token(job), self.encode(job, record)?).await;
        created.map_err(|error| match error.kind() {
            CreateErrorKind::AlreadyExists => FleetError::Conflict(format!("the record of job {job}")),
            _ => FleetError::nats("create a record", &error),
        })
    }

    /// The record of a job; `None` if there is none. It is read from the leader of the bucket, never from a replica that lags.
    ///
    /// # Errors
    ///
    /// [`FleetError::Damaged`] or [`FleetError::Nats`].
    pub async fn get(&self, job: &str) -> Result<Option<Revised>, FleetError> {
        let entry = self.bucket.entry(token(job)).await.map_err(|error| FleetError::nats("read a record", &error))?;
        entry.filter(|entry| entry.operation == Operation::Put).map(|entry| revised(&entry)).transpose()
    }

    /// Stores a record if it was not changed since it was read at `revision`.
    ///
    /// # Errors
    ///
    /// [`FleetError::Conflict`] if it was, [`FleetError::TooLarge`] or [`FleetError::Nats`].
    pub async fn update(&self, job: &str, record: &JobRecord, revision: u64) -> Result<u64, FleetError> {
        let updated = self.bucket.update(token(job), self.encode(job, record)?, revision).await;
        updated.map_err(|error| match error.kind() {
            UpdateErrorKind::WrongLastRevision => FleetError::Conflict(format!("the record of job {job}")),
            _ => FleetError::nats("change a record", &error),
        })
    }

    /// Changes a record, again with its newest value if another writer was first. `change` returns `Break` to leave it as it
    /// is. Returns the record as it is stored then; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`FleetError`], and [`FleetError::Conflict`] if other writers were first 64 times.
    pub async fn change(
        &self,
        job: &str,
        change: impl Fn(&mut JobRecord) -> ControlFlow<()>,
    ) -> Result<Option<Revised>, FleetError> {
        let mut last = FleetError::Conflict(format!("the record of job {job}"));
        for _ in 0..TRIES {
            let Some(mut read) = self.get(job).await? else { return Ok(None) };
            if change(&mut read.record).is_break() {
                return Ok(Some(read));
            }
            match self.update(job, &read.record, read.revision).await {
                Ok(revision) => return Ok(Some(Revised { revision, ..read })),
                Err(error @ FleetError::Conflict(_)) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Deletes the record of a job; does nothing if there is none.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`].
    pub async fn delete(&self, job: &str) -> Result<(), FleetError> {
        let deleted = self.bucket.purge_with_ttl(token(job), DELETED_MARK).await;
        deleted.map_err(|error| FleetError::nats("delete a record", &error))
    }

    /// Every record and every later change, for an index in memory.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`].
    pub async fn watch(&self) -> Result<RecordWatch, FleetError> {
        let failed = |error: &dyn std::error::Error| FleetError::nats("watch the records", error);
        // The client marks the last of the existing entries. Without one there is nothing to mark. Its `status` is that of when the
        // bucket was opened.
        let info = self.bucket.stream.get_info().await.map_err(|error| failed(&error))?;
        let is_empty = info.state.messages == 0;
        let watch = self.bucket.watch_with_history(">").await.map_err(|error| failed(&error))?;
        Ok(RecordWatch { watch, announce_current: is_empty, was_current: false })
    }

    fn encode(&self, job: &str, record: &JobRecord) -> Result<Bytes, FleetError> {
        let bytes = record.encode_to_vec();
        let limit = self.max_payload;
        if bytes.len() > limit {
            return Err(FleetError::TooLarge { what: format!("the record of job {job}"), bytes: bytes.len(), limit });
        }
        Ok(bytes.into())
    }
}

/// The changes of all records.
pub struct RecordWatch {
    watch: Watch,
    announce_current: bool,
    was_current: bool,
}

impl RecordWatch {
    /// The next change. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`FleetError`]; after [`FleetError::Nats`] the watch has ended and has to be opened again.
    pub async fn next(&mut self) -> Result<RecordChange, FleetError> {
        if std::mem::take(&mut self.announce_current) && !std::mem::replace(&mut self.was_current, true) {
            return Ok(RecordChange::Current);
        }
        let ended = || FleetError::Nats { action: "watch the records", reason: "the watch has ended".into() };
        let entry = self.watch.next().await.ok_or_else(ended)?;
        let entry = entry.map_err(|error| FleetError::nats("watch the records", &error))?;
        self.announce_current = entry.seen_current && !self.was_current;
        match entry.operation {
            Operation::Put => revised(&entry).map(|revised| RecordChange::Put(Box::new(revised))),
            Operation::Delete | Operation::Purge => Ok(RecordChange::Deleted { key: entry.key }),
        }
    }
}

fn revised(entry: &Entry) -> Result<Revised, FleetError> {
    let damaged = |what: String| FleetError::Damaged(format!("record {}: {what}", entry.key));
    let record = JobRecord::decode(entry.value.clone()).map_err(|error| damaged(error.to_string()))?;
    match record.job.as_ref().map(|job| token(&job.job_id)) {
        Some(key) if key == entry.key => Ok(Revised { record, revision: entry.revision }),
        _ => Err(damaged("it is that of another job".into())),
    }
}
