//! [`Calls`]: questions of gateways that a worker answers, since workers have the models and gateways have none.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::{Client, Request};
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::Semaphore;

use crate::error::FleetError;
use crate::names::Names;

/// How long a worker has for its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The group of workers of which one gets a call.
const GROUP: &str = "workers";
/// Calls that one worker answers at the same time. Others wait.
const AT_ONCE: usize = 8;

/// Questions of gateways that a worker answers, such as the check of a request. Nothing is stored: a call without an answer is
/// repeated by its caller or fails.
#[derive(Clone, Debug)]
pub struct Calls {
    client: Client,
    names: Names,
    max_payload: usize,
}

impl Calls {
    pub(crate) fn new(client: Client, names: Names, max_payload: usize) -> Self {
        Self { client, names, max_payload }
    }

    /// Bytes that a call or an answer may have.
    pub fn bytes_max(&self) -> usize {
        self.max_payload
    }

    /// Asks one of the workers that have `model`, or any worker; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`FleetError::TooLarge`] for the call, or [`FleetError::Nats`], also if the worker does not answer in time.
    pub async fn ask(&self, model: Option<&str>, call: Bytes) -> Result<Option<Bytes>, FleetError> {
        if call.len() > self.max_payload {
            let (what, bytes) = ("a call to a worker".to_owned(), call.len());
            return Err(FleetError::TooLarge { what, bytes, limit: self.max_payload });
        }
        let subject = model.map_or_else(|| self.names.call_any(), |model| self.names.call_of(model));
        let request = Request::new().payload(call).timeout(Some(PATIENCE));
        match self.client.send_request(subject, request).await {
            Ok(answer) => Ok(Some(answer.payload)),
            Err(error) if error.kind() == RequestErrorKind::NoResponders => Ok(None),
            Err(error) => Err(FleetError::nats("ask a worker", &error)),
        }
    }

    /// Answers calls for these models, and calls for any worker. Returns when the connection is closed; the future may be dropped
    /// at any time. An answer has [`bytes_max`](Self::bytes_max) bytes at most.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`] if calls cannot be heard.
    pub async fn serve<A>(
        &self,
        models: &[String],
        answer: impl Fn(Bytes) -> A + Clone + Send + Sync + 'static,
    ) -> Result<(), FleetError>
    where
        A: Future<Output = Bytes> + Send + 'static,
    {
        let mut heard = Vec::new();
        for subject in models.iter().map(|model| self.names.call_of(model)).chain([self.names.call_any()]) {
            let subscriber = self.client.queue_subscribe(subject, GROUP.to_owned()).await;
            heard.push(subscriber.map_err(|error| FleetError::nats("hear calls", &error))?);
        }
        let mut heard = futures::stream::select_all(heard);
        let at_once = Arc::new(Semaphore::new(AT_ONCE));
        while let Some(message) = heard.next().await {
            let Some(reply) = message.reply else { continue };
            // The semaphore is never closed.
            let permit = at_once.clone().acquire_owned().await.ok();
            let (client, answer) = (self.client.clone(), answer.clone());
            tokio::spawn(async move {
                let answered = answer(message.payload).await;
                // The caller asks again.
                if let Err(error) = client.publish(reply, answered).await {
                    tracing::warn!(%error, "a call was not answered");
                }
                drop(permit);
            });
        }
        Ok(())
    }
}
