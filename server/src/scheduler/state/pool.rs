//! [`DevicePool`]: all devices of the server, and the rule that assigns jobs to them.

use std::cmp::Reverse;

use sakuga_model_core::AdapterChoice;

use super::device::{Device, Loss, Service};
use super::running::Running;
use crate::devices::{DeviceId, DeviceInfo, DeviceStatus};
use crate::job::JobRequest;
use crate::job_id::JobId;
use crate::models::{ModelId, ModelStatus, ModelTable, merged};
use crate::scheduler::queue::Fit;
use crate::telemetry::RunningJob;

/// All devices of the server.
///
/// All devices take jobs from one queue. If several devices are free, a job goes to one that has its model loaded, then to one
/// whose model has the job's adapters applied, then to the first in the configuration. A free device never waits for a busy one
/// that would serve the job better: it loads the model itself, so no device is idle while a job waits that it can run.
pub(in crate::scheduler) struct DevicePool {
    devices: Vec<Device>,
    /// Names of the kinds of devices. Estimates are learnt for each kind.
    kinds: Vec<String>,
}

impl DevicePool {
    pub(super) fn new(devices: impl IntoIterator<Item = (DeviceInfo, ModelTable)>) -> Self {
        let mut kinds: Vec<String> = Vec::new();
        let mut pool = Vec::new();
        for (info, models) in devices {
            let known = kinds.iter().position(|kind| kind == info.kind());
            let kind = known.unwrap_or_else(|| {
                kinds.push(info.kind().to_owned());
                kinds.len() - 1
            });
            pool.push(Device::new(info, kind, models));
        }
        Self { devices: pool, kinds }
    }

    /// The names of the kinds, in the order of their numbers.
    pub(in crate::scheduler) fn kinds(&self) -> &[String] {
        &self.kinds
    }

    pub(in crate::scheduler) fn get(&self, id: DeviceId) -> &Device {
        &self.devices[id.index()]
    }

    pub(in crate::scheduler) fn get_mut(&mut self, id: DeviceId) -> &mut Device {
        &mut self.devices[id.index()]
    }

    /// The device called `name`; `None` if there is none.
    pub(in crate::scheduler) fn find(&self, name: &str) -> Option<DeviceId> {
        self.ids().find(|id| *self.get(*id).info.name == *name)
    }

    pub(in crate::scheduler) fn ids(&self) -> impl Iterator<Item = DeviceId> + use<> {
        DeviceId::all(self.devices.len())
    }

    pub(in crate::scheduler) fn iter(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter()
    }

    pub(in crate::scheduler) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Device> {
        self.devices.iter_mut()
    }

    /// Whether free device `id` should take a job with these needs.
    pub(in crate::scheduler) fn fit(&self, id: DeviceId, wanted: Wanted<'_>) -> Fit {
        let Some(own) = self.rank(id, wanted) else { return Fit::Unable };
        let others = self.ids().filter(|other| *other != id && self.get(*other).is_free());
        if others.filter_map(|other| self.rank(other, wanted)).any(|rank| rank > own) {
            return Fit::Left;
        }
        if own.is_loaded { Fit::Ready } else { Fit::Loadable }
    }

    /// Whether a device could draw a job with these needs.
    pub(super) fn can_draw(&self, id: DeviceId, wanted: Wanted<'_>) -> bool {
        self.rank(id, wanted).is_some()
    }

    /// How well a device serves a job; `None` if loading one of its models failed there.
    fn rank(&self, id: DeviceId, Wanted { model, scene, adapters }: Wanted<'_>) -> Option<Rank> {
        let device = self.get(id);
        if [Some(model), scene].into_iter().flatten().any(|model| device.models.failure(model).is_some()) {
            return None;
        }
        let is_loaded = device.models.is_loaded(model);
        let has_adapters = is_loaded && device.adapters(model) == adapters;
        Some(Rank { is_loaded, has_adapters, place: Reverse(id) })
    }

    /// Number of running jobs.
    pub(in crate::scheduler) fn running_jobs(&self) -> usize {
        self.iter().filter(|device| device.running.is_some()).count()
    }

