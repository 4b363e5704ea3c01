//! [`JobMemory`]: whether a job fits into the memory of the device.

use sakuga_model_core::{GenerationSpec, SecondPass, limits};

use super::registry::{Dependencies, Jobs};
use crate::error::{ServerError, Violation};
use crate::job::JobRequest;
use crate::models::ModelId;
use crate::request::images::{enlarged_edge, largest_factor};

/// Device memory that a job needs by estimate, and the memory that it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JobMemory {
    /// Bytes that it needs, the weights included.
    pub(super) needed: u64,
    /// Bytes that it may use: the operator's limit, otherwise the device's memory without the weights of other models. `None` if
    /// unknown.
    pub(super) available: Option<u64>,
}

impl JobMemory {
    /// Whether the job fits into the memory, or its size is not known.
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
    /// Device memory that a job needs by estimate, and what its device has: those of a pass that does not fit, or else of the pass
    /// that needs more.
    pub(super) fn memory(&self, request: &JobRequest) -> JobMemory {
        let first = self.memory_of(request.model, &request.spec);
        let Some(scene) = &request.scene else { return first };
        let scene = self.memory_of(scene.model, scene.spec());
        if (!scene.fits(), scene.needed) > (!first.fits(), first.needed) { scene } else { first }
    }

    /// Fails if a job does not fit into the memory of the device. If a smaller factor of its second pass is enough, the error names
    /// that field.
    pub(super) fn check_memory(&self, request: &JobRequest) -> Result<(), ServerError> {
        let scene = request.scene.as_ref().map(|scene| self.memory_of(scene.model, scene.spec()));
        if let Some(Err(error)) = scene.map(|scene| scene.check()) {
            return Err(ServerError::invalid("scene", Violation::OUT_OF_RANGE, error.to_string()));
        }
        let Err(error) = self.memory_of(request.model, &request.spec).check() else { return Ok(()) };
        let fits = |spec: &GenerationSpec| self.memory_of(request.model, spec).fits();
        match self.largest_factor(request, fits) {
            Some(factor) => {
                let text = format!("{error}; use at most {factor}");
                Err(ServerError::invalid(limits::FACTOR.field, Violation::OUT_OF_RANGE, text))
            }
            None => Err(error),
        }
    }

    /// The largest factor of the second pass with which a job fits, in hundredths. `None`: it has no second pass, or none fits.
    pub(super) fn largest_factor(&self, request: &JobRequest, fits: impl Fn(&GenerationSpec) -> bool) -> Option<f32> {
        let spec = &request.spec;
        let second = spec.second_pass?;
        let multiple_px = self.dependencies.models.get(request.model).info.model.size.multiple_px.max(1);
        let enlarged = |factor: f32| {
            let edge = |edge_px| enlarged_edge(edge_px, factor, multiple_px);
            SecondPass { width_px: edge(spec.width_px), height_px: edge(spec.height_px), ..second }
        };
        let is_smaller = |pass: &SecondPass| {
            let size = (pass.width_px, pass.height_px);
            size.0 < second.width_px && size != (spec.width_px, spec.height_px)
        };
        largest_factor(|factor| {
            let pass = enlarged(factor);
            is_smaller(&pass) && fits(&GenerationSpec { second_pass: Some(pass), ..spec.clone() })
        })
    }

    /// Device memory that `spec` needs on a model by estimate, and what it may use.
    pub(super) fn memory_of(&self, model: ModelId, spec: &GenerationSpec) -> JobMemory {
        let Dependencies { models, memory_budget, limits, device_memory, .. } = &self.dependencies;
        let others = models.weights_next_to(model, memory_budget.device_bytes);
        let left = device_memory.map(|device| device.saturating_sub(others));
        let needed = models.get(model).info.memory.needed(spec);
        JobMemory { needed, available: limits.job_memory_max.or(left) }
    }
}
