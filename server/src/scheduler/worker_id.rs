//! [`Lease`]: a worker's claim on its device.

use crate::devices::DeviceId;

/// A worker's claim on its device. It ends when the watchdog replaces the worker: the device's epoch grows then, and a worker
/// whose lease has ended must not change the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) device: DeviceId,
    pub(super) epoch: u64,
}

impl Lease {
    /// The claim of the first worker of a device.
    pub(super) fn first(device: DeviceId) -> Self {
        Self { device, epoch: 0 }
    }
}
