//! [`Jobs`]: the registry of jobs.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::num::NonZeroU32;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::caller::Caller;
use super::record::Record;
use super::thumbnail_cache::Thumbnails;
use crate::adapters::Adapters;
use crate::assets::Assets;
use crate::error::{ServerError, Violation};
use crate::job::{HeldImages, JobHandle};
use crate::job_id::JobId;
use crate::journal::{Entry, Journal};
use crate::limits::Limits;
use crate::models::{Catalog, MemoryBudget};
use crate::rate::{CallerRates, Rate};
use crate::retention::RetentionGate;
use crate::scheduler::Scheduler;
use crate::store::writer::StoreWriter;
use crate::store::{ArtifactStore, Corruption, JobStore, StoreError, StoreFault};
use crate::telemetry::Telemetry;
use crate::trace::Observer;

/// The parts of the server that the registry uses.
pub(crate) struct Dependencies {
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
    /// Bytes of the device's memory, if known.
    pub device_memory: Option<u64>,
    /// Commits jobs and events.
    pub writer: Arc<StoreWriter>,
    /// Pictures.
    pub artifacts: Arc<dyn ArtifactStore>,
    /// Set while pictures cannot be written.
    pub artifact_fault: StoreFault,
    /// The files that requests refer to.
    pub assets: Arc<Assets>,
    /// Samples of the device during the newest jobs.
    pub telemetry: Telemetry,
    /// The index of ended jobs.
    pub gate: Arc<RetentionGate>,
    /// Observes jobs for traces and metrics.
    pub observer: Option<Arc<dyn Observer>>,
    /// Whether the store outlives this process.
    pub is_durable: bool,
    /// Room for the images of jobs.
    pub held_images: HeldImages,
}

impl Dependencies {
    /// Why new jobs cannot be stored, if they cannot.
    pub(super) fn store_fault(&self) -> Option<StoreError> {
        self.writer.fault().or_else(|| self.artifact_fault.get())
    }
}

/// Longer texts are not a `request_id`: it has at most 64 characters.
const REQUEST_ID_BYTES_MAX: usize = 4 * 64;
/// Number of locks for the creation of named jobs. Two names rarely share a lock.
const NAME_LOCKS: usize = 256;

/// The registry of jobs.
pub(crate) struct Jobs {
    pub(super) dependencies: Dependencies,
    pub(super) runtime: Handle,
    pub(super) this: Weak<Jobs>,
    pub(super) live: Mutex<HashMap<JobId, Live>>,
    /// Events of ended jobs that are being read.
    pub(super) ended: Mutex<HashMap<JobId, Weak<[Entry]>>>,
    /// `None`: no limit.
    pub(super) rates: Option<CallerRates>,
    /// One is held while a named job is created, so that a repeated call finds it; the hash of the name chooses it.
    name_locks: [tokio::sync::Mutex<()>; NAME_LOCKS],
    /// Held while the record of an ended job is read and changed, or deleted.
    pub(super) record_changes: tokio::sync::Mutex<()>,
    pub(super) thumbnails: Thumbnails,
}

/// A job without a terminal event.
pub(super) struct Live {
    pub(super) journal: Arc<Journal>,
    pub(super) handle: JobHandle,
    /// The credential that owns the job.
    pub(super) owner: Arc<str>,
    pub(super) grace: Option<Duration>,
    /// Cancels the job at its deadline, also while it waits.
    pub(super) _deadline: Option<AbortOnDropHandle<()>>,
    /// Cancels the job unless a reader comes back.
    pub(super) unwatched: Option<AbortOnDropHandle<()>>,
}

