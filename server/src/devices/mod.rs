//! Ids, names and states of the server's devices.
//!
//! Plain data: the state that changes is in the [scheduler](crate::scheduler), under its lock.

mod status;

pub(crate) use status::{DeviceState, DeviceStatus};

use std::sync::Arc;

/// A device of this server, by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DeviceId(usize);

impl DeviceId {
    /// The first device of the configuration.
    pub(crate) const FIRST: Self = Self(0);

    /// The place in the configuration, from 0.
    pub(crate) fn index(self) -> usize {
        self.0
    }

    /// The ids of a server's devices, `count` of them.
    pub(crate) fn all(count: usize) -> impl Iterator<Item = Self> {
        (0..count).map(Self)
    }
}

/// The names of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceInfo {
    /// What calls and metrics name, such as `cuda:0`.
    pub name: Arc<str>,
    /// The name with the make, such as `cuda:0 NVIDIA H100 80GB HBM3`.
    pub full_name: Arc<str>,
}

impl DeviceInfo {
    /// The device of this full name; its first word is the name.
    pub(crate) fn new(full_name: &str) -> Self {
        let name = full_name.split(' ').next().unwrap_or_default();
        Self { name: name.into(), full_name: full_name.into() }
    }

    /// The kind of the device; see [`kind`].
    pub(crate) fn kind(&self) -> &str {
        kind(&self.full_name)
    }
}

/// The kind of a device, from its full name: its product name, or the name without its number if the product is not known. Devices
/// of the same kind share estimates.
pub(crate) fn kind(full_name: &str) -> &str {
    match full_name.split_once(' ') {
        Some((_, make)) => make,
        None => full_name.split(':').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_of_one_make_are_of_one_kind() {
        let device = DeviceInfo::new("cuda:1 NVIDIA H100 80GB HBM3");
        assert_eq!((&*device.name, device.kind()), ("cuda:1", "NVIDIA H100 80GB HBM3"));
        assert_eq!(kind("cuda:0 NVIDIA H100 80GB HBM3"), device.kind());
        assert_eq!([kind("cuda:7"), kind("cpu"), kind("")], ["cuda", "cpu", ""]);
        assert_eq!(kind("cpu:0 1/2 of the cores"), kind("cpu:1 1/2 of the cores"));
    }
}
