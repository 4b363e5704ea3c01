//! [`DeadLetters`]: jobs whose workers were lost too often, with the reason. JetStream has no queue for them.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};

use crate::error::FleetError;
use crate::names::Names;
use crate::work::WorkItem;

/// How long the reading of the list waits for its next entry.
const PATIENCE: Duration = Duration::from_secs(2);

/// Jobs whose workers were lost too often. They are kept for 30 days, for an operator who looks for the prompt or the machine that is
/// at fault.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    context: Context,
    names: Names,
}

/// One such job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The job.
    pub job: String,
    /// How many attempts were made.
    pub attempts: u32,
    /// The model.
    pub model: String,
    /// The priority class.
    pub class: String,
    /// The worker that put it here.
    pub worker: String,
    /// Why.
    pub reason: String,
}

impl DeadLetter {
    /// The letter about an item of work.
    pub fn about(item: &WorkItem, attempts: u32, worker: &str, reason: &str) -> Self {
        Self {
            job: item.job.clone(),
            attempts,
            model: item.model.clone(),
            class: item.class.clone(),
            worker: worker.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

impl DeadLetters {
    pub(crate) fn new(context: Context, names: Names) -> Self {
        Self { context, names }
    }

    /// Stores a letter. Called before the item of work is removed, so that none is lost; a second letter about the same job within two
    /// minutes is stored once.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`].
    pub async fn put(&self, letter: &DeadLetter) -> Result<(), FleetError> {
        let failed = |error: &dyn std::error::Error| FleetError::nats("store a dead letter", error);
        let payload = serde_json::to_vec(letter).map_err(|error| failed(&error))?;
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, letter.job.as_str());
        let sent = self.context.publish_with_headers(self.names.dead_of(&letter.job), headers, payload.into()).await;
        sent.map_err(|error| failed(&error))?.await.map(drop).map_err(|error| failed(&error))
    }

    /// The letters that are stored, the oldest first.
    ///
    /// # Errors
    ///
    /// [`FleetError::Damaged`] or [`FleetError::Nats`].
    pub async fn list(&self) -> Result<Vec<DeadLetter>, FleetError> {
        let failed = |error: &dyn std::error::Error| FleetError::nats("read the dead letters", error);
        let stream = self.context.get_stream(self.names.dead()).await.map_err(|error| failed(&error))?;
        let count = usize::try_from(stream.cached_info().state.messages).unwrap_or(usize::MAX);
        let config = pull::Config { ack_policy: AckPolicy::None, memory_storage: true, ..pull::Config::default() };
        let consumer = stream.create_consumer(config).await.map_err(|error| failed(&error))?;
        let mut letters = Vec::new();
        while letters.len() < count {
            let batch = consumer.batch().max_messages((count - letters.len()).min(100)).expires(PATIENCE).messages();
            let mut batch = batch.await.map_err(|error| failed(&error))?;
            let before = letters.len();
            while let Some(message) = batch.next().await {
                let message = message.map_err(|error| FleetError::nats("read the dead letters", error.as_ref()))?;
                let letter = serde_json::from_slice(&message.payload);
                letters.push(letter.map_err(|error| FleetError::Damaged(format!("a dead letter: {error}")))?);
            }
            if letters.len() == before {
                break;
            }
        }
        Ok(letters)
    }
}