    /// Number of devices that can take a job now.
    pub(in crate::scheduler) fn free_devices(&self) -> usize {
        self.iter().filter(|device| device.is_free()).count()
    }

    /// The job that a device draws or assists in, for reports.
    pub(in crate::scheduler) fn job_on(&self, device: &Device) -> Option<RunningJob> {
        let Some(assisting) = &device.assisting else { return device.running_job() };
        self.get(assisting.leader).running_job().filter(|job| job.job_id == assisting.job)
    }

    /// The running job with this id and its device; `None` if it does not run.
    pub(in crate::scheduler) fn running(&self, job: &JobId) -> Option<(DeviceId, &Running)> {
        let mut running = self.ids().filter_map(|id| Some((id, self.get(id).running.as_ref()?)));
        running.find(|(_, running)| running.id == *job)
    }

    /// Why no enabled device can load a model; `None` if at least one device has loaded it or has not tried.
    pub(in crate::scheduler) fn model_failure(&self, model: ModelId) -> Option<&str> {
        self.failure_on_all(model, |device| device.service == Service::Enabled)
    }

    /// Why no device that is left can load a model; `None` if one can or has not tried. Devices that calls took out of service count,
    /// since they may be enabled again.
    pub(in crate::scheduler) fn lasting_model_failure(&self, model: ModelId) -> Option<&str> {
        self.failure_on_all(model, |_| true)
    }

    /// Why a model failed on the first of these devices; `None` if there is no such device that is left, or the model did not fail on
    /// each of them.
    fn failure_on_all(&self, model: ModelId, counts: impl Fn(&Device) -> bool) -> Option<&str> {
        let left = self.iter().filter(|device| !device.is_lost_for_good() && counts(device));
        let failures: Option<Vec<&str>> = left.map(|device| device.models.failure(model)).collect();
        failures?.first().copied()
    }

    /// Whether a device takes jobs.
    pub(in crate::scheduler) fn has_service(&self) -> bool {
        self.iter().any(Device::is_in_service)
    }

    /// Why no device takes jobs; `None` if at least one does.
    pub(in crate::scheduler) fn outage(&self) -> Option<String> {
        if self.has_service() {
            return None;
        }
        let losses: Vec<_> = self.iter().map(|device| (device, device.loss.as_ref())).collect();
        Some(match losses.as_slice() {
            [(_, Some(loss))] => loss.reason.clone(),
            _ => {
                let reason = |(device, loss): &(&Device, Option<&Loss>)| {
                    let reason = loss.map_or("a call took it out of service", |loss| &loss.reason);
                    format!("{}: {reason}", device.info.name)
                };
                losses.iter().map(reason).collect::<Vec<_>>().join("; ")
            }
        })
    }

    /// Whether every device is lost and none will be reopened.
    pub(in crate::scheduler) fn is_lost_for_good(&self) -> bool {
        self.iter().all(Device::is_lost_for_good)
    }

    /// The status of every model, merged over all devices.
    pub(in crate::scheduler) fn model_statuses(&self) -> Vec<ModelStatus> {
        merged(self.iter().map(|device| device.models.statuses()))
    }

    /// The status of every device, in the order of the configuration.
    pub(in crate::scheduler) fn statuses(&self) -> Vec<DeviceStatus> {
        self.iter().map(Device::status).collect()
    }
}

/// What a job needs of a device.
#[derive(Clone, Copy)]
pub(in crate::scheduler) struct Wanted<'a> {
    /// The model of its first pass.
    pub(in crate::scheduler) model: ModelId,
    /// The model of its scene; `None`: it has no scene.
    pub(in crate::scheduler) scene: Option<ModelId>,
    /// The adapters of its first pass.
    pub(in crate::scheduler) adapters: &'a [AdapterChoice],
}

impl<'a> Wanted<'a> {
    pub(in crate::scheduler) fn by(request: &'a JobRequest) -> Self {
        let scene = request.scene.as_ref().map(|scene| scene.model);
        Self { model: request.model, scene, adapters: &request.spec.adapters }
    }
}

/// How well a device serves a job. The greatest rank is the best.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) is_loaded: bool,
    pub(super) has_adapters: bool,
    pub(super) place: Reverse<DeviceId>,
}
