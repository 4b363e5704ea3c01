//! [`MemoryBudget`]: limits of the memory for weights.

/// Limits of the memory for weights, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemoryBudget {
    /// On the device, all models together; `None`: no limit, and no model is ever evicted.
    pub device_bytes: Option<u64>,
    /// In copies in host memory, all models together. 0: no copies are kept.
    pub host_bytes: u64,
}
