//! The gRPC services, one file each. They decode messages, call the domain code and encode answers; they contain no rules of their
//! own. `openai` makes the same calls from HTTP.

pub(crate) mod assets;
pub(crate) mod caller;
mod event_stream;
pub(crate) mod generation;
pub(crate) mod jobs;
pub(crate) mod models;
pub(crate) mod pages;
pub(crate) mod prompt;
pub(crate) mod reflection;
pub(crate) mod system;
mod watch_stream;

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::adapters::Adapters;
use crate::assets::Assets;
use crate::error::ServerError;
use crate::gpu::{DeviceSample, Sampler};
use crate::jobs::Jobs;
use crate::limits::Limits;
use crate::models::{Catalog, MemoryBudget};
use crate::scheduler::Scheduler;
use crate::telemetry::ActivityProbe;
use crate::transport::large_answer::LargeAnswer;
use crate::transport::outgoing::Outgoing;
use crate::wire::status;

/// A stream of answers.
type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The state that all services share.
pub(crate) struct Context {
    /// The models, with the limits of requests for each.
    pub models: Arc<Catalog>,
    /// The adapters that requests may use.
    pub adapters: Arc<Adapters>,
    /// Limits of the memory for weights.
    pub memory_budget: MemoryBudget,
    /// How much is served at once.
    pub limits: Limits,
    /// Assigns jobs to devices.
    pub scheduler: Arc<Scheduler>,
    pub jobs: Arc<Jobs>,
    /// The files of clients.
    pub assets: Arc<Assets>,
    /// How long a call that uploads may send nothing.
    pub asset_idle: Duration,
    /// One permit for each stream of events that may be open.
    pub streams: Arc<Semaphore>,
    /// Bounds what is handed to connections and not written yet.
    pub outgoing: Outgoing,
    /// One permit for each request that may be estimated at once: it may hold decoded images.
    pub estimates: Arc<Semaphore>,
    /// One permit for each answer with whole jobs that may be built at once.
    pub large_answers: Arc<Semaphore>,
    /// The newest sample of the device, for streams without events.
    pub latest_sample: watch::Receiver<Option<DeviceSample>>,
    /// Samples of the device.
    pub sampler: Arc<Sampler>,
    /// Reports on the activity of the scheduler and its engine.
    pub activity: ActivityProbe,
    /// When the server started.
    pub started: SystemTime,
    /// Cancelled at a shutdown, to end the streams that would not end by themselves.
    pub closing: CancellationToken,
}

impl Context {
    /// A permit for a stream of events, to be held while the stream is open.
    pub(crate) fn stream_permit(&self) -> Result<OwnedSemaphorePermit, Status> {
        let permit = self.streams.clone().try_acquire_owned();
        permit.map_err(|_| refuse(&ServerError::TooManyStreams { limit: self.limits.streams_max }))
    }

    /// Waits for a permit for an answer with whole jobs. Decoded jobs take many times the memory of encoded ones, so only a few
    /// calls hold them at a time.
    async fn large_answer(&self) -> LargeAnswer {
        // The semaphore is never closed; without a permit the answer is not bounded, and not refused either.
        LargeAnswer::new(self.large_answers.clone().acquire_owned().await.ok())
    }
}

/// Whether a call was cancelled; cheap enough to check in the middle of its work.
#[derive(Clone, Debug)]
pub(crate) struct CallAlive(CancellationToken);

impl CallAlive {
    /// Fails if the call was cancelled, to end its work.
    ///
    /// # Errors
    ///
    /// [`ServerError::Internal`], which nobody receives.
    pub(crate) fn check(&self) -> Result<(), ServerError> {
        match self.0.is_cancelled() {
            true => Err(ServerError::Internal("the call is gone".into())),
            false => Ok(()),
        }
    }
}

/// Runs computation of some milliseconds on a thread that may block. `work` checks between its parts whether the call
/// was cancelled.
pub(crate) async fn off_reactor<T: Send + 'static>(
    work: impl FnOnce(&CallAlive) -> Result<T, ServerError> + Send + 'static,
) -> Result<T, Status> {
    let span = tracing::Span::current();
    // Dropped with the call: work that has not begun by then is not done.
    let gone = CancellationToken::new();
    let _call = gone.clone().drop_guard();
    let alive = CallAlive(gone);
    let work = move || {
        alive.check()?;
        span.in_scope(|| work(&alive))
    };
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.unwrap_or_else(|error| Err(ServerError::Internal(error.to_string())));
    done.map_err(|error| refuse(&error))
}

/// The status of a refusal. It is logged at `debug` only: a client may cause many.
pub(crate) fn refuse(error: &ServerError) -> Status {
    let status = status::to_status(error);
    tracing::debug!(code = ?status.code(), %error, "refused");
    status
}
