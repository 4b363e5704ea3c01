//! [`WorkerId`]: which worker of a device acts.

use crate::devices::DeviceId;

/// One worker of a device. The device's epoch grows when the watchdog replaces the worker: a worker of an earlier epoch must not
/// change the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WorkerId {
    pub(super) device: DeviceId,
    pub(super) epoch: u64,
}

impl WorkerId {
    /// The first worker of a device.
    pub(super) fn first(device: DeviceId) -> Self {
        Self { device, epoch: 0 }
    }
}
