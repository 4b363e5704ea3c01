//! Reads jobs: one, a page of them, and their telemetry.

use std::ops::ControlFlow;

use sakuga_proto::generation::v1::{self as generation};
use tokio_util::sync::CancellationToken;

use super::caller::Caller;
use super::page::{Listed, PageDraft, PageLimits};
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
        let mut page = PageDraft::new(caller.clone(), before, limits, query);
        // Dropped with the call: a long search ends then.
        let gone = CancellationToken::new();
        let _call = gone.clone().drop_guard();
        let listed = self.read_store(move |store| {
            loop {
                let scanned = store.jobs(page.before(), SCAN)?;
                if scanned.is_empty() {
                    return Ok(page.end(None));
                }
                for (id, encoded) in scanned {
                    if gone.is_cancelled() {
                        return Err(StoreError::Io("the call is gone".into()));
                    }
                    if let ControlFlow::Break(next) = page.look_at(&id) {
                        return Ok(page.end(next));
                    }
                    let record = match encoded.and_then(|encoded| Record::of(&id, &encoded)) {
                        Ok(record) => record,
                        // One damaged record does not hide the others; the start of the server logged it as an error.
                        Err(error @ StoreError::Damaged(_)) => {
                            tracing::debug!(job_id = %id, %error, "a damaged job is left out of a list");
                            page.pass(id);
                            continue;
                        }
                        Err(error) => return Err(error),
                    };
                    match page.takes(&record) {
                        ControlFlow::Break(next) => return Ok(page.end(next)),
                        ControlFlow::Continue(true) => page.push(record.into_job()),
                        ControlFlow::Continue(false) => {}
                    }
                    page.pass(id);
                }
            }
        });
        let Listed { jobs, next } = listed.await?;
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
