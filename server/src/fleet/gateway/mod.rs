//! A gateway: the services of the single server over the jobs of a fleet. It has no device and keeps nothing that another gateway
//! does not have.

mod artifacts;
mod ask;
mod create;
mod events;
mod forward;
mod generation;
mod index;
mod jobs;
mod leader;
mod models;
mod order;
mod serve;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use sakuga_fleet::{Fleet, FleetError, Objects};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::Status;

pub use serve::GatewayApp;

use self::index::Index;
use super::error::to_server;
use super::record;
use crate::config::Config;
use crate::error::{ServerError, Violation};
use crate::job_id::JobId;
use crate::jobs::{Caller, Record, Thumbnails};
use crate::limits::Limits;
use crate::rate::{CallerRates, Rate};
use crate::retention::Retention;
use crate::service::refuse;

/// What the services of a gateway share.
pub(super) struct Gateway {
    fleet: Fleet,
    objects: Objects,
    index: Arc<Index>,
    limits: Limits,
    retention: Retention,
    /// `None`: no limit.
    rates: Option<CallerRates>,
    /// One permit for each stream that may be open.
    streams: Arc<Semaphore>,
    thumbnails: Thumbnails,
    /// Cancelled at a shutdown.
    closing: CancellationToken,
}

impl Gateway {
    fn new(config: &Config, fleet: Fleet, objects: Objects) -> Self {
        let rate = NonZeroU32::new(config.limits.client_rate_max);
        Self {
            fleet,
            objects,
            index: Arc::default(),
            limits: config.limits.clone(),
            retention: config.jobs.retention,
            rates: rate.map(|calls| CallerRates::new(Rate { calls, per: Duration::from_secs(60) })),
            streams: Arc::new(Semaphore::new(config.limits.streams_max.min(Semaphore::MAX_PERMITS))),
            thumbnails: Thumbnails::default(),
            closing: CancellationToken::new(),
        }
    }

    /// A permit for a stream, to be held while it is open.
    fn stream_permit(&self) -> Result<OwnedSemaphorePermit, Status> {
        let permit = self.streams.clone().try_acquire_owned();
        permit.map_err(|_| refuse(&ServerError::TooManyStreams { limit: self.limits.streams_max }))
    }

    /// A job that the caller may access, as its events have it.
    ///
    /// # Errors
    ///
    /// [`ServerError::InvalidRequest`] for what is no id, [`ServerError::UnknownJob`] also for a job of another owner, or
    /// [`ServerError::Store`].
    async fn accessible(&self, caller: &Caller, job_id: &str) -> Result<Record, ServerError> {
        let id = self.parse_id(caller, job_id).await?;
        let read = record::read(&self.fleet, id.as_str()).await.map_err(to_server)?;
        let record = read.map(|read| {
            self.index.put(read.clone());
            Record::of_message(read.record)
        });
        match record.filter(|record| caller.may_access(record.owner())) {
            Some(record) => Ok(record),
            None => Err(ServerError::UnknownJob(id.to_string())),
        }
    }

    async fn parse_id(&self, caller: &Caller, text: &str) -> Result<JobId, ServerError> {
        if let Some(id) = JobId::parse(text) {
            return Ok(id);
        }
        let shown: String = text.chars().take(64).collect();
        let key = caller.name_key(text);
        let named = if key.is_empty() { None } else { self.fleet.claims.find(&key).await.map_err(to_server)? };
        let description = match named {
            Some((id, _)) => format!("`{shown}` is the request_id of job {id}; use that job_id"),
            None => format!(
                "`{shown}` is not a job id, which is a UUID such as 0198c5a2-7d3e-7c41-9a55-2f1f3f2b6a10; use the `job_id` that \
                 CreateJob or ListJobs returns"
            ),
        };
        Err(ServerError::invalid("job_id", Violation::BAD_TEXT, description))
    }

    /// Deletes an ended job. What is left if this gateway dies meanwhile is deleted by the next call: the record goes last.
    ///
    /// # Errors
    ///
    /// [`FleetError`].
    async fn delete(&self, record: &Record) -> Result<(), FleetError> {
        let job = &record.job().job_id;
        self.objects.of_job(job).delete_all().await?;
        if !record.name_key().is_empty() {
            self.fleet.claims.release(record.name_key()).await?;
        }
        self.fleet.log.delete(job).await?;
        self.fleet.records.delete(job).await?;
        self.index.remove(job);
        Ok(())
    }
}
