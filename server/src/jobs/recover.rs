//! After a restart: jobs that waited wait again, those that ran are drawn from the start, those that ended are kept.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use prost::Message as _;
use sakuga_proto::generation::v1::{self as generation};

use super::Jobs;
use super::create::{Prepared, client_of, prepare};
use crate::error::ServerError;
use crate::event::EventBody;
use crate::job::JobHandle;
use crate::job_id::JobId;
use crate::jobs::record::{self, JobEventEncoder, JobPolicy, JobRecord};
use crate::journal::{EventEncoder, Journal, StoredJournal};
use crate::store::StoreError;
use crate::trace::ObservedEncoder;
use crate::wire::to_proto::JobContext;

/// How long a job that is to end with its last reader waits for one after a restart.
const READERS_RETURN: Duration = Duration::from_secs(60);
/// Records that are read at once.
const SCAN: usize = 256;

impl Jobs {
    /// Takes up what the store holds, in the order in which it was accepted. Returns when that is written down: nobody is
    /// answered with what a job was before.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be read or written.
    pub async fn recover(self: &Arc<Self>) -> Result<(), ServerError> {
        let jobs = self.clone();
        let done = tokio::task::spawn_blocking(move || jobs.recover_all()).await;
        done.unwrap_or_else(|error| Err(StoreError::Io(error.to_string())))?;
        // Batches are committed in order, so this empty one is done when the new states are.
        Ok(self.parts.writer.write_once(Vec::new()).await?)
    }

    fn recover_all(self: &Arc<Self>) -> Result<(), StoreError> {
        let store = self.parts.writer.store().clone();
        let (mut open, mut ended) = (Vec::new(), 0_usize);
        let mut before: Option<String> = None;
        loop {
            let scanned = store.jobs(before.as_deref(), SCAN)?;
            let Some((last, _)) = scanned.last() else { break };
            before = Some(last.clone());
            for (name, bytes) in &scanned {
                let record = JobRecord::read(bytes)?;
                if record.is_ended() {
                    ended += 1;
                    self.note_ended(name, &record);
                } else {
                    open.push((name.clone(), record));
                }
            }
        }
        if ended + open.len() > 0 {
            tracing::info!(ended, open = open.len(), "jobs of an earlier run");
        }
        // The oldest first, as they were accepted.
        for (name, record) in open.into_iter().rev() {
            let entries = record::entries(store.events(&name, 0)?)?;
            let next_sequence = store.reserved(&name)?.max(entries.last().map_or(0, |entry| entry.sequence + 1));
            let stored = StoredJournal { states: entries, next_sequence, record: record.encode_to_vec() };
            self.take_up(JobId::named(&name), record, stored);
        }
        Ok(())
    }

    fn take_up(self: &Arc<Self>, id: JobId, record: JobRecord, stored: StoredJournal) {
        let seen = record.job();
        let was_running = seen.state() == generation::JobState::Running;
        let policy = JobPolicy::read(&seen.options.unwrap_or_default());
        let request = seen.request.clone().unwrap_or_default();
        let prepared = prepare(&self.parts, id.clone(), client_of(&record), request, policy);
        let prepared = prepared.and_then(|prepared| match seen.attempt >= self.parts.limits.attempts_max {
            true if was_running => Err(ServerError::Interrupted { attempts: seen.attempt }),
            _ => Ok(prepared),
        });
        match prepared {
            Ok(Prepared { context, request, .. }) => {
                let parent = record.trace_parent.parse().ok();
                let encoder = Box::new(JobEventEncoder::new(context, record));
                let encoder = ObservedEncoder::over(encoder, self.parts.observer.as_ref(), &id, &request, parent);
                let journal = self.journal(&id, encoder, stored);
                if was_running {
                    journal.publish(EventBody::Requeued { attempt: seen.attempt + 1 });
                }
                let handle = JobHandle::new(id.clone(), deadline(&seen));
                let reservation = self.parts.scheduler.readmit();
                let mut job = self.register(handle, request, journal, policy, reservation);
                job.accepted = accepted(&seen);
                self.parts.scheduler.enqueue(job, 0);
                self.unwatched(&id, READERS_RETURN);
            }
            // A server with other limits or another model cannot draw it; whoever watches is told.
            Err(error) => {
                tracing::warn!(job_id = %id, %error, "a job of an earlier run cannot go on");
                let context = JobContext {
                    job_id: id.clone(),
                    resolved: seen.request.unwrap_or_default(),
                    device: String::new(),
                    model_notice: String::new(),
                    metadata: Vec::new(),
                };
                let journal = self.journal(&id, Box::new(JobEventEncoder::new(context, record)), stored);
                journal.publish(EventBody::Failed(error));
            }
        }
    }

    fn journal(&self, id: &JobId, encoder: Box<dyn EventEncoder>, stored: StoredJournal) -> Arc<Journal> {
        let writer = self.parts.writer.clone();
        Arc::new(Journal::resume(id.clone(), encoder, writer, self.hooks(), stored))
    }
}

/// When the job was accepted, as this process's clock would have it.
fn accepted(job: &generation::Job) -> Instant {
    let now = Instant::now();
    let at = job.create_time.and_then(|time| SystemTime::try_from(time).ok());
    at.and_then(|at| SystemTime::now().duration_since(at).ok()).and_then(|age| now.checked_sub(age)).unwrap_or(now)
}

/// When the job is given up; a time that is stored is now.
fn deadline(job: &generation::Job) -> Option<Instant> {
    let at = job.deadline.and_then(|time| SystemTime::try_from(time).ok())?;
    Some(Instant::now() + at.duration_since(SystemTime::now()).unwrap_or_default())
}
