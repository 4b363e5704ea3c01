//! After a restart: jobs that waited wait again, those that ran are drawn from the start, those that ended are kept.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use prost::Message as _;
use sakuga_proto::generation::v1::{self as generation};

use super::Jobs;
use super::create::{Prepared, client_of, prepare};
use crate::error::ServerError;
use crate::event::EventBody;
use crate::job::{JobId, Ticket};
use crate::journal::{Journal, Past, Scribe};
use crate::store::StoreError;
use crate::trace::ObservedScribe;
use crate::wire::stored::{self, Record, Treatment, WireScribe};
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
                let record = Record::read(bytes)?;
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
            let entries = stored::entries(store.events(&name, 0)?)?;
            let next_sequence = store.reserved(&name)?.max(entries.last().map_or(0, |entry| entry.sequence + 1));
            let past = Past { states: entries, next_sequence, record: record.encode_to_vec() };
            self.take_up(JobId::named(&name), record, past);
        }
        Ok(())
    }

    fn take_up(self: &Arc<Self>, id: JobId, record: Record, past: Past) {
        let seen = record.job();
        let was_running = seen.state() == generation::JobState::Running;
        let treatment = Treatment::read(&seen.options.unwrap_or_default());
        let request = seen.request.clone().unwrap_or_default();
        let prepared = prepare(&self.parts, id.clone(), client_of(&record), request, treatment);
        let prepared = prepared.and_then(|prepared| match seen.attempt >= self.parts.limits.attempts_max {
            true if was_running => Err(ServerError::Interrupted { attempts: seen.attempt }),
            _ => Ok(prepared),
        });
        match prepared {
            Ok(Prepared { context, order, .. }) => {
                let parent = record.trace_parent.parse().ok();
                let scribe = Box::new(WireScribe::new(context, record));
                let scribe = ObservedScribe::over(scribe, self.parts.observer.as_ref(), &id, &order, parent);
                let journal = self.journal(&id, scribe, past);
                if was_running {
                    journal.publish(EventBody::Requeued { attempt: seen.attempt + 1 });
                }
                let ticket = Ticket::new(id.clone(), deadline(&seen));
                let place = self.parts.scheduler.readmit();
                let mut job = self.enter(ticket, order, journal, treatment, place);
                job.accepted = accepted(&seen);
                self.parts.scheduler.enter(job, 0);
                self.lonely(&id, READERS_RETURN);
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
                let journal = self.journal(&id, Box::new(WireScribe::new(context, record)), past);
                journal.publish(EventBody::Failed(error));
            }
        }
    }

    fn journal(&self, id: &JobId, scribe: Box<dyn Scribe>, past: Past) -> Arc<Journal> {
        let writer = self.parts.writer.clone();
        Arc::new(Journal::resume(id.clone(), scribe, writer, self.keeper(), past))
    }
}

/// When the job was accepted, as this process's clock would have it.
fn accepted(job: &generation::Job) -> Instant {
    let now = Instant::now();
    let at = job.create_time.and_then(|time| SystemTime::try_from(time).ok());
    at.and_then(|at| SystemTime::now().duration_since(at).ok()).and_then(|age| now.checked_sub(age)).unwrap_or(now)
}

/// When the job is given up; a time that is past is now.
fn deadline(job: &generation::Job) -> Option<Instant> {
    let at = job.deadline.and_then(|time| SystemTime::try_from(time).ok())?;
    Some(Instant::now() + at.duration_since(SystemTime::now()).unwrap_or_default())
}
