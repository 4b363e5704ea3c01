//! [`WorkQueue`]: hands jobs to workers, one at a time, and again if a worker dies.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::message::Acker;
use async_nats::jetstream::{AckKind, Context};
use futures::StreamExt as _;
use tokio_util::task::AbortOnDropHandle;

use crate::error::FleetError;
use crate::names::{Names, token};

/// The job of an item.
const JOB: &str = "Sakuga-Job";
/// The attempt that was current when the item was published.
const ATTEMPT: &str = "Sakuga-Attempt";
/// How often an acknowledgement is tried that was not confirmed.
const ACK_TRIES: u32 = 5;
/// Workers that may wait at one queue; a server takes 512 of a consumer that does not say how many it has.
const WORKERS_MAX: i64 = 4096;

/// A job for a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkItem {
    /// The job.
    pub job: String,
    /// Its attempt, from 1.
    pub attempt: u32,
    /// The model that draws it.
    pub model: String,
    /// Its priority class, one word such as `normal`.
    pub class: String,
}

/// The work queue: one subject for each model and priority class, and one consumer for each subject.
///
/// An item is there until a worker confirms that its job has ended. A worker that has an item reports every third of `ack_wait`;
/// an item of a silent worker is delivered again. What a late worker then still sends is refused by the
/// [`EventLog`](crate::EventLog).
#[derive(Clone, Debug)]
pub struct WorkQueue {
    context: Context,
    names: Names,
    ack_wait: Duration,
}

impl WorkQueue {
    pub(crate) fn new(context: Context, names: Names, ack_wait: Duration) -> Self {
        Self { context, names, ack_wait }
    }

    /// Puts an item into the queue. Items for the same attempt within two minutes are stored once; the
    /// [`Attempt`](crate::Attempt) decides about those that are stored twice.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`].
    pub async fn publish(&self, item: &WorkItem) -> Result<(), FleetError> {
        let failed = |error: &dyn std::error::Error| FleetError::nats("publish work", error);
        let mut headers = HeaderMap::new();
        headers.insert(JOB, item.job.as_str());
        headers.insert(ATTEMPT, item.attempt.to_string());
        headers.insert(NATS_MESSAGE_ID, format!("{}.{}", item.job, item.attempt));
        let subject = self.names.work_for(&item.model, &item.class);
        let sent = self.context.publish_with_headers(subject, headers, Vec::new().into()).await;
        sent.map_err(|error| failed(&error))?.await.map(drop).map_err(|error| failed(&error))
    }

    /// The items for a model in a class. Workers that ask for the same share one consumer.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`].
    pub async fn source(&self, model: &str, class: &str) -> Result<WorkSource, FleetError> {
        let ack_wait = self.ack_wait;
        // A stream of work has one consumer for a subject, so its name holds no settings: those of the last worker apply.
        let name = format!("{}-{}", token(model), token(class));
        let config = pull::Config {
            durable_name: Some(name.clone()),
            filter_subject: self.names.work_for(model, class),
            ack_policy: AckPolicy::Explicit,
            ack_wait,
            // Without a bound here: a worker that gets an item too often puts it into the dead letters itself. JetStream would
            // only stop to deliver it.
            max_deliver: -1,
            max_waiting: WORKERS_MAX,
            ..pull::Config::default()
        };
        let consumer = self.context.create_consumer_on_stream(config, self.names.work()).await;
        let consumer = consumer.map_err(|error| FleetError::nats("open a queue of work", &error))?;
        Ok(WorkSource { consumer, ack_wait, model: model.to_owned(), class: class.to_owned() })
    }

    /// Items that wait or that workers have.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`].
    pub async fn depth(&self) -> Result<u64, FleetError> {
        let failed = |error: &dyn std::error::Error| FleetError::nats("count the work", error);
        let stream = self.context.get_stream_no_info(self.names.work()).await.map_err(|error| failed(&error))?;
        Ok(stream.get_info().await.map_err(|error| failed(&error))?.state.messages)
    }
}

