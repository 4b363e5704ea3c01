//! Reads jobs: one, a page of them, and their telemetry.

use sakuga_proto::generation::v1::{self as generation};
use tokio_util::sync::CancellationToken;

use super::caller::Caller;
use super::record::Record;
use super::registry::Jobs;
use super::search::JobQuery;
use crate::error::ServerError;
use crate::job_id::JobId;
use crate::scheduler::JobProgress;
use crate::store::StoreError;
use crate::telemetry::Series;
use crate::wire::to_proto;

/// Records that are read from the store at once.
const SCAN: usize = 256;

/// The bounds of a page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageLimits {
    /// Most jobs.
    pub jobs: usize,
    /// Most bytes of all encoded jobs together. A page has at least one job, however large that is.
    pub bytes: usize,
}

/// A page of jobs.
#[derive(Debug)]
pub(crate) struct Listed {
    /// The jobs, the newest first.
    pub jobs: Vec<generation::Job>,
    /// The id below which the next page begins; `None`: this is the last page.
    pub next: Option<String>,
}

impl Jobs {
    /// A job as it is now.
    ///
    /// # Errors
    ///
    /// [`ServerError::UnknownJob`], [`ServerError::InvalidRequest`] or [`ServerError::Store`].
    pub(crate) async fn get(&self, caller: &Caller, job_id: &str) -> Result<generation::Job, ServerError> {
        let (_, record) = self.accessible(caller, job_id).await?;
        Ok(self.with_progress(record.into_job()))
    }

    /// Adds the progress of a live job, which is not in its record.
    pub(super) fn with_progress(&self, mut job: generation::Job) -> generation::Job {
        let id = JobId::named(&job.job_id);
        if let Some(journal) = self.live_journal(&id) {
            job.next_sequence = journal.next_sequence();
        }
        if job.end_time.is_some() {
            return job;
        }
        match self.dependencies.scheduler.progress(&id) {
            Some(JobProgress::Waiting { position, eta }) => {
                job.queue_position = Some(to_proto::saturate(position));
                job.eta = eta.and_then(to_proto::duration);
            }
            Some(JobProgress::Running { step, steps, eta }) => {
                // Its start may not be committed yet.
                job.queue_position = job.start_time.is_none().then_some(0);
                job.step = Some(step);
                job.step_total = Some(steps);
                job.eta = eta.and_then(to_proto::duration);
            }
            None => {}
        }
        job
    }

    /// The caller's jobs of a query, the newest first, below the id `before`. Damaged records are left out. A query that
    /// searches looks at a bounded number of jobs, so that its page may be short or empty and not the last.
    ///
    /// # Errors
    ///
    /// [`ServerError::Store`].
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        before: Option<String>,
        limits: PageLimits,
        query: JobQuery,
    ) -> Result<Listed, ServerError> {
        use prost::Message as _;
        let caller = caller.clone();
        // Dropped with the call: a long search ends then.
        let gone = CancellationToken::new();
        let _call = gone.clone().drop_guard();
        let found = self.read_store(move |store| {
            let (mut found, mut bytes, mut looked_at) = (Vec::new(), 0_usize, 0);
            let mut before = before.into_iter().chain(query.upper_id()).min();
            loop {
                let scanned = store.jobs(before.as_deref(), SCAN)?;
                if scanned.is_empty() {
                    return Ok((found, None));
                }
                for (id, encoded) in scanned {
                    if gone.is_cancelled() {
                        return Err(StoreError::Io("the call is gone".into()));
                    }
                    if query.is_older(&id) {
                        return Ok((found, None));
                    }
                    if query.looked_at_max().is_some_and(|max| looked_at == max) {
                        return Ok((found, before));
                    }
                    looked_at += 1;
                    let record = match encoded.and_then(|encoded| Record::of(&id, &encoded)) {
                        Ok(record) => record,
                        // One damaged record does not hide the others; the start of the server logged it as an error.
                        Err(error @ StoreError::Damaged(_)) => {
                            tracing::debug!(job_id = %id, %error, "a damaged job is left out of a list");
                            before = Some(id);
                            continue;
                        }
                        Err(error) => return Err(error),
                    };
                    if caller.may_access(record.owner()) && query.matches(record.job()) {
                        bytes += record.job().encoded_len();
                        let is_full = found.len() == limits.jobs || bytes > limits.bytes;
                        if is_full && !found.is_empty() {
                            return Ok((found, before));
                        }
                        found.push(record.into_job());
                    }
                    before = Some(id);
                }
            }
        });
        let (jobs, next) = found.await?;
        Ok(Listed { jobs: jobs.into_iter().map(|job| self.with_progress(job)).collect(), next })
    }

    /// Samples of the device while a job had it; empty for a job that never had it.
    ///
    /// # Errors
    ///
    /// [`ServerError::UnknownJob`], [`ServerError::InvalidRequest`], [`ServerError::NoTelemetry`] or
    /// [`ServerError::Store`].
    pub(crate) async fn telemetry(&self, caller: &Caller, job_id: &str) -> Result<Series, ServerError> {
        let (id, record) = self.accessible(caller, job_id).await?;
        match self.dependencies.telemetry.of(&id) {
            Some(series) => Ok(series),
            None if record.job().start_time.is_none() => Ok(Series::default()),
            None => Err(ServerError::NoTelemetry(id.to_string())),
        }
    }

    /// Whether a live job is one that the caller may know of.
    pub(crate) fn may_access_live(&self, caller: &Caller, id: &JobId) -> bool {
        caller.sees_all || self.live.lock().get(id).is_some_and(|live| caller.may_access(&live.owner))
    }
}