impl Jobs {
    /// An empty registry over a store; [`Jobs::recover`] resumes the jobs in it.
    pub(crate) fn new(dependencies: Dependencies) -> Arc<Self> {
        let rate = NonZeroU32::new(dependencies.limits.client_rate_max);
        let rates = rate.map(|calls| CallerRates::new(Rate { calls, per: Duration::from_secs(60) }));
        Arc::new_cyclic(|this| Self {
            dependencies,
            runtime: Handle::current(),
            this: this.clone(),
            live: Mutex::default(),
            ended: Mutex::default(),
            rates,
            name_locks: std::array::from_fn(|_| tokio::sync::Mutex::default()),
            record_changes: tokio::sync::Mutex::default(),
            thumbnails: Thumbnails::default(),
        })
    }

    /// Waits until no other call creates a job under the same name key.
    pub(super) async fn lock_name(&self, name_key: &[u8]) -> tokio::sync::MutexGuard<'_, ()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(name_key);
        self.name_locks[(hash % NAME_LOCKS as u64) as usize].lock().await
    }

    /// Reads from the store on a thread that may block.
    pub(super) async fn read_store<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn JobStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ServerError> {
        let store = self.dependencies.writer.store().clone();
        let done = tokio::task::spawn_blocking(move || read(store.as_ref())).await;
        Ok(done.unwrap_or_else(|error| Err(StoreError::Io(error.to_string())))?)
    }

    /// Commits the waiting writes. Later writes are not stored. May block on a disk.
    pub(crate) fn close_writer(&self) {
        self.dependencies.writer.close();
    }

    /// The signal that the store of jobs was found to be damaged.
    pub(crate) fn corruption(&self) -> Corruption {
        self.dependencies.writer.store().corruption()
    }

    pub(super) fn live_journal(&self, id: &JobId) -> Option<Arc<Journal>> {
        self.live.lock().get(id).map(|live| live.journal.clone())
    }

    /// A job's record as it is committed.
    pub(super) async fn record(&self, id: &JobId) -> Result<Record, ServerError> {
        // The record of a live job is in memory, also while the store fails.
        if let Some(journal) = self.live_journal(id) {
            return Ok(Record::decode(&journal.record())?);
        }
        let job = id.to_string();
        let read = self.read_store(move |store| store.job(&job).map_err(|error| error.of_job(&job)));
        match read.await? {
            Some(bytes) => Ok(Record::of(id.as_str(), &bytes)?),
            None => Err(ServerError::UnknownJob(id.to_string())),
        }
    }

    /// The id that a call gives.
    ///
    /// # Errors
    ///
    /// [`ServerError::InvalidRequest`] if the text is not a job id; if it is the `request_id` of one of the caller's jobs,
    /// the error says so.
    pub(super) async fn parse_id(&self, caller: &Caller, text: &str) -> Result<JobId, ServerError> {
        if let Some(id) = JobId::parse(text) {
            return Ok(id);
        }
        let shown: String = text.chars().take(64).collect();
        let name_key = caller.name_key(text);
        let named = if name_key.is_empty() || text.len() > REQUEST_ID_BYTES_MAX {
            None
        } else {
            self.read_store(move |store| store.named(&name_key)).await?
        };
        let description = match named {
            Some(id) => format!("`{shown}` is the request_id of job {id}; use that job_id"),
            None => format!(
                "`{shown}` is not a job id, which is a UUID such as 0198c5a2-7d3e-7c41-9a55-2f1f3f2b6a10; use the \
                 `job_id` that CreateJob or ListJobs returns"
            ),
        };
        Err(ServerError::invalid("job_id", Violation::BAD_TEXT, description))
    }

    /// A job that the caller may access, and its record.
    ///
    /// # Errors
    ///
    /// [`ServerError::InvalidRequest`] as of [`Jobs::parse_id`], [`ServerError::UnknownJob`] also for a job of another
    /// owner, or [`ServerError::Store`].
    pub(super) async fn accessible(&self, caller: &Caller, job_id: &str) -> Result<(JobId, Record), ServerError> {
        let id = self.parse_id(caller, job_id).await?;
        let record = self.record(&id).await?;
        if !caller.may_access(record.owner()) {
            return Err(ServerError::UnknownJob(id.to_string()));
        }
        Ok((id, record))
    }
}
