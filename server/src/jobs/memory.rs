//! [`JobMemory`]: whether a job fits into the memory of the device.

use sakuga_model_core::GenerationSpec;

use super::registry::{Dependencies, Jobs};
use crate::error::ServerError;
use crate::job::JobRequest;
use crate::models::ModelId;

/// The memory of the device that a job needs, by estimate, and what there is for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JobMemory {
    /// Bytes that it needs, the weights included.
    pub(super) needed: u64,
    /// Bytes that there are next to the weights of other models, or that the operator allows; `None`: not known.
    pub(super) available: Option<u64>,
}

impl JobMemory {
    /// Whether it fits.
    pub(super) fn fits(&self) -> bool {
        self.available.is_none_or(|available| self.needed <= available)
    }

    /// Fails if it does not fit.
    pub(super) fn check(&self) -> Result<(), ServerError> {
        match self.available {
            Some(limit) if !self.fits() => Err(ServerError::Memory { needed: self.needed, limit }),
            _ => Ok(()),
        }
    }
}

impl Jobs {
    /// The memory of a job.
    pub(super) fn memory(&self, request: &JobRequest) -> JobMemory {
        self.memory_of(request.model, &request.spec)
    }

    /// The memory of what a model would draw.
    pub(super) fn memory_of(&self, model: ModelId, spec: &GenerationSpec) -> JobMemory {
        let Dependencies { models, memory_budget, limits, device_memory, .. } = &self.dependencies;
        let others = models.weights_next_to(model, memory_budget.device_bytes);
        let left = device_memory.map(|device| device.saturating_sub(others));
        let needed = models.get(model).info.memory.needed(spec);
        JobMemory { needed, available: limits.job_memory_max.or(left) }
    }
}
