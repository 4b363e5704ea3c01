//! Recovers jobs after a restart: waiting and running jobs are enqueued again, ended ones are kept. A job that ran starts from the
//! beginning.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use sakuga_proto::generation::v1::{self as generation};

use super::event_encoder::JobEventEncoder;
use super::measurements::{Measured, Setup};
use super::migrate::migrate;
use super::policy::JobPolicy;
use super::prepare::{Prepared, prepare};
use super::record::Record;
use super::registry::Jobs;
use super::stored_events;
use crate::assets::AssetOwner;
use crate::error::ServerError;
use crate::event::EventBody;
use crate::job::JobHandle;
use crate::job_id::JobId;
use crate::journal::{EventEncoder, Journal, StoredJournal};
use crate::store::StoreError;
use crate::trace::ObservedEncoder;
use crate::wire::to_proto::JobContext;

/// How long a job that ends with its last reader waits for one after a restart.
const READERS_RETURN: Duration = Duration::from_secs(60);
/// Records that are read from the store at once.
const SCAN: usize = 256;
/// What to do about damaged records.
const REMEDY: &str =
    "restore the data folder from a backup, or remove what is damaged with `sakuga-server store repair`";

impl Jobs {
    /// Resumes the jobs of the store in the order in which they were accepted. Returns when their new states are
    /// committed: no call is answered with the state of a job before the restart. Jobs whose record is damaged are left out and
    /// logged; an open job whose events are damaged ends as failed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store cannot be read or written, or a newer server wrote it.
    pub(crate) async fn recover(self: &Arc<Self>) -> Result<(), StoreError> {
        let jobs = self.clone();
        let done = tokio::task::spawn_blocking(move || jobs.recover_all()).await;
        let without_job = done.unwrap_or_else(|error| Err(StoreError::Io(error.to_string())))?;
        for job in without_job {
            self.dependencies.assets.release_job(&job).await;
        }
        // Batches are committed in order, so all new states are committed once this empty batch is.
        self.dependencies.writer.write_once(Vec::new()).await
    }

