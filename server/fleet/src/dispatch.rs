//! [`Dispatch`]: a worker with a free device asks for a job, and the one scheduler of the fleet picks it.

use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::{Client, Message, Request};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};

use crate::error::FleetError;
use crate::lease::Lease;
use crate::names::Names;
use crate::work::{WorkItem, WorkQueue};

/// How long the scheduler has for its answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a worker with a free device says when it asks for a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ask {
    /// The worker's name.
    pub worker: String,
    /// The full name of the free device.
    pub device: String,
    /// The models whose weights are on it.
    pub loaded: Vec<String>,
    /// The models that it can load.
    pub loadable: Vec<String>,
}

/// Where the worker finds the job that was picked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The model of the queue.
    pub model: String,
    /// Its priority class.
    pub class: String,
}

/// The order of the jobs that wait: the fair queue of the scheduler.
pub trait Order: Send {
    /// Takes the next job for this device out of the order; `None` if there is none for it.
    fn pick(&mut self, ask: &Ask) -> Option<WorkItem>;
    /// Puts a job back to where it was: it could not be published.
    fn restore(&mut self, item: WorkItem);
}

/// Which job a worker with a free device gets.
///
/// A job is published to the work queue only when a device is free for it, so that the order is decided as late as possible and no
/// worker has jobs that wait. The scheduler holds a lease. A scheduler that lost it does no harm: a job that is published twice is drawn
/// once, see [`Attempt::begin`](crate::Attempt::begin).
#[derive(Clone, Debug)]
pub struct Dispatch {
    client: Client,
    names: Names,
    work: WorkQueue,
}

impl Dispatch {
    pub(crate) fn new(client: Client, names: Names, work: WorkQueue) -> Self {
        Self { client, names, work }
    }

    /// Asks for a job; `None` if no job waits for this device, or no scheduler is there at the moment. The job is then in the work
    /// queue of the offer. A worker looks into the queues of its models also without an offer: items of workers that died, and offers
    /// whose answer was lost, wait there.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`].
    pub async fn ask(&self, ask: &Ask) -> Result<Option<Offer>, FleetError> {
        let failed = |error: &dyn std::error::Error| FleetError::nats("ask for a job", error);
        let payload = serde_json::to_vec(ask).map_err(|error| failed(&error))?;
        let request = Request::new().payload(payload.into()).timeout(Some(PATIENCE));
        match self.client.send_request(self.names.ask(), request).await {
            Ok(answer) if answer.payload.is_empty() => Ok(None),
            Ok(answer) => serde_json::from_slice(&answer.payload).map(Some).map_err(|error| failed(&error)),
            Err(error) if matches!(error.kind(), RequestErrorKind::NoResponders | RequestErrorKind::TimedOut) => {
                Ok(None)
            }
            Err(error) => Err(failed(&error)),
        }
    }

    /// Answers workers in this order as long as the lease is held, and renews it. Returns when the lease is lost; the future may be
    /// dropped at any time.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`] if the requests of workers cannot be received.
    pub async fn serve(&self, lease: &mut Lease, order: &mut impl Order) -> Result<(), FleetError> {
        let asked = self.client.subscribe(self.names.ask()).await;
        let mut asked = asked.map_err(|error| FleetError::nats("receive requests of workers", &error))?;
        let mut renewal = tokio::time::interval(lease.period());
        renewal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while lease.is_held() {
            tokio::select! {
                _ = renewal.tick() => match tokio::time::timeout(lease.period(), lease.renew()).await {
                    Ok(Ok(true)) => {}
                    Ok(Ok(false)) => break,
                    // Tried again as long as it is held.
                    Ok(Err(error)) => tracing::warn!(%error, "the scheduler's lease was not renewed"),
                    Err(_) => tracing::warn!("the scheduler's lease was not renewed in time"),
                },
                message = asked.next() => match message {
                    Some(message) if lease.is_held() => self.answer(&message, order).await,
                    Some(_) => {}
                    None => return Err(FleetError::Nats { action: "receive requests of workers", reason: "the connection is closed".into() }),
                },
            }
        }
        tracing::warn!(term = lease.term(), "another process schedules now, or NATS cannot be reached");
        Ok(())
    }

    async fn answer(&self, message: &Message, order: &mut impl Order) {
        let Some(reply) = &message.reply else { return };
        let Ok(ask) = serde_json::from_slice::<Ask>(&message.payload) else {
            tracing::warn!("a worker's question cannot be read");
            return;
        };
        let offer = match order.pick(&ask) {
            Some(item) => match self.work.publish(&item).await {
                Ok(()) => serde_json::to_vec(&Offer { model: item.model, class: item.class }).unwrap_or_default(),
                Err(error) => {
                    tracing::warn!(job_id = item.job, %error, "a job cannot be given to a worker");
                    order.restore(item);
                    Vec::new()
                }
            },
            None => Vec::new(),
        };
        // A worker without an answer asks again.
        if let Err(error) = self.client.publish(reply.clone(), offer.into()).await {
            tracing::warn!(%error, "a worker was not answered");
        }
    }
}
