//! Admission: a reservation holds a place in the queue while a request is checked and stored.

use std::sync::Arc;
use std::time::Duration;

use super::shared::Shared;
use super::state::{Forecasted, State};
use crate::error::ServerError;
use crate::job::JobRequest;

/// Bounds of the `RetryInfo` that a refused client gets.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// A place in the queue that is held for a job. Dropping it frees the place; a live job is counted without it.
pub(crate) struct Reservation {
    /// `None`: a job of an earlier run, which does not count against its client's limit.
    client: Option<Arc<str>>,
    shared: Arc<Shared>,
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
        shared.unavailable(&state)?;
        admit(&state, client, live_jobs)?;
        state.reserved += 1;
        *state.reserved_by.entry(client.clone()).or_default() += 1;
        Ok(Self { client: Some(client.clone()), shared: shared.clone() })
    }

    /// Reserves a place for a job of an earlier run, which was admitted then.
    pub(super) fn of_earlier_run(shared: &Arc<Shared>) -> Self {
        shared.state().reserved += 1;
        Self { client: None, shared: shared.clone() }
    }

    /// The job's queue position and its estimate.
    ///
    /// # Errors
    ///
    /// [`ServerError::ModelUnusable`] if a model of it could not be loaded, and [`ServerError::DeadlineTooShort`] if by measured
    /// times the job cannot end within `timeout`.
    pub(crate) fn position(&self, request: &JobRequest, timeout: Option<Duration>) -> Result<Forecasted, ServerError> {
        let state = self.shared.state();
        if let Some(error) = state.request_error(request) {
            return Err(error);
        }
        let forecast = state.forecasted(request);
        if let (Some(given), Some(needed)) = (timeout, forecast.end())
            && needed > given
        {
            return Err(ServerError::DeadlineTooShort { needed, given });
        }
        Ok(forecast)
    }
}

/// Fails if there is no room for one more job of a client that has `live_jobs` jobs.
pub(super) fn admit(state: &State, client: &Arc<str>, live_jobs: usize) -> Result<(), ServerError> {
    let waiting = state.queue.len() + state.reserved;
    if waiting >= state.queue.capacity() {
        return Err(ServerError::QueueFull { waiting, retry_after: retry_after(state.time_left()) });
    }
    let jobs = state.jobs_of(client, live_jobs);
    if state.client_jobs_max > 0 && jobs >= state.client_jobs_max {
        let retry_after = retry_after(state.time_left());
        return Err(ServerError::ClientJobs { client: client.to_string(), jobs, retry_after });
    }
    Ok(())
}

/// When a refused client should try again: `until_room`, if known, within the bounds.
fn retry_after(until_room: Option<Duration>) -> Duration {
    until_room.unwrap_or(RETRY_MIN).clamp(RETRY_MIN, RETRY_MAX)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_retry_hint_is_bounded() {
        assert_eq!(retry_after(None), RETRY_MIN);
        assert_eq!(retry_after(Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(retry_after(Some(Duration::from_secs(86_400))), RETRY_MAX);
    }
}
