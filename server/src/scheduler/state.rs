//! What the scheduler knows: the queue, the reservations and the devices.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::queue::Queue;
use super::share::AssistingDevice;
use super::worker_id::WorkerId;
use crate::devices::{DeviceId, DeviceInfo};
use crate::error::ServerError;
use crate::estimate::Estimator;
use crate::event::EventBody;
use crate::job::{Job, JobRequest};
use crate::limits::Limits;
use crate::models::{ModelId, ModelTable};

mod assistance;
mod assisting;
mod device;
mod forecast;
mod pool;
#[cfg(test)]
mod pool_tests;
mod running;

pub(super) use assisting::Assisting;
pub(super) use device::{Device, Loss, Service};
use forecast::Forecast;
pub(crate) use forecast::{Forecasted, QueuePosition};
use pool::Wanted;

pub(super) use pool::DevicePool;
pub(super) use running::Running;

/// Jobs whose new position is announced at once. Jobs further back get it when they have moved up.
const ANNOUNCED_MAX: usize = 64;

pub(super) struct State {
    pub(super) queue: Queue<Job>,
    pub(super) devices: DevicePool,
    /// Reservations, in all and by client.
    pub(super) reserved: usize,
    pub(super) reserved_by: HashMap<Arc<str>, usize>,
    pub(super) client_jobs_max: usize,
    /// One for each kind of device and each model, those of a kind together.
    estimators: Vec<Estimator>,
    models: usize,
    pub(super) is_draining: bool,
    pub(super) is_closing: bool,
}

impl State {
    pub(super) fn new(limits: &Limits, devices: impl IntoIterator<Item = (DeviceInfo, ModelTable)>) -> Self {
        let devices = DevicePool::new(devices);
        let models = devices.model_statuses().len();
        Self {
            queue: Queue::new(limits.queued_max),
            reserved: 0,
            reserved_by: HashMap::new(),
            client_jobs_max: limits.client_jobs_max,
            estimators: vec![Estimator::default(); devices.kinds().len() * models],
            models,
            devices,
            is_draining: false,
            is_closing: false,
        }
    }

    /// Whether a worker still has its device.
    pub(super) fn is_current(&self, worker: WorkerId) -> bool {
        self.devices.get(worker.device).epoch == worker.epoch
    }

    /// Why jobs of a model are refused, if they are: no device can load it.
    fn model_error(&self, model: ModelId) -> Option<ServerError> {
        Some(self.unusable(model, self.devices.model_failure(model)?))
    }

    /// The error of jobs whose model cannot be loaded, for this reason.
    pub(super) fn unusable(&self, model: ModelId, reason: &str) -> ServerError {
        ServerError::ModelUnusable { model: self.model_name(model).to_string(), reason: reason.to_owned() }
    }

    /// Removes the jobs that wait for a model which no device will load, each with its error.
    pub(super) fn take_hopeless(&mut self) -> Vec<(Job, ServerError)> {
        let Self { queue, devices, .. } = self;
        let fails = |devices: &DevicePool, model: ModelId| devices.lasting_model_failure(model).is_some();
        let jobs = queue.remove_all(|job| job.request.models().any(|model| fails(devices, model)));
        let failed = |job: Job| {
            let models = job.request.models().find(|model| fails(&self.devices, *model));
            let model = models.unwrap_or(job.request.model);
            let error = self.unusable(model, self.devices.lasting_model_failure(model).unwrap_or_default());
            (job, error)
        };
        jobs.into_iter().map(failed).collect()
    }

    pub(super) fn model_name(&self, model: ModelId) -> &Arc<str> {
        self.devices.get(DeviceId::FIRST).models.name(model)
    }

    /// Why a request is refused, if it is: no device can load one of its models.
    pub(super) fn request_error(&self, request: &JobRequest) -> Option<ServerError> {
        request.models().find_map(|model| self.model_error(model))
    }

    /// The times of a model on the kind of a device.
    pub(super) fn estimator(&self, device: DeviceId, model: ModelId) -> &Estimator {
        &self.estimators[self.devices.get(device).kind * self.models + model.index()]
    }

