//! [`Follower`]: reads the events of one job in order, each once, over lost connections and replaced consumers.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use futures::StreamExt as _;
use prost::Message as _;
use sakuga_proto::generation::v1::GenerateEvent;
use tokio::runtime::Handle;

use crate::error::FleetError;
use crate::tail::{PREVIOUS, Phase, Tail, number};

/// How often a consumer is recreated, without an event in between, before the reader gets the error.
const FAILURES_MAX: u32 = 8;
/// The pause before a consumer is recreated; it grows with each failure.
const PAUSE: Duration = Duration::from_millis(100);

/// Events on their way to a reader.
const BATCH: usize = 64;
/// How often the server shows that a consumer without events is there.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long one request for events lasts.
const EXPIRES: Duration = Duration::from_secs(20);
/// When the server removes a consumer that nobody reads.
const INACTIVE: Duration = Duration::from_secs(10);

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// The event. Its sequence number is that of the job.
    pub event: GenerateEvent,
    /// The encoded event.
    pub bytes: Bytes,
    /// The tail of the job's events once it is the last.
    pub tail: Tail,
}

/// Reads the events of one job in order. The numbers of the stream have holes for one job, so the order is checked by the numbers
/// of the job: each event names the one before it.
pub struct Follower {
    stream: Stream<()>,
    subject: String,
    job: String,
    messages: Option<Messages>,
    /// The last event that was returned.
    last: Option<Tail>,
    failures: u32,
}

impl Follower {
    pub(crate) fn new(stream: Stream<()>, subject: String, job: &str) -> Self {
        Self { stream, subject, job: job.to_owned(), messages: None, last: None, failures: 0 }
    }

    /// The next event; `None` after the terminal one. Waits without end for one of a job that was deleted meanwhile. Dropping the
    /// future loses nothing.
    ///
    /// # Errors
    ///
    /// [`FleetError::Damaged`] if an event is missing or not one of this job, or [`FleetError::Nats`] if NATS cannot be read for
    /// several seconds. The call may be repeated.
    pub async fn next(&mut self) -> Result<Option<StoredEvent>, FleetError> {
        loop {
            if self.last.as_ref().is_some_and(|last| last.phase == Phase::Ended) {
                self.messages = None;
                return Ok(None);
            }
            let messages = match &mut self.messages {
                Some(messages) => messages,
                none => match consumer(&self.stream, &self.subject, self.last.as_ref()).await {
                    Ok(made) => none.insert(made),
                    Err(error) => {
                        self.pause_after(error).await?;
                        continue;
                    }
                },
            };
            let message = match messages.stream.next().await {
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    self.messages = None;
                    self.pause_after(FleetError::nats("read events", &error)).await?;
                    continue;
                }
                None => {
                    self.messages = None;
                    continue;
                }
            };
            let info = message.info().map_err(|error| FleetError::Damaged(error.to_string()))?;
            let position = info.stream_sequence;
            if self.last.as_ref().is_some_and(|last| position <= last.position) {
                continue;
            }
            match self.take(position, &message) {
                Ok(event) => {
                    self.failures = 0;
                    return Ok(Some(event));
                }
                // A server that dies may lose a delivery and not the event: it is read again before it counts as damaged.
                Err(error) => {
                    self.messages = None;
                    self.pause_after(error).await?;
                }
            }
        }
    }

    /// Checks that an event is the next one of the job.
    fn take(&mut self, position: u64, message: &async_nats::Message) -> Result<StoredEvent, FleetError> {
        let damaged = |what: String| Err(FleetError::Damaged(format!("job {}, event at {position}: {what}", self.job)));
        let empty = async_nats::HeaderMap::new();
        let headers = message.headers.as_ref().unwrap_or(&empty);
        let tail = Tail::read(&self.job, position, headers)?;
        let (previous, expected) = (number(headers, PREVIOUS), self.last.as_ref().and_then(|last| last.sequence));
        if previous != expected {
            return damaged(format!("it follows event {previous:?}, and {expected:?} was read before it"));
        }
        let event = match GenerateEvent::decode(message.payload.clone()) {
            Ok(event) => event,
            Err(error) => return damaged(error.to_string()),
        };
        if event.job_id != self.job || Some(event.sequence) != tail.sequence {
            return damaged("it is another event than its headers say".into());
        }
        self.last = Some(tail.clone());
        Ok(StoredEvent { event, bytes: message.payload.clone(), tail })
    }

    async fn pause_after(&mut self, error: FleetError) -> Result<(), FleetError> {
        self.failures += 1;
        if self.failures > FAILURES_MAX {
            self.failures = 0;
            return Err(error);
        }
        tokio::time::sleep(PAUSE * self.failures).await;
        Ok(())
    }
}

/// A consumer of the events after the last one that was read. It is in the memory of one server: when that server dies, a missed
/// heartbeat shows it within two seconds, and another consumer continues after the last event.
async fn consumer(events: &Stream<()>, subject: &str, last: Option<&Tail>) -> Result<Messages, FleetError> {
    let failed = |error: &dyn std::error::Error| FleetError::nats("read events", error);
    let deliver_policy = match last {
        Some(last) => DeliverPolicy::ByStartSequence { start_sequence: last.position + 1 },
        None => DeliverPolicy::All,
    };
    let config = pull::Config {
        filter_subject: subject.to_owned(),
        deliver_policy,
        ack_policy: AckPolicy::None,
        inactive_threshold: INACTIVE,
        memory_storage: true,
        num_replicas: 1,
        ..Default::default()
    };
    let consumer = events.create_consumer(config).await.map_err(|error| failed(&error))?;
    let name = consumer.cached_info().name.clone();
    let stream = consumer.stream().max_messages_per_batch(BATCH).heartbeat(HEARTBEAT).expires(EXPIRES).messages().await;
    Ok(Messages { stream: stream.map_err(|error| failed(&error))?, events: events.clone(), name })
}

/// The messages of a consumer. Dropping it removes the consumer: a server has a limit of them, and those of readers that have gone
/// would count towards it until they are removed as inactive.
struct Messages {
    stream: pull::Stream,
    events: Stream<()>,
    name: String,
}

impl Drop for Messages {
    fn drop(&mut self) {
        // At the end of the process the server removes it.
        let Ok(runtime) = Handle::try_current() else { return };
        let (events, name) = (self.events.clone(), std::mem::take(&mut self.name));
        runtime.spawn(async move {
            if let Err(error) = events.delete_consumer(&name).await {
                tracing::debug!(%error, "the consumer of a reader is removed later");
            }
        });
    }
}
