//! A job: one accepted request, from the queue to its terminal event.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sakuga_model_core::GenerationSpec;
use tokio::sync::watch;

use crate::error::ServerError;
use crate::event::{CancelReason, EventBody};
use crate::job_id::JobId;
use crate::journal::Journal;
use crate::picture::TextChunk;
use crate::preview::PreviewPolicy;
use crate::sync::lock;

/// What others hold of a job: enough to give it up.
#[derive(Clone, Debug)]
pub struct JobHandle {
    /// The job.
    pub id: JobId,
    control: Arc<Control>,
}

impl JobHandle {
    /// A handle for a new job.
    pub fn new(id: JobId, deadline: Option<Instant>) -> Self {
        Self { id, control: Arc::new(Control { cancelled: AtomicU8::new(0), deadline }) }
    }

    /// When it is given up.
    pub fn deadline(&self) -> Option<Instant> {
        self.control.deadline
    }

    /// Marks the job as given up; the first reason stays.
    pub(crate) fn cancel(&self, reason: CancelReason) {
        let _ = self.control.cancelled.compare_exchange(0, reason as u8, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Why the job is given up, if it is: asked for, or its deadline has passed.
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        if self.control.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.cancel(CancelReason::Deadline);
        }
        match self.control.cancelled.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(CancelReason::ClientGone),
            2 => Some(CancelReason::Requested),
            3 => Some(CancelReason::Deadline),
            _ => Some(CancelReason::Shutdown),
        }
    }
}

#[derive(Debug)]
struct Control {
    /// 0, or a [`CancelReason`].
    cancelled: AtomicU8,
    deadline: Option<Instant>,
}

/// What a job needs from its request.
#[derive(Clone, Debug)]
pub struct JobRequest {
    /// The caller's name for it.
    pub request_id: String,
    /// Who asked for it.
    pub client: Arc<str>,
    /// Its share of the device.
    pub priority: Priority,
    /// Whether it waits for the next start of the server when this one goes down.
    pub is_kept: bool,
    /// What to draw.
    pub spec: GenerationSpec,
    /// What previews to send.
    pub preview: PreviewPolicy,
    /// Least time between two samples of the device.
    pub stats_interval: Duration,
    /// What the file of each picture says of itself.
    pub texts: Vec<Vec<TextChunk>>,
}

/// A job's share of the device while others wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Priority {
    /// A quarter of a normal one's.
    Low,
    /// As it comes.
    #[default]
    Normal,
    /// Four times a normal one's.
    High,
}

/// A job on its way. It is live until it is dropped, and dropping it ends its stream if nothing else has.
#[derive(Debug)]
pub struct Job {
    /// Its name and its end.
    pub handle: JobHandle,
    /// What it is about.
    pub request: JobRequest,
    /// Where its events go.
    pub events: Arc<Journal>,
    /// When it was accepted.
    pub accepted: Instant,
    live: Arc<LiveJobs>,
}

impl Job {
    /// A job that counts as live from now on.
    pub fn new(handle: JobHandle, request: JobRequest, events: Arc<Journal>, live: &Arc<LiveJobs>) -> Self {
        live.insert(&handle, &request.client);
        Self { handle, request, events, accepted: Instant::now(), live: live.clone() }
    }

    /// Ends the job as given up after so many steps; one that is kept has not ended when the server goes down.
    pub fn cancelled(&self, at_step: u32, reason: CancelReason) {
        if self.request.is_kept && reason == CancelReason::Shutdown {
            return self.events.seal();
        }
        self.events.publish(EventBody::Cancelled { at_step, reason });
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // Refused by the stream if the job has ended, as it should have.
        if self.events.publish(EventBody::Failed(ServerError::Internal("the job was lost".into()))) {
            tracing::error!(job_id = %self.handle.id, "a job was dropped without a terminal event");
        }
        self.live.remove(&self.handle.id);
    }
}

/// The jobs that have no terminal event yet, and how many they are.
#[derive(Debug)]
pub struct LiveJobs {
    handles: Mutex<HashMap<JobId, (JobHandle, Arc<str>)>>,
    count: watch::Sender<usize>,
}

impl Default for LiveJobs {
    fn default() -> Self {
        Self { handles: Mutex::default(), count: watch::Sender::new(0) }
    }
}

impl LiveJobs {
    /// How many there are, now and later.
    pub fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// All of them.
    pub fn handles(&self) -> Vec<JobHandle> {
        lock(&self.handles).values().map(|(handle, _)| handle.clone()).collect()
    }

    /// How many this client has.
    pub fn of_client(&self, client: &str) -> usize {
        lock(&self.handles).values().filter(|(_, owner)| **owner == *client).count()
    }

    fn insert(&self, handle: &JobHandle, client: &Arc<str>) {
        let mut handles = lock(&self.handles);
        handles.insert(handle.id.clone(), (handle.clone(), client.clone()));
        self.count.send_replace(handles.len());
    }

    /// Counts a job no more.
    pub(crate) fn remove(&self, id: &JobId) {
        let mut handles = lock(&self.handles);
        handles.remove(id);
        self.count.send_replace(handles.len());
    }
}
