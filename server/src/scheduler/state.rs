//! What the scheduler knows: the queue, the reservations and the running job.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sakuga_model_core::{GenerationSpec, Stage};

use super::estimator::Estimator;
use super::queue::Queue;
use crate::event::EventBody;
use crate::job::Job;
use crate::job_id::JobId;
use crate::journal::Journal;
use crate::limits::Limits;

/// Jobs whose new position is announced at once. Jobs further back get it when they have moved up.
const ANNOUNCED_MAX: usize = 64;

pub(super) struct State {
    pub(super) queue: Queue<Job>,
    /// Reservations, in all and by client.
    pub(super) reserved: usize,
    pub(super) reserved_by: HashMap<Arc<str>, usize>,
    pub(super) client_jobs_max: usize,
    pub(super) running: Option<Running>,
    pub(super) estimator: Estimator,
    pub(super) is_draining: bool,
    pub(super) is_closing: bool,
    /// Grows when the watchdog replaces a worker. A worker of another epoch must not change the state.
    pub(super) epoch: u64,
}

/// The job that has the device.
pub(super) struct Running {
    pub(super) id: JobId,
    pub(super) spec: GenerationSpec,
    pub(super) steps_left: u32,
    pub(super) stage: Option<Stage>,
    /// Steps that are done, and all steps, as the engine counts them.
    pub(super) step: u32,
    pub(super) steps: u32,
    /// When the engine last reported anything.
    pub(super) last_report: Instant,
    pub(super) journal: Arc<Journal>,
}

impl Running {
    pub(super) fn new(job: &Job) -> Self {
        let spec = job.request.spec.clone();
        Self {
            id: job.handle.id.clone(),
            steps_left: spec.sampling.steps,
            stage: None,
            step: 0,
            steps: spec.sampling.steps,
            spec,
            last_report: Instant::now(),
            journal: job.events.clone(),
        }
    }
}

impl State {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            queue: Queue::new(limits.queued_max),
            reserved: 0,
            reserved_by: HashMap::new(),
            client_jobs_max: limits.client_jobs_max,
            running: None,
            estimator: Estimator::default(),
            is_draining: false,
            is_closing: false,
            epoch: 0,
        }
    }

    /// 1 while a job runs: what a position in the queue has to be increased by.
    pub(super) fn running_jobs(&self) -> usize {
        usize::from(self.running.is_some())
    }

    /// When the job with `place` jobs before it in the queue will start; `None` until a step was measured.
    pub(super) fn eta(&self, place: usize) -> Option<Duration> {
        let running = match &self.running {
            Some(running) => self.estimator.time_left(&running.spec, running.steps_left)?,
            None => Duration::ZERO,
        };
        self.queue.iter().take(place).try_fold(running, |sum, job| {
            let spec = &job.request.spec;
            Some(sum + self.estimator.time_left(spec, spec.sampling.steps)?)
        })
    }

    /// Publishes the position of every job from this place of the queue on, up to [`ANNOUNCED_MAX`] jobs.
    pub(super) fn announce_positions(&self, from_place: usize) {
        for (place, job) in self.queue.iter().enumerate().skip(from_place).take(ANNOUNCED_MAX) {
            let position = place + self.running_jobs();
            job.events.publish(EventBody::Queued { position, eta: self.eta(place) });
        }
    }
}
