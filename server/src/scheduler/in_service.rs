//! Takes devices out of service and into service, by calls or because they were lost.

use std::sync::Arc;

use super::command::{Change, DeviceCommand, ModelChange, Pending};
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

    /// Puts a device into service. The results are ready when the models that were unloaded by `cleared` are loaded again.
    pub(super) fn put_into_service(&self, id: DeviceId) -> Pending {
        let mut state = self.state();
        let device = state.devices.get_mut(id);
        device.service = Service::Enabled;
        let models = std::mem::take(&mut device.cleared);
        let load = |model| DeviceCommand::new(Change::Model(model, ModelChange::Load));
        let (commands, results): (Vec<_>, Vec<_>) = models.into_iter().map(load).unzip();
        device.commands.extend(commands);
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

    /// Marks a device as lost until [`Shared::device_recovered`]. Waiting jobs run on other devices, or keep waiting.
    pub(super) fn device_unavailable(&self, id: DeviceId, reason: &str) {
        self.lose(&mut self.state(), id, Loss { reason: reason.to_owned(), is_final: false });
    }

    /// Marks a device as lost for good. If it was the last one, waiting jobs fail.
    pub(super) fn device_lost(&self, id: DeviceId, reason: &str) {
        let mut state = self.state();
        self.lose(&mut state, id, Loss { reason: reason.to_owned(), is_final: true });
        state.devices.get_mut(id).commands.clear();
        if !state.devices.is_lost_for_good() {
            return;
        }
        let jobs = state.queue.drain();
        drop(state);
        for job in jobs {
            job.events.publish(EventBody::Failed(ServerError::EngineUnavailable(reason.to_owned())));
        }
    }

    fn lose(&self, state: &mut State, id: DeviceId, loss: Loss) {
        state.devices.get_mut(id).loss = Some(loss);
        self.devices_changed(state);
    }

    /// Adds one to the losses of a device that its status reports.
    pub(super) fn count_loss(&self, id: DeviceId) {
        self.state().devices.get_mut(id).losses += 1;
    }

    pub(super) fn device_recovered(&self, id: DeviceId) {
        let mut state = self.state();
        state.devices.get_mut(id).loss = None;
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
