//! What the scheduler knows: the queue, the reservations, the running job and where the models are.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sakuga_model_core::AdapterChoice;

use super::command::ModelCommand;
use super::queue::Queue;
use crate::error::ServerError;
use crate::estimate::Estimator;
use crate::event::EventBody;
use crate::job::Job;
use crate::limits::Limits;
use crate::models::{ModelId, ModelTable};

mod forecast;
mod running;

use forecast::Forecast;
pub(crate) use forecast::{Forecasted, QueuePosition};
pub(super) use running::Running;

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
    /// The adapters that each model has: those of its latest job, none after any model was loaded.
    adapters: Vec<Vec<AdapterChoice>>,
    pub(super) is_draining: bool,
    pub(super) is_closing: bool,
    /// Grows when the watchdog replaces a worker. A worker of another epoch must not change the state.
    pub(super) epoch: u64,
}

impl State {
    pub(super) fn new(limits: &Limits, models: ModelTable) -> Self {
        let count = models.statuses().len();
        Self {
            queue: Queue::new(limits.queued_max),
            commands: VecDeque::new(),
            reserved: 0,
            reserved_by: HashMap::new(),
            client_jobs_max: limits.client_jobs_max,
            running: None,
            models,
            estimators: vec![Estimator::default(); count],
            adapters: vec![Vec::new(); count],
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

    /// The adapters that a model has.
    pub(super) fn adapters(&self, model: ModelId) -> &[AdapterChoice] {
        &self.adapters[model.index()]
    }

    /// Notes the adapters of the job that a model draws.
    pub(super) fn set_adapters(&mut self, model: ModelId, adapters: Vec<AdapterChoice>) {
        self.adapters[model.index()] = adapters;
    }

    /// Notes that no model has adapters: before a model is loaded, the open ones take theirs back to make room.
    pub(super) fn forget_adapters(&mut self) {
        self.adapters.iter_mut().for_each(Vec::clear);
    }

    /// Jobs of a client that has so many live ones, those that are being admitted included.
    pub(super) fn jobs_of(&self, client: &str, live_jobs: usize) -> usize {
        live_jobs + self.reserved_by.get(client).copied().unwrap_or(0)
    }

    /// 1 while a job runs: what a position in the queue has to be increased by.
    pub(super) fn running_jobs(&self) -> usize {
        usize::from(self.running.is_some())
    }

    /// When the running job will end; zero if there is none, `None` until a step of its model was measured.
    pub(super) fn time_left(&self) -> Option<Duration> {
        let Some(running) = &self.running else { return Some(Duration::ZERO) };
        running.time_left(self.estimator(running.model))
    }

    /// The times of the jobs that wait, from the end of the running one on; `None` until a step of its model was measured.
    pub(super) fn forecast(&self) -> Option<Forecast<'_>> {
        Some(Forecast::new(self, self.time_left()?))
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
