//! Admission: a reservation holds a place in the queue while a request is checked and stored.

use std::sync::Arc;
use std::time::Duration;

use super::estimator::Estimator;
use super::shared::Shared;
use crate::error::ServerError;
use crate::job::JobRequest;

/// A place in the queue that is held for a job. Dropping it frees the place; a live job is counted without it.
pub(crate) struct Reservation {
    /// `None`: a job of an earlier run, which does not count against its client's limit.
    client: Option<Arc<str>>,
    shared: Arc<Shared>,
}

/// Where a job will be in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueuePosition {
    /// Jobs before it, the running one included.
    pub position: usize,
    /// When it will start; `None` until a step was measured.
    pub eta: Option<Duration>,
}

impl Reservation {
    /// Reserves a place for a client that has `live_jobs` jobs. This costs next to nothing: it comes before the request is
    /// parsed.
    ///
    /// # Errors
    ///
    /// [`ServerError::ShuttingDown`], [`ServerError::EngineUnavailable`], [`ServerError::QueueFull`] or
    /// [`ServerError::ClientJobs`].
    pub(super) fn new(shared: &Arc<Shared>, client: &Arc<str>, live_jobs: usize) -> Result<Self, ServerError> {
        let mut state = shared.state();
        if state.is_draining || state.is_closing {
            return Err(ServerError::ShuttingDown);
        }
        if let Some(error) = shared.engine_error() {
            return Err(error);
        }
        let waiting = state.queue.len() + state.reserved;
        if waiting >= state.queue.capacity() {
            return Err(ServerError::QueueFull { waiting, retry_after: Estimator::retry_after(state.time_left()) });
        }
        let jobs = live_jobs + state.reserved_by.get(client).copied().unwrap_or(0);
        if state.client_jobs_max > 0 && jobs >= state.client_jobs_max {
            let retry_after = Estimator::retry_after(state.time_left());
            return Err(ServerError::ClientJobs { client: client.to_string(), jobs, retry_after });
        }
        state.reserved += 1;
        *state.reserved_by.entry(client.clone()).or_default() += 1;
        Ok(Self { client: Some(client.clone()), shared: shared.clone() })
    }

    /// Reserves a place for a job of an earlier run, which was admitted then.
    pub(super) fn of_earlier_run(shared: &Arc<Shared>) -> Self {
        shared.state().reserved += 1;
        Self { client: None, shared: shared.clone() }
    }

    /// Where the job would be in the queue.
    ///
    /// # Errors
    ///
    /// [`ServerError::ModelUnusable`] if its model could not be loaded, and [`ServerError::DeadlineTooShort`] if by measured
    /// times the job cannot end within `timeout`.
    pub(crate) fn position(
        &self,
        request: &JobRequest,
        timeout: Option<Duration>,
    ) -> Result<QueuePosition, ServerError> {
        let state = self.shared.state();
        if let Some(error) = state.model_error(request.model) {
            return Err(error);
        }
        let place = state.queue.place_of_next(&request.client, request.priority);
        let forecast = state.forecast_to(place);
        let eta = forecast.as_ref().map(|forecast| forecast.time);
        let end = forecast.and_then(|forecast| forecast.after(request)).map(|forecast| forecast.time);
        if let (Some(given), Some(needed)) = (timeout, end)
            && needed > given
        {
            return Err(ServerError::DeadlineTooShort { needed, given });
        }
        Ok(QueuePosition { position: place + state.running_jobs(), eta })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.reserved -= 1;
        let Some(client) = &self.client else { return };
        if let Some(count) = state.reserved_by.get_mut(client) {
            *count -= 1;
            if *count == 0 {
                state.reserved_by.remove(client);
            }
        }
    }
}
