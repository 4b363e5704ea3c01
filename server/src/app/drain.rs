//! Serves until the server is asked to stop, then drains.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::health::{HealthNames, end_watches, mirror_status, report_drain};
use super::{App, AppError};
use crate::scheduler::Scheduler;
use crate::store::StoreError;
use crate::store::place::OpenError;

/// How long connections stay open after the last job, so that clients can read their events.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the export of remaining traces may take.
const COLLECTOR_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the running job may continue when the store is damaged. Its end cannot be stored.
const DAMAGED_DRAIN: Duration = Duration::from_secs(2);

impl App {
    /// Serves until `shutdown` is ready, then drains: refuses new jobs, cancels or keeps those that wait, lets the running
    /// one finish within the configured time, and closes connections when clients have read their last events.
    ///
    /// # Errors
    ///
    /// [`AppError::Transport`] if the socket fails, [`AppError::Damaged`] if the store was found to be damaged, which makes the
    /// server drain as well.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), AppError> {
        let Self {
            serving: mut serve,
            stop_accepting,
            connections,
            context,
            health,
            mut drain_timeout,
            place,
            store,
            observer,
            _reloader,
            _metrics_listener,
            _background,
            ..
        } = self;
        let names = Arc::new(HealthNames::new(&context.models, &context.scheduler.device_statuses().borrow()));
        let mirror = mirror_status(&context.scheduler, health.clone(), names.clone()).await;
        let corruption = context.jobs.corruption();
        tokio::select! {
            served = &mut serve => return served.map_err(AppError::Transport),
            () = shutdown => {}
            what = corruption.wait() => {
                tracing::error!(what, "the store is damaged; the server stops");
                drain_timeout = drain_timeout.min(DAMAGED_DRAIN);
            }
        }
        let drain = async {
            tracing::info!(limit_s = drain_timeout.as_secs(), "draining");
            drop(mirror);
            report_drain(&health, &names).await;
            drain_jobs(&context.scheduler, drain_timeout).await;
            context.closing.cancel();
            stop_accepting.cancel();
            end_watches(&health, &names).await;
            tokio::time::sleep(FLUSH_TIMEOUT).await;
        };
        tokio::select! {
            served = &mut serve => served?,
            () = drain => {
                tracing::warn!("clients did not read to the end; closing their connections");
                connections.close_all();
            }
        }
        let scheduler = context.scheduler.clone();
        // A failure to join is a panic of the worker, which is logged already.
        let _ = tokio::task::spawn_blocking(move || scheduler.close(FLUSH_TIMEOUT)).await;
        let jobs = context.jobs.clone();
        // Closed here, because the process may end before the last task of a connection drops its reference.
        let closed = tokio::task::spawn_blocking(move || {
            jobs.close_writer();
            if let Some(store) = store {
                store.close();
            }
        });
        let _ = closed.await;
        if let Some(observer) = observer {
            let _ = tokio::task::spawn_blocking(move || observer.close(COLLECTOR_TIMEOUT)).await;
        }
        tracing::info!("stopped");
        match corruption.found() {
            Some(what) => Err(AppError::Damaged(OpenError { place, error: StoreError::Corrupt(what) })),
            None => Ok(()),
        }
    }
}

/// Waits for the jobs to end; those that do not in time are cancelled at their next step.
async fn drain_jobs(scheduler: &Scheduler, limit: Duration) {
    scheduler.drain();
    let mut live = scheduler.live().count();
    // The sender lives in the scheduler, which outlives this.
    if tokio::time::timeout(limit, live.wait_for(|jobs| *jobs == 0)).await.is_err() {
        scheduler.cancel_all();
        if tokio::time::timeout(FLUSH_TIMEOUT, live.wait_for(|jobs| *jobs == 0)).await.is_err() {
            tracing::error!("a step takes too long; its job is abandoned");
        }
    }
}
