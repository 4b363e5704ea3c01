//! Whether a device takes jobs.

use sakuga_proto::system::v1 as system;

use crate::devices::DeviceState;

pub(super) fn device_state(state: &DeviceState) -> system::DeviceState {
    match state {
        DeviceState::Serving => system::DeviceState::Serving,
        DeviceState::Draining => system::DeviceState::Draining,
        DeviceState::Drained => system::DeviceState::Drained,
        DeviceState::Disabled => system::DeviceState::Disabled,
        DeviceState::Lost(_) => system::DeviceState::Lost,
    }
}
