//! Reads a job's events.

use std::sync::{Arc, Weak};

use sakuga_proto::generation::v1::{self as generation};

use super::caller::Caller;
use super::registry::Jobs;
use super::stored_events;
use crate::error::ServerError;
use crate::job_id::JobId;
use crate::journal::{Entry, Reader};
use crate::store::StoreError;

impl Jobs {
    /// A reader of a job's events from a sequence number on, and the job as it is now.
    ///
    /// # Errors
    ///
    /// [`ServerError::UnknownJob`], [`ServerError::InvalidRequest`], [`ServerError::SequenceRange`] or
    /// [`ServerError::Store`].
    pub(crate) async fn watch(
        &self,
        caller: &Caller,
        job_id: &str,
        start: u64,
    ) -> Result<(generation::Job, Reader), ServerError> {
        let (id, _) = self.accessible(caller, job_id).await?;
        let out_of_range =
            |oldest, next| ServerError::SequenceRange { job_id: id.to_string(), asked: start, oldest, next };
        // The reader is made before the record is read: a job that ends in between is still read completely.
        let live = match self.live.lock().get_mut(&id) {
            Some(live) => {
                let next = live.journal.next_sequence();
                if start > next {
                    return Err(out_of_range(0, next));
                }
                live.unwatched = None;
                Some(Reader::of_live(live.journal.clone(), start))
            }
            None => None,
        };
        let job = self.with_progress(self.record(&id).await?.into_job());
        if let Some(reader) = live {
            return Ok((job, reader));
        }
        if !(job.oldest_sequence..=job.next_sequence).contains(&start) {
            return Err(out_of_range(job.oldest_sequence, job.next_sequence));
        }
        Ok((job.clone(), Reader::of_ended(self.ended_events(id, &job).await?, start)))
    }

    /// The events of an ended job. Readers of the same job share them. Events that are missing are damage.
    async fn ended_events(&self, id: JobId, ended: &generation::Job) -> Result<Arc<[Entry]>, ServerError> {
        if let Some(entries) = self.ended.lock().get(&id).and_then(Weak::upgrade) {
            return Ok(entries);
        }
        let (job, oldest, next) = (id.to_string(), ended.oldest_sequence, ended.next_sequence);
        let read = self.read_store(move |store| {
            let events = store.events(&job, 0).map_err(|error| error.of_job(&job))?;
            let whole = stored_events::whole_from(&job, true, &events);
            let last = events.last().map_or(oldest, |(sequence, _)| sequence + 1);
            if whole > oldest || last != next {
                let missing = if last == next { whole } else { next };
                return Err(StoreError::Damaged(format!("an event before number {missing} is missing")).of_job(&job));
            }
            stored_events::entries(events).map_err(|error| error.of_job(&job))
        });
        let entries: Arc<[Entry]> = read.await?.into();
        let mut ended = self.ended.lock();
        ended.retain(|_, entries| entries.strong_count() > 0);
        ended.insert(id, Arc::downgrade(&entries));
        Ok(entries)
    }
}
