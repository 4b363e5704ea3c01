//! The jobs of this server: accepted once, written down before they are acknowledged, watched from any event on, and
//! taken up again after a restart.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use sakuga_model_core::{EngineInfo, TokenCounter};
use sakuga_proto::generation::v1::{self as generation};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use crate::error::ServerError;
use crate::event::CancelReason;
use crate::job::JobHandle;
use crate::job_id::JobId;
use crate::journal::{Entry, Journal, JournalHooks, Reader};
use crate::limits::Limits;
use crate::rate::{CallerRates, Rate};
use crate::request::RequestRules;
use crate::scheduler::Scheduler;
use crate::store::writer::StoreWriter;
use crate::store::{ArtifactStore, StoreError};
use crate::sync::lock;
use crate::telemetry::{Series, Telemetry};
use crate::trace::Observer;
use crate::wire::to_proto;
use record::JobRecord;

mod create;
mod record;
mod recover;
mod retention_loop;

use crate::retention::RetentionGate;
pub use create::{Call, Created};

/// What a request is checked against and who draws it.
pub struct Parts {
    /// What the engine is.
    pub engine: EngineInfo,
    /// Its tokenisers.
    pub tokens: Arc<dyn TokenCounter>,
    /// What a request may ask for.
    pub limits: Limits,
    /// Who decides which job has the device.
    pub scheduler: Arc<Scheduler>,
    /// Bytes of memory that the device has, if it tells.
    pub device_memory: Option<u64>,
    /// Jobs and events.
    pub writer: Arc<StoreWriter>,
    /// Pictures.
    pub artifacts: Arc<dyn ArtifactStore>,
    /// What was seen of the device during the newest jobs.
    pub telemetry: Telemetry,
    /// The ended jobs, and how long they are kept.
    pub gate: Arc<RetentionGate>,
    /// Who is told of jobs.
    pub observer: Option<Arc<dyn Observer>>,
    /// Whether jobs that wait survive the end of this process.
    pub is_durable: bool,
}

impl Parts {
    fn rules(&self) -> RequestRules<'_> {
        RequestRules { model: &self.engine.model, tokens: self.tokens.as_ref(), limits: &self.limits }
    }
}

/// Named jobs that may be created at the same time, about: few share a lock by chance.
const NAMING_LOCKS: usize = 256;

/// The registry.
pub struct Jobs {
    parts: Parts,
    runtime: Handle,
    this: Weak<Jobs>,
    live: Mutex<HashMap<JobId, Live>>,
    /// Events of ended jobs that somebody reads.
    read: Mutex<HashMap<JobId, Weak<[Entry]>>>,
    rates: Option<CallerRates>,
    /// One is held while a named job is created, so that a repeated call finds it; which one, the name decides.
    naming: [tokio::sync::Mutex<()>; NAMING_LOCKS],
}

/// A job without a terminal event.
struct Live {
    journal: Arc<Journal>,
    handle: JobHandle,
    grace: Option<Duration>,
    /// Gives it up in time, also while it waits.
    _deadline: Option<AbortOnDropHandle<()>>,
    /// Gives it up if nobody comes back.
    unwatched: Option<AbortOnDropHandle<()>>,
}

impl Jobs {
    /// An empty registry over a store; [`Jobs::recover`] takes up what is in it.
    pub fn new(parts: Parts) -> Arc<Self> {
        let rate = NonZeroU32::new(parts.limits.client_rate_max);
        let rates = rate.map(|calls| CallerRates::new(Rate { calls, per: Duration::from_secs(60) }));
        Arc::new_cyclic(|this| Self {
            parts,
            runtime: Handle::current(),
            this: this.clone(),
            live: Mutex::default(),
            read: Mutex::default(),
            rates,
            naming: std::array::from_fn(|_| tokio::sync::Mutex::default()),
        })
    }

