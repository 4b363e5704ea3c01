//! Adapters: LoRA, LoHa, LoKr and DoRA files, merged into the weights while they are read.
//!
//! A weight becomes W + Σ strength · scale · ΔW, added in f32 and rounded once; [`DoraRule`] says what DoRA does instead. The
//! scale is the first of these: the module's own `alpha` tensor divided by its rank; `lora_alpha` of a PEFT
//! `adapter_config.json`; `lora_alpha` of the file's metadata; otherwise 1. A key that matches no module of the checkpoint is an
//! error.
//!
//! A file may change several parts of a model. Each part takes what is for it, by [`Selection`].

mod decompose;
mod file;
mod keys;
mod modules;
mod patch;
mod scale;

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use sakuga_model_core::LoraChoice;

pub use self::decompose::DoraRule;
use self::file::AdapterFile;
pub use self::keys::AdaptedPart;
use self::modules::ModuleTable;
use self::patch::Patch;
use crate::checkpoint::LoraReport;
use crate::error::LoadError;

/// Which part of a model adapters are opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection {
    /// The part.
    pub part: AdaptedPart,
    /// Whether the model has other parts that adapters may change: what is for them is left to them. Otherwise it is an error.
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
        let open = |spec| AdapterFile::open(spec, selection);
        let adapters = specs.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { adapters, reports: Vec::new(), patches: BTreeMap::new() })
    }

    /// Finds the tensor that each module of each adapter changes among `shapes`, the checkpoint's tensors.
    /// `names` gives other names of a module.
    pub(crate) fn resolve(
        mut self,
        shapes: &BTreeMap<String, Vec<usize>>,
        names: &dyn Fn(&str) -> Vec<String>,
    ) -> Result<Self, LoadError> {
        let table = ModuleTable::new(shapes.keys(), names);
        for (index, adapter) in self.adapters.iter().enumerate() {
            let patches = adapter.patches(shapes, &table)?;
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

    /// The tensor `name` with every patch, in f32.
    pub(crate) fn apply<const D: usize>(&self, name: &str, base: Tensor<D>) -> Tensor<D> {
        let patches = self.patches.get(name).into_iter().flatten();
        patches.fold(base, |tensor, (index, patch)| patch.apply(self.adapters[*index].weights(), tensor))
    }
}

#[cfg(test)]
mod tests;
