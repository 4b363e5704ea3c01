//! Which jobs get a second device, and which device that is.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use super::assisting::{Assisting, shared_time};
use super::pool::Wanted;
use super::{Device, State};
use crate::devices::DeviceId;
use crate::job::{Job, JobRequest, Placement};
use crate::scheduler::share::{self, AssistingDevice};
use crate::scheduler::worker_id::WorkerId;

impl State {
    /// Gives a job that device `leader` begins a second device, if it should have one and one is free. The second device is busy from
    /// then on, until the job needs it no more.
    pub(super) fn take_assistant(&mut self, leader: DeviceId, job: &Job) -> Option<AssistingDevice> {
        let left = job.handle.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let wants = self.wants_assistance(leader, &job.request, left);
        let id = wants.then(|| self.free_assistant(leader, &job.request)).flatten()?;
        let worker = |id: DeviceId| WorkerId { device: id, epoch: self.devices.get(id).epoch };
        let (assisting, task) = share::connect(job, worker(leader), worker(id));
        let model = job.request.model;
        let device = self.devices.get_mut(id);
        device.models.used(model);
        device.set_adapters(model, job.request.spec.adapters.clone());
        device.assisting = Some(Assisting { job: job.handle.id.clone(), model, leader, last_report: Instant::now() });
        device.assist_task = Some(task);
        device.is_idle = false;
        Some(assisting)
    }

    /// Whether a job should have a second device: it asks for one, or `leader` alone would need more than `left`, the time until its
    /// deadline.
    fn wants_assistance(&self, leader: DeviceId, request: &JobRequest, left: Option<Duration>) -> bool {
        match request.placement {
            Placement::Throughput => false,
            Placement::Latency => true,
            Placement::Deadline => left.is_some_and(|left| {
                let switches = self.devices.get(leader).adapters(request.model) != request.spec.adapters.as_slice();
                let alone = self.estimator(leader, request.model).predict(&request.work, switches);
                alone.is_some_and(|alone| alone.seconds() > left.as_secs_f64())
            }),
        }
    }

    /// The best free device that can compute half of the guidance of a job which `leader` draws. A device for which another job waits
    /// is not free. Both devices have the model, so neither waits while the other one loads it.
    fn free_assistant(&self, leader: DeviceId, request: &JobRequest) -> Option<DeviceId> {
        let first = self.devices.get(leader);
        let has_model = |device: &Device| device.models.is_loaded(request.model);
        if !has_model(first) {
            return None;
        }
        let others = self.devices.ids().filter(|id| *id != leader);
        let able = others.filter(|id| {
            let device = self.devices.get(*id);
            device.kind == first.kind && device.is_free() && device.commands.is_empty() && has_model(device)
        });
        let free = able.filter(|id| !self.queue.iter().any(|job| self.devices.can_draw(*id, Wanted::by(&job.request))));
        let has_adapters = |id: DeviceId| self.devices.get(id).adapters(request.model) == request.spec.adapters;
        free.max_by_key(|id| (has_adapters(*id), Reverse(*id)))
    }

    /// The share of the time of its steps that a job which is not created would take, since it would get a second device; 1: it would
    /// get none.
    pub(super) fn expected_share(&self, leader: DeviceId, request: &JobRequest) -> f64 {
        let begins_now = self.queue.len() == 0 && self.devices.get(leader).is_free();
        let is_shared = begins_now
            && self.wants_assistance(leader, request, request.timeout)
            && self.free_assistant(leader, request).is_some();
        if is_shared { shared_time(&request.work) } else { 1.0 }
    }
}