    /// What a request is checked against and who draws it.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    fn hooks(&self) -> Arc<dyn JournalHooks> {
        Arc::new(RegistryHooks(self.this.clone()))
    }

    /// Reads from the store where that delays nobody else.
    async fn stored<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn crate::store::JobStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ServerError> {
        let store = self.parts.writer.store().clone();
        let done = tokio::task::spawn_blocking(move || read(store.as_ref())).await;
        Ok(done.unwrap_or_else(|error| Err(StoreError::Io(error.to_string())))?)
    }

    async fn record(&self, job_id: &str) -> Result<JobRecord, ServerError> {
        // A live job's is at hand, also while the store fails.
        let live = lock(&self.live).get(&JobId::named(job_id)).map(|live| live.journal.clone());
        if let Some(journal) = live {
            return Ok(JobRecord::read(&journal.record())?);
        }
        let name = job_id.to_owned();
        match self.stored(move |store| store.job(&name)).await? {
            Some(bytes) => Ok(JobRecord::read(&bytes)?),
            None => Err(ServerError::UnknownJob(shown(job_id))),
        }
    }

    /// A job as it is now.
    ///
    /// # Errors
    ///
    /// [`ServerError::UnknownJob`] or [`ServerError::Store`].
    pub async fn get(&self, job_id: &str) -> Result<generation::Job, ServerError> {
        Ok(self.present(self.record(job_id).await?.job()))
    }

    /// Adds what only this process knows.
    fn present(&self, mut job: generation::Job) -> generation::Job {
        let id = JobId::named(&job.job_id);
        if let Some(live) = lock(&self.live).get(&id) {
            job.next_sequence = live.journal.next_sequence();
        }
        if job.end_time.is_none()
            && let Some((position, eta)) = self.parts.scheduler.place(&id)
        {
            job.queue_position = (position > 0 || job.start_time.is_none()).then(|| to_proto::saturate(position));
            job.eta = eta.and_then(to_proto::duration);
        }
        job
    }

    /// Jobs that `wanted` admits, the newest first, from below the name `before`; and whether there may be more.
    ///
    /// # Errors
    ///
    /// [`ServerError::Store`].
    pub async fn list(
        &self,
        before: Option<String>,
        limit: usize,
        wanted: impl Fn(&generation::Job) -> bool + Send + 'static,
    ) -> Result<(Vec<generation::Job>, bool), ServerError> {
        const SCAN: usize = 256;
        let found = self.stored(move |store| {
            let mut found: Vec<generation::Job> = Vec::new();
            let mut before = before;
            loop {
                let scanned = store.jobs(before.as_deref(), SCAN)?;
                for (name, record) in &scanned {
                    let job = JobRecord::read(record)?.job();
                    if wanted(&job) {
                        if found.len() == limit {
                            return Ok((found, true));
                        }
                        found.push(job);
                    }
                    before = Some(name.clone());
                }
                if scanned.len() < SCAN {
                    return Ok((found, false));
                }
            }
        });
        let (jobs, more) = found.await?;
        Ok((jobs.into_iter().map(|job| self.present(job)).collect(), more))
    }

    /// A reader of a job behind an event, and the job as it is now.
    ///
    /// # Errors
    ///
    /// [`ServerError::UnknownJob`], [`ServerError::SequenceRange`] or [`ServerError::Store`].
    pub async fn watch(&self, job_id: &str, start: u64) -> Result<(generation::Job, Reader), ServerError> {
        let id = JobId::named(job_id);
        let out_of_range =
            |oldest, next| ServerError::SequenceRange { job_id: shown(job_id), asked: start, oldest, next };
        // The reader comes before the job is lookup at: one that ends meanwhile is still read whole.
        let live = match lock(&self.live).get_mut(&id) {
            Some(live) => {
                let next = live.journal.next_sequence();
                if start > next {
                    return Err(out_of_range(0, next));
                }
                live.unwatched = None;
                Some(live.journal.read(start))
            }
            None => None,
        };
        let job = self.get(job_id).await?;
        if let Some(reader) = live {
            return Ok((job, reader));
        }
        if !(job.oldest_sequence..=job.next_sequence).contains(&start) {
            return Err(out_of_range(job.oldest_sequence, job.next_sequence));
        }
        Ok((job, Reader::of_ended(self.events_of(id).await?, start)))
    }

    /// The events of an ended job; those who read the same job share them.
    async fn events_of(&self, id: JobId) -> Result<Arc<[Entry]>, ServerError> {
        if let Some(entries) = lock(&self.read).get(&id).and_then(Weak::upgrade) {
            return Ok(entries);
        }
        let name = id.to_string();
        let stored = self.stored(move |store| record::entries(store.events(&name, 0)?)).await?;
        let entries: Arc<[Entry]> = stored.into();
        let mut read = lock(&self.read);
        read.retain(|_, entries| entries.strong_count() > 0);
        read.insert(id, Arc::downgrade(&entries));
        Ok(entries)
    }

    /// What was seen of the device while a job had it; nothing of one that never had it.
    ///
    /// # Errors
    ///
    /// [`ServerError::UnknownJob`], [`ServerError::NoTelemetry`] or [`ServerError::Store`].
    pub async fn telemetry(&self, job_id: &str) -> Result<Series, ServerError> {
        let job = self.record(job_id).await?.job();
        match self.parts.telemetry.of(&JobId::named(job_id)) {
            Some(series) => Ok(series),
            None if job.start_time.is_none() => Ok(Series::default()),
            None => Err(ServerError::NoTelemetry(shown(job_id))),
        }
    }

    /// Gives a job up, unless it has ended.
    ///
    /// # Errors
    ///
    /// [`ServerError::UnknownJob`] or [`ServerError::Store`].
    pub async fn cancel(&self, job_id: &str) -> Result<generation::Job, ServerError> {
        let job = self.get(job_id).await?;
        self.cancel_live(&JobId::named(job_id), CancelReason::Requested);
        Ok(job)
    }

    fn cancel_live(&self, id: &JobId, reason: CancelReason) {
        let handle = lock(&self.live).get(id).map(|live| live.handle.clone());
        if let Some(handle) = handle {
            self.parts.scheduler.cancel(&handle, reason);
        }
    }

    /// Deletes an ended job.
    ///
    /// # Errors
    ///
    /// [`ServerError::UnknownJob`], [`ServerError::NotEnded`] or [`ServerError::Store`].
    pub async fn delete(&self, job_id: &str) -> Result<(), ServerError> {
        let record = self.record(job_id).await?;
        if !record.is_ended() {
            return Err(ServerError::NotEnded(shown(job_id)));
        }
        self.remove(job_id, record).await
    }

    /// What a picture of a job is.
    ///
    /// # Errors
    ///
    /// [`ServerError::UnknownJob`], [`ServerError::NoPicture`] or [`ServerError::Store`].
    pub async fn picture(&self, job_id: &str, image_index: u32) -> Result<generation::ImageInfo, ServerError> {
        let record = self.record(job_id).await?;
        let why = match record.job().state() {
            generation::JobState::Completed => "it has fewer",
            _ if record.is_ended() => "it did not come to its end",
            _ => "it has not ended yet",
        };
        let missing = || ServerError::NoPicture { job_id: shown(job_id), image_index, why };
        record.job().images.into_iter().nth(image_index as usize).ok_or_else(missing)
    }

    /// A part of a picture.
    ///
    /// # Errors
    ///
    /// [`ServerError::Store`].
    pub async fn piece(&self, job_id: &str, image_index: u32, range: Range<u64>) -> Result<Bytes, ServerError> {
        Ok(self.parts.artifacts.get(job_id, image_index, range).await?)
    }

    /// The event of an entry, with its piece.
    ///
    /// # Errors
    ///
    /// [`ServerError::Store`], also if the job was deleted meanwhile.
    pub async fn event(&self, job_id: &str, entry: &Entry) -> Result<generation::GenerateEvent, ServerError> {
        let mut event = record::event(entry)?;
        if let (Some(piece), Some(generation::generate_event::Event::ImageChunk(chunk))) =
            (entry.piece, &mut event.event)
        {
            chunk.data = self.piece(job_id, piece.image_index, piece.offset..piece.offset + piece.len).await?;
        }
        Ok(event)
    }
}

