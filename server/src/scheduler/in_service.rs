//! Takes devices out of service and into service, by calls or because they were lost.

use std::sync::Arc;

use super::command::{Change, DeviceCommand, Pending};
use super::shared::Shared;
use super::state::{Loss, Service, State};
use crate::devices::DeviceId;
use crate::error::ServerError;
use crate::event::EventBody;
use crate::models::ModelId;

impl Shared {
    /// Takes a device out of service: it gets no more jobs, and its models are unloaded if `cleared`. The results are ready when
    /// its running job has ended.
    pub(super) fn take_out_of_service(&self, id: DeviceId, cleared: bool) -> Pending {
        let mut state = self.state();
        let device = state.devices.get_mut(id);
        device.service = if cleared { Service::Disabled } else { Service::Drained };
        let (command, result) = DeviceCommand::new(if cleared { Change::Clear } else { Change::Drain });
        // The worker of a lost device may wait for long, and nothing is left for it to do.
        let waits = device.loss.is_none() || cleared;
        let mut results = Vec::new();
        if waits && !device.is_lost_for_good() {
            device.commands.push_back(command);
            results.push(result);
        }
        self.devices_changed(&state);
        state.announce_positions(0);
        Pending(results)
    }

    /// Puts a device into service. The results are ready when the models that were unloaded are loaded again, including those of a
    /// disabling call that has not ended yet.
    pub(super) fn put_into_service(&self, id: DeviceId) -> Pending {
        let mut state = self.state();
        let device = state.devices.get_mut(id);
        device.service = Service::Enabled;
        let is_cleared_later = device.commands.iter().any(|command| command.change == Change::Clear);
        let mut results = Vec::new();
        if (is_cleared_later || !device.cleared.is_empty()) && !device.is_lost_for_good() {
            let (command, result) = DeviceCommand::new(Change::Restore);
            device.commands.push_back(command);
            results.push(result);
        }
        self.devices_changed(&state);
        state.announce_positions(0);
        Pending(results)
    }

    /// Whether a call took the device out of service and unloaded its models.
    pub(super) fn is_disabled(&self, id: DeviceId) -> bool {
        self.state().devices.get(id).service == Service::Disabled
    }

    /// Records the models to load again when the device is enabled.
    pub(super) fn set_aside(&self, id: DeviceId, models: Vec<ModelId>) {
        self.state().devices.get_mut(id).cleared.extend(models);
    }

    /// The models that were unloaded from a device and must be loaded again, now that it is enabled; empty if it was disabled again.
    pub(super) fn take_set_aside(&self, id: DeviceId) -> Vec<ModelId> {
        let mut state = self.state();
        let device = state.devices.get_mut(id);
        match device.service {
            Service::Enabled => std::mem::take(&mut device.cleared),
            Service::Drained | Service::Disabled => Vec::new(),
        }
    }

    /// Marks a device as lost until [`Shared::device_recovered`]. Waiting jobs run on other devices, or keep waiting.
    pub(super) fn device_unavailable(&self, id: DeviceId, reason: &str) {
        self.lose(&mut self.state(), id, Loss { reason: reason.to_owned(), is_final: false });
    }

    /// Marks a device as lost for good. Waiting jobs that no other device can run fail.
    pub(super) fn device_lost(&self, id: DeviceId, reason: &str) {
        let mut state = self.state();
        self.lose(&mut state, id, Loss { reason: reason.to_owned(), is_final: true });
        state.devices.get_mut(id).commands.clear();
        let jobs = if state.devices.is_lost_for_good() { state.queue.drain() } else { Vec::new() };
        let hopeless = state.take_hopeless();
        state.announce_positions(0);
        drop(state);
        for job in jobs {
            job.events.publish(EventBody::Failed(ServerError::EngineUnavailable(reason.to_owned())));
        }
        for (job, error) in hopeless {
            job.events.publish(EventBody::Failed(error));
        }
    }

    fn lose(&self, state: &mut State, id: DeviceId, loss: Loss) {
        state.devices.get_mut(id).loss = Some(loss);
        self.devices_changed(state);
    }

    /// Adds one to the losses of a device that its status reports, and marks its models as being opened again.
    pub(super) fn begin_reopening(&self, id: DeviceId) {
        let mut state = self.state();
        let device = state.devices.get_mut(id);
        device.losses += 1;
        device.is_opening = true;
        device.forget_seen();
    }

    /// Records whether a device opens models that no job waits for.
    pub(super) fn set_opening(&self, id: DeviceId, is_opening: bool) {
        self.state().devices.get_mut(id).is_opening = is_opening;
    }

    pub(super) fn device_recovered(&self, id: DeviceId) {
        let mut state = self.state();
        let device = state.devices.get_mut(id);
        (device.loss, device.is_opening) = (None, false);
        self.devices_changed(&state);
    }

    /// Wakes the workers and observers after a command is done.
    pub(super) fn command_done(&self) {
        self.devices_changed(&self.state());
    }

    /// The device's full name, as in events, records and pictures.
    pub(super) fn device_name(&self, id: DeviceId) -> Arc<str> {
        self.state().devices.get(id).info.full_name.clone()
    }
}