/// The items for one model in one class.
#[derive(Clone, Debug)]
pub struct WorkSource {
    consumer: PullConsumer,
    ack_wait: Duration,
    model: String,
    class: String,
}

impl WorkSource {
    /// Takes one item, and waits for it up to `patience`; `None` if there was none. To be called only when a device is free: the
    /// time of an item counts from its delivery. The client's default would take 200 at once.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`].
    pub async fn take(&self, patience: Duration) -> Result<Option<Taken>, FleetError> {
        let failed = |error: &dyn std::error::Error| FleetError::nats("take work", error);
        let batch = self.consumer.batch().max_messages(1).expires(patience).messages().await;
        let mut batch = batch.map_err(|error| failed(&error))?;
        let Some(message) = batch.next().await else { return Ok(None) };
        let message = message.map_err(|error| FleetError::nats("take work", error.as_ref()))?;
        let delivery = message.info().map(|info| info.delivered);
        let delivery = delivery.map_err(|error| FleetError::Damaged(error.to_string()))?;
        let (message, acker) = message.split();
        let header = |name| message.headers.as_ref().and_then(|headers| headers.get(name)).map(|value| value.as_str());
        let attempt = header(ATTEMPT).and_then(|attempt| attempt.parse().ok());
        let (Some(job), Some(attempt)) = (header(JOB), attempt) else {
            // Delivering it again would not help.
            let _ = acker.ack_with(AckKind::Term).await;
            return Err(FleetError::Damaged(format!("an item of work for model `{}` names no job", self.model)));
        };
        let item = WorkItem { job: job.to_owned(), attempt, model: self.model.clone(), class: self.class.clone() };
        let acker = Arc::new(acker);
        let progress = AbortOnDropHandle::new(tokio::spawn(report(acker.clone(), self.ack_wait / 3)));
        Ok(Some(Taken { item, delivery: u64::try_from(delivery).unwrap_or(1), acker, progress }))
    }
}

/// Reports that the item is worked on, so that it is not delivered to another worker.
async fn report(acker: Arc<Acker>, period: Duration) {
    loop {
        tokio::time::sleep(period).await;
        // The next report may get through.
        if let Err(error) = acker.ack_with(AckKind::Progress).await {
            tracing::warn!(%error, "a report to the work queue was not sent");
        }
    }
}

/// An item that a worker has. Dropped without [`done`](Self::done) or [`release`](Self::release), it is delivered again after
/// `ack_wait`, as if the worker had died.
pub struct Taken {
    /// The item.
    pub item: WorkItem,
    /// How often it was delivered, this time included.
    pub delivery: u64,
    acker: Arc<Acker>,
    progress: AbortOnDropHandle<()>,
}

impl Taken {
    /// Removes the item: its job has ended. Returns when the server has confirmed it. If it does not, the item is delivered again, and
    /// the next worker finds that the job has ended.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`].
    pub async fn done(self) -> Result<(), FleetError> {
        let mut last = String::new();
        for _ in 0..ACK_TRIES {
            match self.acker.double_ack().await {
                Ok(()) => return Ok(()),
                Err(error) => last = error.to_string(),
            }
        }
        Err(FleetError::Nats { action: "confirm that work is done", reason: last })
    }

    /// Returns the item to the queue after `delay`: it was not begun, or this worker ends.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`]; then it is delivered after `ack_wait`.
    pub async fn release(self, delay: Duration) -> Result<(), FleetError> {
        let released = self.acker.double_ack_with(AckKind::Nak(Some(delay))).await;
        released.map_err(|error| FleetError::Nats { action: "return work", reason: error.to_string() })
    }

    /// Stops the reports, as a worker does that hangs. For tests.
    #[doc(hidden)]
    pub fn fall_silent(&self) {
        self.progress.abort();
    }
}
