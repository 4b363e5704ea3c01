//! Adapters: LoRA and LoKr files, merged into the weights while they are read.
//!
//! A weight becomes W + Σ strength · scale · ΔW, added in f32 and rounded once. The scale is the first of these: the
//! module's own `alpha` tensor divided by its rank; `lora_alpha` of a PEFT `adapter_config.json`; `lora_alpha` of the
//! file's metadata; otherwise 1. A key that matches no module of the checkpoint is an error.

mod file;
mod patch;
mod scale;

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use sakuga_model_core::LoraChoice;

use self::file::AdapterFile;
use self::patch::Patch;
use crate::checkpoint::LoraReport;
use crate::error::LoadError;

/// Opened adapters for [`TensorReader::merge`](crate::checkpoint::TensorReader::merge).
pub struct LoraSet {
    adapters: Vec<AdapterFile>,
    reports: Vec<LoraReport>,
    /// Patches by the name of the tensor that they change, with the index of their adapter.
    patches: BTreeMap<String, Vec<(usize, Patch)>>,
}

impl LoraSet {
    /// Opens adapters and reads their keys and scales.
    ///
    /// # Errors
    /// A file cannot be read; or lists every key of an unknown or unsupported kind.
    pub fn open(specs: &[LoraChoice]) -> Result<Self, LoadError> {
        let adapters = specs.iter().map(AdapterFile::open).collect::<Result<_, _>>()?;
        Ok(Self { adapters, reports: Vec::new(), patches: BTreeMap::new() })
    }

    /// Finds the tensor that each module of each adapter changes among `shapes`, the checkpoint's tensors.
    pub(crate) fn resolve(mut self, shapes: &BTreeMap<String, Vec<usize>>) -> Result<Self, LoadError> {
        for (index, adapter) in self.adapters.iter().enumerate() {
            let patches = adapter.patches(shapes)?;
            self.reports.push(adapter.report());
            for (name, patch) in patches {
                self.patches.entry(name).or_default().push((index, patch));
            }
        }
        Ok(self)
    }

    /// What each adapter changed.
    pub(crate) fn report(&self) -> Vec<LoraReport> {
        self.reports.clone()
    }

    /// Whether the tensor is changed.
    pub(crate) fn patches(&self, name: &str) -> bool {
        self.patches.contains_key(name)
    }

    /// Adds every patch of the tensor `name` to its f32 value.
    pub(crate) fn apply<const D: usize>(&self, name: &str, base: Tensor<D>) -> Tensor<D> {
        self.patches.get(name).into_iter().flatten().fold(base, |sum, (index, patch)| {
            let delta = patch.delta(self.adapters[*index].weights(), sum.dims(), &sum.device());
            sum + delta
        })
    }
}

#[cfg(test)]
mod tests;
