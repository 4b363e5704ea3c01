//! [`Watchers`]: whether a job has a reader on any gateway, for jobs that are cancelled without one.

use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::{Client, Request, Subscriber};
use bytes::Bytes;
use futures::StreamExt as _;

use crate::error::FleetError;
use crate::names::Names;

/// How long a gateway with a reader has for its answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether a job has a reader on any gateway. Nothing is stored: a gateway that dies takes its readers with it.
#[derive(Clone, Debug)]
pub struct Watchers {
    client: Client,
    names: Names,
}

impl Watchers {
    pub(crate) fn new(client: Client, names: Names) -> Self {
        Self { client, names }
    }

    /// Whether a gateway has a reader of the job now.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`] if it is not known.
    pub async fn is_watched(&self, job: &str) -> Result<bool, FleetError> {
        let request = Request::new().payload(Bytes::new()).timeout(Some(PATIENCE));
        match self.client.send_request(self.names.watched_of(job), request).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == RequestErrorKind::NoResponders => Ok(false),
            Err(error) => Err(FleetError::nats("look for the readers of a job", &error)),
        }
    }

    /// States that the job has a reader, as long as the result is polled.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`].
    pub async fn watch(&self, job: &str) -> Result<Watching, FleetError> {
        let subscriber = self.client.subscribe(self.names.watched_of(job)).await;
        let subscriber = subscriber.map_err(|error| FleetError::nats("state that a job is read", &error))?;
        Ok(Watching { client: self.client.clone(), subscriber })
    }
}

/// A reader of a job.
pub struct Watching {
    client: Client,
    subscriber: Subscriber,
}

impl Watching {
    /// Answers the questions whether the job has a reader. Never returns. Dropping the future loses nothing.
    pub async fn answer(&mut self) {
        while let Some(message) = self.subscriber.next().await {
            if let Some(reply) = message.reply
                && let Err(error) = self.client.publish(reply, Bytes::new()).await
            {
                tracing::warn!(%error, "it was not answered that a job is read");
            }
        }
        std::future::pending().await
    }
}
