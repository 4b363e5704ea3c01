//! A page of a list of jobs while it is filled, the newest first.

use std::ops::ControlFlow;

use prost::Message as _;
use sakuga_proto::generation::v1::Job;

use super::caller::Caller;
use super::record::Record;
use super::search::JobQuery;

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
    pub jobs: Vec<Job>,
    /// The id below which the next page begins; `None`: this is the last page.
    pub next: Option<String>,
}

/// Where a page ends: the id below which the next one begins, or `None` for the last page.
type End = Option<String>;

/// The jobs of a page so far, and the id below which the next record is. Its caller reads records in the order of their ids, the
/// newest first, and ends the page where one of the methods breaks, or after the last record.
pub(crate) struct PageDraft {
    caller: Caller,
    query: JobQuery,
    limits: PageLimits,
    jobs: Vec<Job>,
    bytes: usize,
    looked_at: usize,
    before: Option<String>,
}

impl PageDraft {
    /// A page that begins below the id `before`.
    pub(crate) fn new(caller: Caller, before: Option<String>, limits: PageLimits, query: JobQuery) -> Self {
        let before = before.into_iter().chain(query.upper_id()).min();
        Self { caller, query, limits, jobs: Vec::new(), bytes: 0, looked_at: 0, before }
    }

    /// The id below which the next record is.
    pub(crate) fn before(&self) -> Option<&str> {
        self.before.as_deref()
    }

    /// Counts a job that is looked at, before its record is decoded. A search looks at a bounded number of jobs.
    pub(crate) fn look_at(&mut self, id: &str) -> ControlFlow<End> {
        if self.query.is_older(id) {
            return ControlFlow::Break(None);
        }
        if self.query.looked_at_max() == Some(self.looked_at) {
            return ControlFlow::Break(self.before.clone());
        }
        self.looked_at += 1;
        ControlFlow::Continue(())
    }

    /// Whether the page takes this job: it is the caller's and matches. Breaks if there is no room for it.
    pub(crate) fn takes(&mut self, record: &Record) -> ControlFlow<End, bool> {
        let job = record.job();
        if !self.caller.may_access(record.owner()) || !self.query.matches(job) {
            return ControlFlow::Continue(false);
        }
        self.bytes += job.encoded_len();
        let is_full = self.jobs.len() == self.limits.jobs || self.bytes > self.limits.bytes;
        if is_full && !self.jobs.is_empty() {
            return ControlFlow::Break(self.before.clone());
        }
        ControlFlow::Continue(true)
    }

    /// Adds a job that the page takes.
    pub(crate) fn push(&mut self, job: Job) {
        self.jobs.push(job);
    }

    /// The page goes past this job.
    pub(crate) fn pass(&mut self, id: String) {
        self.before = Some(id);
    }

    /// The finished page.
    pub(crate) fn end(self, next: End) -> Listed {
        Listed { jobs: self.jobs, next }
    }
}
