//! Adapters: LoRA, LoHa, LoKr and DoRA files, merged into the weights while they are read.
//!
//! A weight becomes W + Σ strength · scale · ΔW, added in f32 and rounded once; [`DoraRule`] says what DoRA does instead. The
//! scale is the first of these: the module's own `alpha` tensor divided by its rank; `lora_alpha` of a PEFT
//! `adapter_config.json`; `lora_alpha` of the file's metadata; otherwise 1. A key that matches no module of the checkpoint is an
//! error.
//!
//! A file may change several parts of a model. Each part takes its own keys, by [`Selection`]. [`describe`] describes a
//! file and whether it fits, from headers alone.

mod content;
mod decompose;
mod describe;
mod file;
mod keys;
mod layouts;
mod modules;
mod outline;
mod patch;
mod scale;

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::Tensor;
use sakuga_model_core::LoraChoice;

pub use self::content::AdapterContent;
pub use self::decompose::DoraRule;
pub(crate) use self::describe::one_line;
pub use self::describe::{PartTensors, describe};
use self::file::AdapterFile;
pub use self::keys::AdaptedPart;
pub(crate) use self::keys::BUNDLED;
pub use self::modules::{AdaptableTensors, Alias};
pub use self::outline::{AdapterOutline, outline};
use self::patch::Patch;
use crate::checkpoint::LoraReport;
use crate::error::LoadError;

/// Which part of a model adapters are opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection {
    /// The part whose modules are selected.
    pub part: AdaptedPart,
    /// Whether the model has other parts that adapters may change: their keys are left to them. Otherwise such keys are
    /// errors.
    pub has_other_parts: bool,
    /// The rule for DoRA; `None`: that of the program that trained the file, as far as its names show it.
    pub dora_rule: Option<DoraRule>,
}

impl Selection {
    /// The denoiser of a model in which nothing else can be changed.
    pub const DENOISER: Self = Self { part: AdaptedPart::Denoiser, has_other_parts: false, dora_rule: None };

    /// One of the parts of a model that has several.
    pub fn one_of(part: AdaptedPart) -> Self {
        Self { part, has_other_parts: true, dora_rule: None }
    }
}

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
    pub fn open(specs: &[LoraChoice], selection: Selection) -> Result<Self, LoadError> {
        let open = |spec: &LoraChoice| Ok((Arc::new(AdapterContent::map(&spec.path)?), spec.strength));
        let contents = specs.iter().map(open).collect::<Result<Vec<_>, LoadError>>()?;
        Self::of(contents, selection)
    }

    /// As [`open`](Self::open), of adapters that were read, each with its strength.
    ///
    /// # Errors
    /// Lists every key of an unknown or unsupported kind.
    pub fn of(
        contents: impl IntoIterator<Item = (Arc<AdapterContent>, f32)>,
        selection: Selection,
    ) -> Result<Self, LoadError> {
        let open = |(content, strength)| AdapterFile::open(content, strength, selection);
        let adapters = contents.into_iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { adapters, reports: Vec::new(), patches: BTreeMap::new() })
    }

    /// Finds the tensor that each module of each adapter changes among `tensors`.
    ///
    /// # Errors
    /// Lists every module of an adapter that does not fit.
    pub(crate) fn resolve(mut self, tensors: &AdaptableTensors) -> Result<Self, LoadError> {
        for (index, adapter) in self.adapters.iter().enumerate() {
            let found = adapter.patches(tensors);
            if !found.problems.is_empty() {
                return Err(LoadError::Lora { path: adapter.path(), problems: found.problems });
            }
            self.reports.push(adapter.report());
            for (name, patch) in found.patches {
                self.patches.entry(name).or_default().push((index, patch));
            }
        }
        Ok(self)
    }

    /// How many modules the adapters change in the selected part.
    pub(crate) fn modules(&self) -> usize {
        self.adapters.iter().map(AdapterFile::modules).sum()
    }

    /// What each adapter changed.
    pub(crate) fn report(&self) -> Vec<LoraReport> {
        self.reports.clone()
    }

    /// Whether the tensor is changed.
    pub(crate) fn patches(&self, name: &str) -> bool {
        self.patches.contains_key(name)
    }

    /// The tensor `name` with every patch, in f32.
    pub(crate) fn apply<const D: usize>(&self, name: &str, base: Tensor<D>) -> Tensor<D> {
        let patches = self.patches.get(name).into_iter().flatten();
        patches.fold(base, |tensor, (index, patch)| patch.apply(self.adapters[*index].weights(), tensor))
    }
}

#[cfg(test)]
mod tests;
