//! [`ModelStatus`]: a model as it is at one moment, on one device or over all of them.

use std::sync::Arc;
use std::time::SystemTime;

use super::ModelId;
use crate::devices::DeviceId;

/// Where the weights of a model are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ModelState {
    /// In its files only.
    Unloaded,
    /// In host memory.
    OnHost,
    /// On their way to the device.
    Loading,
    /// On the device.
    Loaded,
    /// In its files only; the last attempt to load them failed for this reason.
    Failed(String),
}

/// A model as it is at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelStatus {
    pub id: ModelId,
    pub name: Arc<str>,
    /// Where its weights are.
    pub state: ModelState,
    /// Bytes of the copy of its weights in host memory.
    pub host_bytes: u64,
    /// When a job of it last started.
    pub last_used: Option<SystemTime>,
    /// The devices that it is loaded on.
    pub devices: Vec<DeviceId>,
}

impl ModelState {
    /// Rank of a state when the states of several devices are merged: the state that can run a job first wins. A failure wins only
    /// if the model failed on all devices.
    fn order(&self) -> u8 {
        match self {
            ModelState::Loaded => 0,
            ModelState::Loading => 1,
            ModelState::OnHost => 2,
            ModelState::Unloaded => 3,
            ModelState::Failed(_) => 4,
        }
    }
}

/// The models over all devices, from those of each device in the order of their ids.
pub(crate) fn merged(devices: impl IntoIterator<Item = Vec<ModelStatus>>) -> Vec<ModelStatus> {
    let mut all: Vec<ModelStatus> = Vec::new();
    for (device, statuses) in DeviceId::all(usize::MAX).zip(devices) {
        for (place, status) in statuses.into_iter().enumerate() {
            let loaded_on = (status.state == ModelState::Loaded).then_some(device);
            if place == all.len() {
                all.push(ModelStatus { devices: loaded_on.into_iter().collect(), ..status });
                continue;
            }
            let merged = &mut all[place];
            merged.devices.extend(loaded_on);
            merged.host_bytes += status.host_bytes;
            merged.last_used = merged.last_used.max(status.last_used);
            if status.state.order() < merged.state.order() {
                merged.state = status.state;
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_state_over_all_devices_is_the_one_that_can_draw_soonest() {
        let used = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let status = |state, host_bytes, last_used| {
            vec![ModelStatus {
                id: ModelId::DEFAULT,
                name: "a".into(),
                state,
                host_bytes,
                last_used,
                devices: Vec::new(),
            }]
        };
        let failed = || ModelState::Failed("no file".into());
        let of = |devices: Vec<Vec<ModelStatus>>| merged(devices).remove(0);
        let one = of(vec![
            status(failed(), 0, None),
            status(ModelState::Loaded, 3, used(1)),
            status(ModelState::Unloaded, 4, used(2)),
        ]);
        assert_eq!((one.state, one.host_bytes, one.last_used), (ModelState::Loaded, 7, used(2)));
        assert_eq!(one.devices, DeviceId::all(2).skip(1).collect::<Vec<_>>());
        assert_eq!(
            of(vec![status(failed(), 0, None), status(ModelState::Unloaded, 0, None)]).state,
            ModelState::Unloaded
        );
        assert_eq!(of(vec![status(failed(), 0, None), status(failed(), 0, None)]).state, failed());
    }
}
