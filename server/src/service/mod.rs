//! The RPCs, one file a service: decode, call, encode. What is decided is decided elsewhere.

pub mod generation;
pub mod jobs;
pub mod prompt;
pub mod system;

use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use futures::Stream;
use sakuga_model_core::{EngineInfo, TokenCounter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::error::ServerError;
use crate::gpu::{DeviceSample, Sampler};
use crate::jobs::Jobs;
use crate::limits::Limits;
use crate::request::RequestRules;
use crate::scheduler::Scheduler;
use crate::telemetry::Observer;
use crate::wire::status;

/// A stream of answers.
type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What every service is made of.
pub struct Context {
    /// What the engine is.
    pub engine: EngineInfo,
    /// Its tokenisers.
    pub tokens: Arc<dyn TokenCounter>,
    /// What a request may ask for.
    pub limits: Limits,
    /// Who decides which job has the device.
    pub scheduler: Arc<Scheduler>,
    /// The jobs.
    pub jobs: Arc<Jobs>,
    /// One permit for each stream of events that may be open.
    pub streams: Arc<Semaphore>,
    /// The newest sample of the device, for signs of life.
    pub latest_sample: watch::Receiver<Option<DeviceSample>>,
    /// Figures of the device.
    pub sampler: Arc<Sampler>,
    /// Looks at what the scheduler and its engine do.
    pub observer: Observer,
    /// Since when the server runs.
    pub started: SystemTime,
    /// Cancelled when endless streams have to end.
    pub closing: CancellationToken,
}

impl Context {
    /// Permission to open a stream of events, which lasts as long as it does.
    fn stream_permit(&self) -> Result<OwnedSemaphorePermit, Status> {
        let permit = self.streams.clone().try_acquire_owned();
        permit.map_err(|_| refuse(&ServerError::TooManyStreams { limit: self.limits.streams_max }))
    }

    /// What requests are checked against.
    fn rules(&self) -> RequestRules<'_> {
        RequestRules { model: &self.engine.model, tokens: self.tokens.as_ref(), limits: &self.limits }
    }
}

/// Runs what may take milliseconds of arithmetic where it delays nobody else.
async fn off_reactor<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ServerError> + Send + 'static,
) -> Result<T, Status> {
    let span = tracing::Span::current();
    // Dropped with the call: work that has not begun by then is not done.
    let gone = CancellationToken::new();
    let _call = gone.clone().drop_guard();
    let work = move || {
        if gone.is_cancelled() {
            return Err(ServerError::Internal("the call is gone".into()));
        }
        span.in_scope(work)
    };
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.unwrap_or_else(|error| Err(ServerError::Internal(error.to_string())));
    done.map_err(|error| refuse(&error))
}

/// The status of a refusal. It is logged at `debug` only: a client may cause many.
fn refuse(error: &ServerError) -> Status {
    let status = status::to_status(error);
    tracing::debug!(code = ?status.code(), %error, "refused");
    status
}
