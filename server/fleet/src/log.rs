//! [`EventLog`]: the events of all jobs in one stream, appended by compare-and-set and read in order.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use async_nats::jetstream::{Context, message::StreamMessage};
use bytes::Bytes;
use prost::Message as _;
use sakuga_proto::generation::v1::GenerateEvent;
use uuid::Uuid;

use crate::error::FleetError;
use crate::follow::{Follower, StoredEvent};
use crate::names::Names;
use crate::tail::{Phase, Tail, WRITER};

/// How often an append whose answer was lost is tried.
const TRIES: u32 = 6;
/// The pause before the second try; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The events of all jobs: one stream, one subject for each job.
///
/// An event is appended only after the tail that its writer knows, so that of two writers of one job the later one fails. What
/// JetStream acknowledges is one event; which events a job has is decided here and nowhere else. Records and work follow.
#[derive(Clone, Debug)]
pub struct EventLog {
    context: Context,
    stream: Stream<()>,
    names: Names,
    max_payload: usize,
}

impl EventLog {
    pub(crate) async fn open(context: Context, names: Names, max_payload: usize) -> Result<Self, FleetError> {
        let stream = context.get_stream_no_info(names.events()).await;
        let stream = stream.map_err(|error| FleetError::nats("open the stream of events", &error))?;
        Ok(Self { context, stream, names, max_payload })
    }

    /// The end of a job's events, read from the leader of the stream; `None` if the job has no event.
    ///
    /// # Errors
    ///
    /// [`FleetError::Damaged`] or [`FleetError::Nats`].
    pub async fn tail(&self, job: &str) -> Result<Option<Tail>, FleetError> {
        let Some(last) = self.last(job).await? else { return Ok(None) };
        Tail::read(job, last.sequence, &last.headers).map(Some)
    }

    /// The last event of a job, read from the leader of the stream; `None` if the job has no event.
    ///
    /// # Errors
    ///
    /// [`FleetError::Damaged`] or [`FleetError::Nats`].
    pub async fn last_event(&self, job: &str) -> Result<Option<GenerateEvent>, FleetError> {
        let Some(last) = self.last(job).await? else { return Ok(None) };
        let event = GenerateEvent::decode(last.payload);
        event.map(Some).map_err(|error| FleetError::Damaged(format!("the last event of job {job}: {error}")))
    }

    /// Appends an event after `tail`, which then includes it. The event has a larger sequence number than the one before. An answer
    /// that is lost is no error: whether the event was stored is looked up.
    ///
    /// # Errors
    ///
    /// [`FleetError::Superseded`] if another writer appended to the job first, or the job has ended. Then the event is not stored,
    /// and no later event of this writer will be. [`FleetError::TooLarge`], or [`FleetError::Nats`] if it is not known
    /// whether it is stored: then the tail has to be read again.
    pub async fn append(&self, tail: &mut Tail, event: &GenerateEvent) -> Result<(), FleetError> {
        let superseded = || FleetError::Superseded { job: tail.job.clone(), attempt: tail.attempt };
        let Some(body) = &event.event else { return Err(FleetError::Damaged("an event without a body".into())) };
        if tail.phase == Phase::Ended {
            return Err(superseded());
        }
        if event.sequence < tail.next_sequence() || event.job_id != tail.job {
            return Err(FleetError::Damaged(format!(
                "event {} of job {} cannot follow event {:?} of job {}",
                event.sequence, event.job_id, tail.sequence, tail.job
            )));
        }
        let payload = Bytes::from(event.encode_to_vec());
        if payload.len() > self.max_payload {
            let what = format!("event {} of job {}", event.sequence, tail.job);
            return Err(FleetError::TooLarge { what, bytes: payload.len(), limit: self.max_payload });
        }
        let next = tail.after(body, event.sequence, tail.position);
        let writer = Uuid::now_v7().to_string();
        let mut headers = next.headers(tail, &writer);
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, tail.position.to_string());
        let mut pause = FIRST_PAUSE;
        let mut last_error = FleetError::Nats { action: "append an event", reason: "it was not tried".into() };
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            let error = match self.publish(&tail.job, headers.clone(), payload.clone()).await {
                Ok(position) => {
                    *tail = Tail { position, ..next };
                    return Ok(());
                }
                Err(error) => error,
            };
            // Also after an answer that was lost: the event may be stored, or that of another writer.
            match self.last(&tail.job).await {
                Ok(Some(last)) if is_of(&last.headers, &writer) => {
                    *tail = Tail { position: last.sequence, ..next };
                    return Ok(());
                }
                Ok(last) if last.as_ref().map_or(0, |last| last.sequence) != tail.position => return Err(superseded()),
                Ok(_) => last_error = FleetError::nats("append an event", &error),
                Err(read) => last_error = read,
            }
            if error.kind() == PublishErrorKind::MaxPayloadExceeded {
                break;
            }
        }
        Err(last_error)
    }

    /// The events of a job that are stored now, in order.
    ///
    /// # Errors
    ///
    /// [`FleetError::Damaged`] if one is missing, or [`FleetError::Nats`].
    pub async fn read(&self, job: &str) -> Result<Vec<StoredEvent>, FleetError> {
        let Some(last) = self.last(job).await? else { return Ok(Vec::new()) };
        let mut follower = self.follow(job);
        let mut events: Vec<StoredEvent> = Vec::new();
        while events.last().is_none_or(|event| event.tail.position < last.sequence) {
            match follower.next().await? {
                Some(event) => events.push(event),
                None => break,
            }
        }
        Ok(events)
    }

    /// Reads a job's events from the first on, and waits for those that come. Each is returned once, in order.
    pub fn follow(&self, job: &str) -> Follower {
        Follower::new(self.stream.clone(), self.names.events_of(job), job)
    }

    /// Deletes all events of a job.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`].
    pub async fn delete(&self, job: &str) -> Result<(), FleetError> {
        let purged = self.stream.purge().filter(self.names.events_of(job)).await;
        purged.map(drop).map_err(|error| FleetError::nats("delete the events of a job", &error))
    }

    async fn publish(&self, job: &str, headers: HeaderMap, payload: Bytes) -> Result<u64, PublishError> {
        let sent = self.context.publish_with_headers(self.names.events_of(job), headers, payload).await?;
        Ok(sent.await?.sequence)
    }

    /// The last event of a job, from the leader of the stream.
    async fn last(&self, job: &str) -> Result<Option<StreamMessage>, FleetError> {
        match self.stream.get_last_raw_message_by_subject(&self.names.events_of(job)).await {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(FleetError::nats("read the last event of a job", &error)),
        }
    }
}

fn is_of(headers: &HeaderMap, writer: &str) -> bool {
    headers.get(WRITER).is_some_and(|of| of.as_str() == writer)
}
