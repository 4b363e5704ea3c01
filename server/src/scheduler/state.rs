//! What the scheduler knows: the queue, the reservations, the running job and where the models are.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sakuga_model_core::{GenerationSpec, Stage};

use super::command::ModelCommand;
use super::estimator::Estimator;
use super::queue::Queue;
use crate::error::ServerError;
use crate::event::EventBody;
use crate::job::{Job, JobRequest};
use crate::job_id::JobId;
use crate::journal::Journal;
use crate::limits::Limits;
use crate::models::{ModelId, ModelTable, ResidentSet};

/// Jobs whose new position is announced at once. Jobs further back get it when they have moved up.
const ANNOUNCED_MAX: usize = 64;

pub(super) struct State {
    pub(super) queue: Queue<Job>,
    /// Done before the next job.
    pub(super) commands: VecDeque<ModelCommand>,
    /// Reservations, in all and by client.
    pub(super) reserved: usize,
    pub(super) reserved_by: HashMap<Arc<str>, usize>,
    pub(super) client_jobs_max: usize,
    pub(super) running: Option<Running>,
    pub(super) models: ModelTable,
    /// One for each model.
    estimators: Vec<Estimator>,
    pub(super) is_draining: bool,
    pub(super) is_closing: bool,
    /// Grows when the watchdog replaces a worker. A worker of another epoch must not change the state.
    pub(super) epoch: u64,
}

/// The job that has the device.
pub(super) struct Running {
    pub(super) id: JobId,
    pub(super) model: ModelId,
    pub(super) spec: GenerationSpec,
    pub(super) steps_left: u32,
    pub(super) stage: Option<Stage>,
    /// When its model will be on the device, by the time that the last load took; `None` if it is there, or was never
    /// loaded.
    pub(super) load_end: Option<Instant>,
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
            model: job.request.model,
            steps_left: spec.computed_steps(),
            stage: None,
            load_end: None,
            step: 0,
            steps: spec.computed_steps(),
            spec,
            last_report: Instant::now(),
            journal: job.events.clone(),
        }
    }
}

impl State {
    pub(super) fn new(limits: &Limits, models: ModelTable) -> Self {
        let estimators = models.statuses().iter().map(|_| Estimator::default()).collect();
        Self {
            queue: Queue::new(limits.queued_max),
            commands: VecDeque::new(),
            reserved: 0,
            reserved_by: HashMap::new(),
            client_jobs_max: limits.client_jobs_max,
            running: None,
            models,
            estimators,
            is_draining: false,
            is_closing: false,
            epoch: 0,
        }
    }

    /// Why jobs of a model are refused, if they are: it could not be loaded.
    pub(super) fn model_error(&self, model: ModelId) -> Option<ServerError> {
        let reason = self.models.failure(model)?.to_owned();
        Some(ServerError::ModelUnusable { model: self.models.name(model).to_string(), reason })
    }

    pub(super) fn estimator(&self, model: ModelId) -> &Estimator {
        &self.estimators[model.index()]
    }

    pub(super) fn estimator_mut(&mut self, model: ModelId) -> &mut Estimator {
        &mut self.estimators[model.index()]
    }

    /// 1 while a job runs: what a position in the queue has to be increased by.
    pub(super) fn running_jobs(&self) -> usize {
        usize::from(self.running.is_some())
    }

    /// When the running job will end; zero if there is none, `None` until a step of its model was measured.
    pub(super) fn time_left(&self) -> Option<Duration> {
        let Some(running) = &self.running else { return Some(Duration::ZERO) };
        let load_left = running.load_end.map_or(Duration::ZERO, |end| end.saturating_duration_since(Instant::now()));
        Some(load_left + self.estimator(running.model).time_left(&running.spec, running.steps_left)?)
    }

    /// The times of the jobs that wait, from the end of the running one on; `None` until a step of its model was measured.
    pub(super) fn forecast(&self) -> Option<Forecast<'_>> {
        Some(Forecast { state: self, residents: self.models.residents().clone(), time: self.time_left()? })
    }

    /// When the job with `place` jobs before it in the queue will start; `None` until steps of their models were measured.
    pub(super) fn eta(&self, place: usize) -> Option<Duration> {
        Some(self.forecast_to(place)?.time)
    }

    /// The forecast after the jobs before `place`.
    pub(super) fn forecast_to(&self, place: usize) -> Option<Forecast<'_>> {
        self.queue.iter().take(place).try_fold(self.forecast()?, |forecast, job| forecast.after(&job.request))
    }

    /// Publishes the position of every job from this place of the queue on, up to [`ANNOUNCED_MAX`] jobs.
    pub(super) fn announce_positions(&self, from_place: usize) {
        let mut forecast = self.forecast_to(from_place);
        for (place, job) in self.queue.iter().enumerate().skip(from_place).take(ANNOUNCED_MAX) {
            let position = place + self.running_jobs();
            job.events.publish(EventBody::Queued { position, eta: forecast.as_ref().map(|forecast| forecast.time) });
            forecast = forecast.and_then(|forecast| forecast.after(&job.request));
        }
    }
}

/// Adds up the times of jobs in the order of the queue, with the loads of models that are not on the device by then. Jobs of
/// loaded models that are served earlier than their place are not predicted.
pub(super) struct Forecast<'a> {
    state: &'a State,
    residents: ResidentSet,
    /// When the next job will start.
    pub(super) time: Duration,
}

impl Forecast<'_> {
    /// The forecast after a job; `None` if a time of its model was not measured yet.
    pub(super) fn after(mut self, request: &JobRequest) -> Option<Self> {
        let JobRequest { model, spec, .. } = request;
        if !self.residents.contains(*model) {
            self.time += self.state.models.load_time(*model)?;
        }
        self.residents.insert(*model);
        self.time += self.state.estimator(*model).time_left(spec, spec.computed_steps())?;
        Some(self)
    }
}
