//! [`DeviceStatus`]: a device as it is at one moment.

use std::sync::Arc;

use super::DeviceInfo;

/// Whether a device takes jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeviceState {
    /// It takes jobs.
    Serving,
    /// It finishes its job and takes no other.
    Draining,
    /// It takes no jobs; its models stay in its memory.
    Drained,
    /// It takes no jobs, and no model is in its memory.
    Disabled,
    /// It failed for this reason, and is being opened again.
    Lost(String),
}

/// A device as it is at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceStatus {
    pub info: DeviceInfo,
    pub state: DeviceState,
    /// The names of the models on it, the least recently used first.
    pub models: Vec<Arc<str>>,
    /// Jobs that it has taken since the start of the server.
    pub jobs: u64,
    /// How often it was lost since the start of the server.
    pub losses: u64,
}