    pub(super) fn estimator_mut(&mut self, device: DeviceId, model: ModelId) -> &mut Estimator {
        let kind = self.devices.get(device).kind;
        self.estimator_of_kind_mut(kind, model)
    }

    pub(super) fn estimator_of_kind_mut(&mut self, kind: usize, model: ModelId) -> &mut Estimator {
        &mut self.estimators[kind * self.models + model.index()]
    }

    /// Number of a client's jobs: its `live_jobs` and those that are being admitted.
    pub(super) fn jobs_of(&self, client: &str, live_jobs: usize) -> usize {
        live_jobs + self.reserved_by.get(client).copied().unwrap_or(0)
    }

    /// Gives a device that is free its next job, if there is one for it, and a second device to a job that should have one. The devices
    /// are busy from then on.
    pub(super) fn take_job(&mut self, id: DeviceId) -> Option<(Job, Option<AssistingDevice>)> {
        let Self { queue, devices, .. } = self;
        if !devices.get(id).is_in_service() {
            return None;
        }
        let job = queue.pop(|job| devices.fit(id, Wanted::by(&job.request)))?;
        devices.get_mut(id).is_idle = false;
        let assisting = self.take_assistant(id, &job);
        let device = self.devices.get_mut(id);
        device.models.used(job.request.model);
        device.running = Some(Running::new(&job, assisting.is_some()));
        device.jobs += 1;
        self.announce_positions(0);
        Some((job, assisting))
    }

    /// The position of the job with `place` jobs before it in the queue: those and the running ones, or 0 if a device is free for it.
    /// While no device takes jobs it is at least 1.
    pub(super) fn position(&self, place: usize) -> usize {
        if place < self.devices.free_devices() {
            return 0;
        }
        (place + self.devices.running_jobs()).max(usize::from(!self.devices.has_service()))
    }

    /// When the first device will be free; `None` until a step of a running model was measured.
    pub(super) fn time_left(&self) -> Option<Duration> {
        let serving = self.devices.ids().filter(|id| self.devices.get(*id).is_in_service());
        serving.filter_map(|id| self.free_in(id)).min()
    }

    /// When a device will be free; `None` until a step of its running model was measured, and while its models are opened.
    fn free_in(&self, id: DeviceId) -> Option<Duration> {
        let device = self.devices.get(id);
        let leader = device.assisting.as_ref().map(|assisting| assisting.leader);
        // A device that assists is free at the end of the job at the latest.
        match (&device.running, leader) {
            (Some(running), _) => running.time_left(|model| self.estimator(id, model)),
            (None, Some(leader)) => {
                let running = self.devices.get(leader).running.as_ref()?;
                running.time_left(|model| self.estimator(leader, model))
            }
            (None, None) => (!device.is_opening).then_some(Duration::ZERO),
        }
    }

    /// When the job with `place` jobs before it in the queue will start; `None` until steps of their models were measured, and if there
    /// is no such job.
    pub(super) fn eta(&self, place: usize) -> Option<Duration> {
        let job = self.queue.iter().nth(place)?;
        self.forecast_to(place).next_start(job.request.models())
    }

    /// The forecast after the jobs before `place`.
    pub(super) fn forecast_to(&self, place: usize) -> Forecast<'_> {
        let jobs = self.queue.iter().take(place);
        jobs.fold(Forecast::of_now(self), |forecast, job| forecast.after(&job.request))
    }

    /// Publishes the position of every job from this place of the queue on, up to [`ANNOUNCED_MAX`] jobs.
    pub(super) fn announce_positions(&self, from_place: usize) {
        let mut forecast = self.forecast_to(from_place);
        for (place, job) in self.queue.iter().enumerate().skip(from_place).take(ANNOUNCED_MAX) {
            job.events.publish(EventBody::Queued {
                position: self.position(place),
                eta: forecast.next_start(job.request.models()),
            });
            forecast = forecast.after(&job.request);
        }
    }
}
