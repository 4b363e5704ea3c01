//! Cancellation of a job that a worker has: a request to that worker, which answers.

use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::{Client, Request, Subscriber};
use futures::StreamExt as _;

use crate::error::FleetError;
use crate::names::Names;

/// How long a worker has for its answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks workers to cancel jobs, and receives such requests.
///
/// Requests are not stored. A caller repeats one until a worker answers or the job has ended; a job that no worker has is ended by
/// the caller, with an event of its own.
#[derive(Clone, Debug)]
pub struct Cancels {
    client: Client,
    names: Names,
}

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The worker ends the job at its next step.
    Cancelling,
    /// No worker has the job at the moment.
    NoWorker,
}

impl Cancels {
    pub(crate) fn new(client: Client, names: Names) -> Self {
        Self { client, names }
    }

    /// Asks the worker of a job to cancel it, for a reason that the worker understands.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`] if it is not known; the request may be repeated.
    pub async fn ask(&self, job: &str, reason: &str) -> Result<Asked, FleetError> {
        let request = Request::new().payload(reason.to_owned().into()).timeout(Some(PATIENCE));
        match self.client.send_request(self.names.cancel_of(job), request).await {
            Ok(_) => Ok(Asked::Cancelling),
            Err(error) if error.kind() == RequestErrorKind::NoResponders => Ok(Asked::NoWorker),
            Err(error) => Err(FleetError::nats("cancel a job", &error)),
        }
    }

    /// Receives requests to cancel a job, from before the worker appends `started`.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`].
    pub async fn hear(&self, job: &str) -> Result<CancelRequests, FleetError> {
        let subscriber = self.client.subscribe(self.names.cancel_of(job)).await;
        let subscriber = subscriber.map_err(|error| FleetError::nats("receive cancellations", &error))?;
        Ok(CancelRequests { client: self.client.clone(), subscriber })
    }
}

/// Requests to cancel one job.
pub struct CancelRequests {
    client: Client,
    subscriber: Subscriber,
}

impl CancelRequests {
    /// Waits for a request, answers it and returns its reason. Never returns if none comes.
    pub async fn next(&mut self) -> String {
        let Some(message) = self.subscriber.next().await else { return std::future::pending().await };
        if let Some(reply) = message.reply
            && let Err(error) = self.client.publish(reply, bytes::Bytes::new()).await
        {
            tracing::warn!(%error, "a request to cancel was not answered");
        }
        String::from_utf8_lossy(&message.payload).into_owned()
    }
}
