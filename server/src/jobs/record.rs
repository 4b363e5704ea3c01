//! What the store holds of a job: its record, and its events as the wire has them but for the pieces of pictures.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use prost::Message;
use sakuga_proto::generation::v1::{self as generation, generate_event};

use crate::event::Event;
use crate::job::Priority;
use crate::journal::{Entry, EventEncoder, Piece};
use crate::store::StoreError;
use crate::trace::TraceParent;
use crate::wire::from_proto;
use crate::wire::to_proto::{self, JobContext, timestamp};

/// A job as it is written down.
#[derive(Clone, PartialEq, Message)]
pub struct JobRecord {
    /// What clients see.
    #[prost(message, optional, tag = "1")]
    pub job: Option<generation::Job>,
    /// SHA-256 of the call that created it.
    #[prost(bytes = "vec", tag = "2")]
    pub fingerprint: Vec<u8>,
    /// The name under which it is found again; empty if its client gave none.
    #[prost(bytes = "vec", tag = "3")]
    pub name: Vec<u8>,
    /// The span of the call that created it, as `traceparent` has it; empty if nobody observed.
    #[prost(string, tag = "4")]
    pub trace_parent: String,
}

impl JobRecord {
    /// Reads a record.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] if the bytes are none.
    pub fn read(bytes: &[u8]) -> Result<Self, StoreError> {
        Self::decode(bytes).map_err(|error| StoreError::Damaged(format!("a job's record: {error}")))
    }

    /// The job.
    pub fn job(&self) -> generation::Job {
        self.job.clone().unwrap_or_default()
    }

    /// Whether it has ended.
    pub fn is_ended(&self) -> bool {
        self.job.as_ref().is_some_and(|job| job.end_time.is_some())
    }

    /// Bytes of its pictures.
    pub fn picture_bytes(&self) -> u64 {
        self.job.iter().flat_map(|job| &job.images).map(|image| image.size).sum()
    }
}

/// Writes a job's events and keeps its record.
pub struct JobEventEncoder {
    context: JobContext,
    record: JobRecord,
}

impl JobEventEncoder {
    /// A encoder for a job with this record.
    pub fn new(context: JobContext, record: JobRecord) -> Self {
        Self { context, record }
    }

    /// Whether the record changed by what happened.
    fn note(&mut self, event: &generation::GenerateEvent) -> bool {
        let Some(job) = &mut self.record.job else { return false };
        match &event.event {
            Some(generate_event::Event::Started(_)) => {
                job.set_state(generation::JobState::Running);
                job.start_time = event.time;
            }
            Some(generate_event::Event::Requeued(requeued)) => {
                job.set_state(generation::JobState::Queued);
                job.start_time = None;
                job.attempt = requeued.attempt;
            }
            Some(generate_event::Event::Completed(completed)) => {
                job.set_state(generation::JobState::Completed);
                job.images.clone_from(&completed.images);
            }
            Some(generate_event::Event::Failed(error)) => {
                job.set_state(generation::JobState::Failed);
                job.error = Some(error.clone());
            }
            Some(generate_event::Event::Cancelled(cancelled)) => {
                job.set_state(generation::JobState::Cancelled);
                job.cancelled = Some(*cancelled);
            }
            Some(generate_event::Event::Accepted(_)) => {}
            _ => return false,
        }
        job.next_sequence = event.sequence + 1;
        if is_terminal(job.state()) {
            job.end_time = event.time;
        }
        true
    }
}

fn is_terminal(state: generation::JobState) -> bool {
    use generation::JobState;
    matches!(state, JobState::Completed | JobState::Failed | JobState::Cancelled)
}

impl EventEncoder for JobEventEncoder {
    fn write(&mut self, event: Event) -> (Bytes, Option<Vec<u8>>) {
        let message = to_proto::event(&self.context, event);
        let record = self.note(&message).then(|| self.record.encode_to_vec());
        (message.encode_to_vec().into(), record)
    }
}

/// The event of an entry, without its piece.
///
/// # Errors
///
/// [`StoreError::Damaged`] if the bytes are no event.
pub fn event(entry: &Entry) -> Result<generation::GenerateEvent, StoreError> {
    generation::GenerateEvent::decode(entry.message.clone())
        .map_err(|error| StoreError::Damaged(format!("event {}: {error}", entry.sequence)))
}

/// Events as they were written down, with the pieces that belong to them: each ends where the next begins.
///
/// # Errors
///
/// [`StoreError::Damaged`] if one cannot be read.
pub fn entries(stored: Vec<(u64, Bytes)>) -> Result<Vec<Entry>, StoreError> {
    let mut entries = Vec::with_capacity(stored.len());
    // Where the piece after this one begins.
    let mut behind: Option<(u32, u64)> = None;
    for (sequence, message) in stored.into_iter().rev() {
        let mut entry = Entry { sequence, message, piece: None };
        if let Some(generate_event::Event::ImageChunk(chunk)) = event(&entry)?.event {
            let end = match behind {
                Some((image_index, offset)) if image_index == chunk.image_index && offset > chunk.offset => offset,
                _ => chunk.total_size,
            };
            let len = end.saturating_sub(chunk.offset);
            entry.piece = Some(Piece { image_index: chunk.image_index, offset: chunk.offset, len });
            behind = Some((chunk.image_index, chunk.offset));
        }
        entries.push(entry);
    }
    entries.reverse();
    Ok(entries)
}

/// How a job is treated, read from what its client sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobPolicy {
    /// Its share of the device.
    pub priority: Priority,
    /// How long it goes on without a reader; `None`: as long as it takes.
    pub grace: Option<Duration>,
    /// How long it may take.
    pub timeout: Option<Duration>,
}

impl JobPolicy {
    /// Reads the options; what this server does not know counts as not said, and so does a negative time.
    pub fn read(options: &generation::JobOptions) -> Self {
        let time = |time: Option<prost_types::Duration>| time.and_then(from_proto::duration);
        Self {
            priority: match options.priority() {
                generation::Priority::Low => Priority::Low,
                generation::Priority::Unspecified | generation::Priority::Normal => Priority::Normal,
                generation::Priority::High => Priority::High,
            },
            grace: options.cancel_on_disconnect.then(|| time(options.disconnect_grace).unwrap_or_default()),
            timeout: time(options.timeout),
        }
    }
}

/// The record of a job that is accepted now.
pub fn new_record(
    context: &JobContext,
    client_id: &str,
    options: generation::JobOptions,
    fingerprint: Vec<u8>,
    name: Vec<u8>,
    trace_parent: Option<TraceParent>,
) -> JobRecord {
    let now = SystemTime::now();
    let deadline = JobPolicy::read(&options).timeout.and_then(|timeout| now.checked_add(timeout));
    let job = generation::Job {
        job_id: context.job_id.to_string(),
        request_id: context.resolved.request_id.clone(),
        state: generation::JobState::Queued.into(),
        client_id: client_id.to_owned(),
        request: Some(context.resolved.clone()),
        options: Some(options),
        create_time: Some(timestamp(now)),
        deadline: deadline.map(timestamp),
        attempt: 1,
        ..generation::Job::default()
    };
    let trace_parent = trace_parent.map(|parent| parent.to_string()).unwrap_or_default();
    JobRecord { job: Some(job), fingerprint, name, trace_parent }
}