/// Which lock belongs to a name.
fn naming_lock(name: &[u8]) -> usize {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(name);
    (hash % NAMING_LOCKS as u64) as usize
}

/// A name as it may be shown: a client can send anything.
fn shown(job_id: &str) -> String {
    job_id.chars().take(64).collect()
}

/// A journal must not keep the registry alive.
struct RegistryHooks(Weak<Jobs>);

impl JournalHooks for RegistryHooks {
    fn unwatched(&self, job: &JobId) {
        if let Some(jobs) = self.0.upgrade() {
            jobs.unwatched(job, Duration::ZERO);
        }
    }

    fn ended(&self, job: &JobId) {
        if let Some(jobs) = self.0.upgrade() {
            jobs.ended(job);
        }
    }
}

impl Jobs {
    /// Gives a job up that nobody watches, if it is to be, after its grace and at least `least`.
    fn unwatched(&self, id: &JobId, least: Duration) {
        let mut live = lock(&self.live);
        let Some(entry) = live.get_mut(id) else { return };
        let Some(grace) = entry.grace.map(|grace| grace.max(least)) else { return };
        if grace.is_zero() {
            drop(live);
            return self.cancel_live(id, CancelReason::ClientGone);
        }
        let (jobs, id) = (self.this.clone(), id.clone());
        entry.unwatched = Some(AbortOnDropHandle::new(self.runtime.spawn(async move {
            tokio::time::sleep(grace).await;
            let Some(jobs) = jobs.upgrade() else { return };
            let is_watched = lock(&jobs.live).get(&id).is_none_or(|live| live.journal.is_watched());
            if !is_watched {
                jobs.cancel_live(&id, CancelReason::ClientGone);
            }
        })));
    }

    /// Called on the store's thread, before the next commit: whoever is let in behind this job is counted behind it.
    fn ended(&self, id: &JobId) {
        let journal = lock(&self.live).get(id).map(|live| live.journal.clone());
        match journal.map(|journal| JobRecord::read(&journal.record())) {
            Some(Ok(record)) => self.note_ended(id.as_str(), &record),
            // It could not go on after a restart and was never live.
            _ => {
                let (jobs, id) = (self.this.clone(), id.to_string());
                self.runtime.spawn(async move {
                    if let Some(jobs) = jobs.upgrade() {
                        jobs.count_ended(&id).await;
                    }
                });
            }
        }
        let entry = lock(&self.live).remove(id);
        drop(entry);
    }
}
