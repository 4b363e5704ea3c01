//! The gRPC services, one file each: decode, call, encode. They decide nothing themselves.

mod caller;
pub mod generation;
pub mod jobs;
pub mod prompt;
pub mod reflection;
pub mod system;
mod watch_stream;

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
use crate::telemetry::ActivityProbe;
use crate::wire::status;

/// A stream of answers.
type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What the services share.
pub struct Context {
    /// What the engine is.
    pub engine: EngineInfo,
    /// Its tokenisers.
    pub tokens: Arc<dyn TokenCounter>,
    /// What a request may ask for.
    pub limits: Limits,
    /// Decides which job has the device.
    pub scheduler: Arc<Scheduler>,
    /// The jobs.
    pub jobs: Arc<Jobs>,
    /// One permit for each stream of events that may be open.
    pub streams: Arc<Semaphore>,
    /// The newest sample of the device, for streams on which nothing happens.
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
    fn stream_permit(&self) -> Result<OwnedSemaphorePermit, Status> {
        let permit = self.streams.clone().try_acquire_owned();
        permit.map_err(|_| refuse(&ServerError::TooManyStreams { limit: self.limits.streams_max }))
    }

    /// What requests are checked against.
    fn rules(&self) -> RequestRules<'_> {
        RequestRules { model: &self.engine.model, tokens: self.tokens.as_ref(), limits: &self.limits }
    }
}

/// Runs milliseconds of computation on a thread that may block.
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
