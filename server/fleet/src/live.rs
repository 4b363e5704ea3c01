//! [`LiveEvents`]: previews and samples of running jobs. They may be lost.

use async_nats::jetstream::kv::{Operation, Store};
use async_nats::{Client, Subscriber};
use bytes::Bytes;
use futures::StreamExt as _;
use prost::Message as _;
use sakuga_proto::generation::v1::GenerateEvent;
use sakuga_proto::generation::v1::generate_event::Event;

use crate::error::FleetError;
use crate::names::{Names, token};

/// The largest preview that is sent. It is a small picture; a finished one goes to the object store.
pub const LIVE_BYTES_MAX: usize = 256 * 1024;

/// Previews and samples of running jobs: plain messages that nobody stores, on a connection of their own. A reader that is too slow
/// loses them and no other event. The last preview of each image is kept for readers that come later.
#[derive(Clone, Debug)]
pub struct LiveEvents {
    client: Client,
    last: Store,
    names: Names,
}

impl LiveEvents {
    pub(crate) fn new(client: Client, last: Store, names: Names) -> Self {
        Self { client, last, names }
    }

    /// Sends a preview or sample to the readers of its job.
    ///
    /// # Errors
    ///
    /// [`FleetError::TooLarge`] above 256 KiB, or [`FleetError::Nats`]. The job continues in both cases.
    pub async fn publish(&self, event: &GenerateEvent) -> Result<(), FleetError> {
        let bytes = Bytes::from(event.encode_to_vec());
        if bytes.len() > LIVE_BYTES_MAX {
            let what = format!("a preview of job {}", event.job_id);
            return Err(FleetError::TooLarge { what, bytes: bytes.len(), limit: LIVE_BYTES_MAX });
        }
        if let Some(Event::Preview(preview)) = &event.event {
            let kept = self.last.put(key(&event.job_id, preview.image_index), bytes.clone()).await;
            kept.map_err(|error| FleetError::nats("keep a preview", &error))?;
        }
        let sent = self.client.publish(self.names.live_of(&event.job_id), bytes).await;
        sent.map_err(|error| FleetError::nats("send a preview", &error))
    }

    /// Reads the previews and samples of a job that are sent from now on.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`].
    pub async fn subscribe(&self, job: &str) -> Result<LiveReader, FleetError> {
        let subscriber = self.client.subscribe(self.names.live_of(job)).await;
        let subscriber = subscriber.map_err(|error| FleetError::nats("read previews", &error))?;
        Ok(LiveReader { subscriber, job: job.to_owned() })
    }

    /// The last preview of an image of a job; `None` if none is kept.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`].
    pub async fn last(&self, job: &str, image_index: u32) -> Result<Option<GenerateEvent>, FleetError> {
        let entry = self.last.entry(key(job, image_index)).await;
        let entry = entry.map_err(|error| FleetError::nats("read a preview", &error))?;
        let put = entry.filter(|entry| entry.operation == Operation::Put);
        // A preview that cannot be decoded is skipped.
        Ok(put.and_then(|entry| GenerateEvent::decode(entry.value).ok()).filter(|event| event.job_id == job))
    }
}

/// Reads the previews and samples of a job.
pub struct LiveReader {
    subscriber: Subscriber,
    job: String,
}

impl LiveReader {
    /// The next preview or sample; `None` if the connection was closed. Messages that are not events of the job are left out.
    pub async fn next(&mut self) -> Option<GenerateEvent> {
        loop {
            let message = self.subscriber.next().await?;
            match GenerateEvent::decode(message.payload) {
                Ok(event) if event.job_id == self.job => return Some(event),
                _ => tracing::warn!(job_id = self.job, "a message that is no event of the job"),
            }
        }
    }
}

fn key(job: &str, image_index: u32) -> String {
    format!("{}.{image_index}", token(job))
}