    /// Jobs that have held files but are not open: the server was killed before they were stored, or after they had ended.
    fn recover_all(self: &Arc<Self>) -> Result<Vec<JobId>, StoreError> {
        let store = self.dependencies.writer.store().clone();
        let migrated = migrate(store.as_ref())?;
        if migrated > 0 {
            tracing::info!(migrated, "jobs of an older version of the server were converted");
        }
        let (mut open, mut ended, mut damaged) = (Vec::new(), 0_usize, 0_usize);
        let mut with_files: HashSet<JobId> = self.dependencies.assets.jobs_with_files().into_iter().collect();
        let mut measured = Measured::new(self.dependencies.scheduler.device_kinds(), self.dependencies.models.iter());
        let mut before: Option<String> = None;
        loop {
            let scanned = store.jobs(before.as_deref(), SCAN)?;
            let Some((last, _)) = scanned.last() else { break };
            before = Some(last.clone());
            for (id, bytes) in scanned {
                match bytes.and_then(|bytes| Record::of(&id, &bytes)) {
                    Ok(record) if record.is_ended() => {
                        ended += 1;
                        if let Some(measurements) = record.measurements() {
                            measured.add_older(measurements);
                        }
                        self.index_ended(&id, &record);
                    }
                    Ok(record) => {
                        with_files.remove(&JobId::named(&id));
                        open.push((id, record));
                    }
                    Err(error @ StoreError::Damaged(_)) => {
                        damaged += 1;
                        with_files.remove(&JobId::named(&id));
                        self.report_damage(&id, &error);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        if ended + open.len() + damaged > 0 {
            tracing::info!(ended, open = open.len(), damaged, "jobs of an earlier run");
        }
        self.restore(measured);
        // The scan went from the newest to the oldest.
        for (id, record) in open.into_iter().rev() {
            let events = store.events(&id, 0).and_then(stored_events::entries);
            let read = events.and_then(|events| Ok((events, store.reserved(&id)?)));
            let encoded = record.encode();
            match read {
                Ok((states, reserved)) => {
                    let next_sequence = reserved.max(states.last().map_or(0, |entry| entry.sequence + 1));
                    self.resume(JobId::named(&id), record, StoredJournal { states, next_sequence, record: encoded });
                }
                Err(error @ StoreError::Damaged(_)) => {
                    self.report_damage(&id, &error);
                    let next_sequence = record.safe_sequence(&[]);
                    let stored = StoredJournal { next_sequence, record: encoded, ..StoredJournal::default() };
                    self.fail(JobId::named(&id), record, stored, error.of_job(&id).into());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(with_files.into_iter().collect())
    }

    /// Logs what is damaged of a job: the file, the job and what to do.
    fn report_damage(&self, job_id: &str, error: &StoreError) {
        let file = self.dependencies.writer.store().location();
        tracing::error!(file, job_id, %error, remedy = REMEDY, "a stored job is damaged and is set aside");
    }

    /// Enqueues a job again, or fails it if this server cannot draw it.
    fn resume(self: &Arc<Self>, id: JobId, record: Record, stored: StoredJournal) {
        let job = record.job().clone();
        let was_running = job.state() == generation::JobState::Running;
        let policy = JobPolicy::read(&job.options.unwrap_or_default());
        let request = job.request.clone().unwrap_or_default();
        let client = (job.client_id.as_str().into(), &AssetOwner::named(record.owner()));
        let prepared = prepare(&self.dependencies, id.clone(), client, request, policy);
        let prepared = prepared.and_then(|prepared| match job.attempt >= self.dependencies.limits.attempts_max {
            true if was_running => Err(ServerError::Interrupted { attempts: job.attempt }),
            _ => Ok(prepared),
        });
        match prepared {
            Ok(Prepared { context, request, setup, .. }) => {
                let (parent, owner) = (record.trace_parent(), record.owner().into());
                let encoder = Box::new(JobEventEncoder::new(context, record, setup));
                let observer = self.dependencies.observer.as_ref();
                let encoder = ObservedEncoder::over(encoder, observer, &id, &request, parent);
                let journal = self.resume_journal(&id, encoder, stored);
                if was_running {
                    journal.publish(EventBody::Requeued { attempt: job.attempt + 1 });
                }
                let handle = JobHandle::new(id.clone(), deadline(&job));
                let reservation = self.dependencies.scheduler.reserve_for_earlier_run();
                let mut live = self.register(handle, request, journal, policy, owner, reservation);
                live.accepted = accepted(&job);
                self.dependencies.scheduler.enqueue(live, 0);
                self.unwatched(&id, READERS_RETURN);
            }
            // The server has other limits or another model now, or was stopped during this job too often.
            Err(error) => {
                tracing::warn!(job_id = %id, %error, "a job of an earlier run cannot be resumed");
                self.fail(id, record, stored, error);
            }
        }
    }

    /// Ends a job of an earlier run as failed.
    fn fail(&self, id: JobId, record: Record, stored: StoredJournal, error: ServerError) {
        let context = JobContext {
            job_id: id.clone(),
            resolved: record.job().request.clone().unwrap_or_default(),
            device: String::new(),
            model_notice: String::new(),
            metadata: Vec::new(),
        };
        let journal =
            self.resume_journal(&id, Box::new(JobEventEncoder::new(context, record, Setup::default())), stored);
        journal.publish(EventBody::Failed(error));
    }

    fn resume_journal(&self, id: &JobId, encoder: Box<dyn EventEncoder>, stored: StoredJournal) -> Arc<Journal> {
        let writer = self.dependencies.writer.clone();
        Arc::new(Journal::resume(id.clone(), encoder, writer, self.hooks(), stored))
    }
}

/// When the job was accepted, by this process's monotonic clock.
fn accepted(job: &generation::Job) -> Instant {
    let now = Instant::now();
    let at = job.create_time.and_then(|time| SystemTime::try_from(time).ok());
    at.and_then(|at| SystemTime::now().duration_since(at).ok()).and_then(|age| now.checked_sub(age)).unwrap_or(now)
}

/// When the job is cancelled, by this process's monotonic clock; now, if that is past.
fn deadline(job: &generation::Job) -> Option<Instant> {
    let at = job.deadline.and_then(|time| SystemTime::try_from(time).ok())?;
    Instant::now().checked_add(at.duration_since(SystemTime::now()).unwrap_or_default())
}
