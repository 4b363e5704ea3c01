//! Adapters of requests: applied to the weights of loaded networks, and removed exactly.
//!
//! A changed weight is a new tensor, computed in f32 from the original and rounded once, as when an adapter is merged while the
//! model is read. The original tensors are kept unchanged. Removing the adapters puts the original tensors back, which copies
//! and computes nothing: the weights have the same bits, at the same addresses, as before.
//!
//! While adapters are applied, the changed weights take device memory next to the originals.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::module::Param;
use burn::tensor::{DType, Device, Tensor};
use sakuga_model_core::AdapterChoice;

use crate::checkpoint::adapters::{AdapterContent, LoraSet};
use crate::error::LoadError;
use crate::nn::adaptable::{AdaptableWeight, WeightPlace, WeightValue};
use crate::nn::block::Projection;

/// Bytes of adapters that are kept in host memory after their use.
const KEPT_BYTES: usize = 1 << 30;

/// Returns the original of a quantised weight in bf16, `[d_output, d_input]`, from the names and rows of its parts and
/// its number of inputs.
pub(super) type Master<'a> = dyn FnMut(&[(String, usize)], usize) -> Result<Tensor<2>, LoadError> + 'a;

/// The originals of the weights of one network that adapters have changed, by the name of their first tensor.
#[derive(Debug, Default)]
pub(super) struct Originals(BTreeMap<String, WeightValue>);

impl Originals {
    /// Whether a weight is changed.
    pub(super) fn is_changed(&self) -> bool {
        !self.0.is_empty()
    }

    /// Puts the originals of `weights` back. Returns whether there were any.
    pub(super) fn restore(&mut self, weights: Vec<AdaptableWeight<'_>>) -> bool {
        let was_changed = self.is_changed();
        for AdaptableWeight { parts, mut place } in weights {
            if let Some(mut original) = first(&parts).and_then(|name| self.0.remove(name)) {
                place.exchange(&mut original);
            }
        }
        was_changed
    }

    /// Changes every weight that `adapters` have a patch for. The weights must be the originals.
    ///
    /// # Errors
    ///
    /// An original cannot be read, or the device fails. Some weights are changed then: call [`restore`](Self::restore).
    pub(super) fn change(
        &mut self,
        adapters: &LoraSet,
        weights: Vec<AdaptableWeight<'_>>,
        master: &mut Master<'_>,
    ) -> Result<(), LoadError> {
        for AdaptableWeight { parts, mut place } in weights {
            if !parts.iter().any(|(name, _)| adapters.patches(name)) {
                continue;
            }
            let mut value = changed(adapters, &parts, &place, master)?;
            place.exchange(&mut value);
            if let Some(name) = first(&parts) {
                self.0.insert(name.to_owned(), value);
            }
        }
        Ok(())
    }
}

fn first(parts: &[(String, usize)]) -> Option<&str> {
    parts.first().map(|(name, _)| name.as_str())
}

/// A weight with the patches of its parts.
fn changed(
    adapters: &LoraSet,
    parts: &[(String, usize)],
    place: &WeightPlace<'_>,
    master: &mut Master<'_>,
) -> Result<WeightValue, LoadError> {
    let matrix = |weight: Tensor<2>| patched(adapters, parts, weight.transpose()).transpose();
    Ok(match place {
        WeightPlace::Matrix(weight) => WeightValue::Matrix(Param::from_tensor(matrix(weight.val()))),
        WeightPlace::Bias(bias) => WeightValue::Bias(Param::from_tensor(patched(adapters, parts, bias.val()))),
        WeightPlace::Vector(weight) => WeightValue::Vector(patched(adapters, parts, (**weight).clone())),
        WeightPlace::Table(weight) => WeightValue::Table(patched(adapters, parts, (**weight).clone())),
        WeightPlace::Filter(weight) => WeightValue::Filter(patched(adapters, parts, (**weight).clone())),
        WeightPlace::Projection(Projection::Loaded(layer)) => {
            let weight = Param::from_tensor(matrix(layer.weight.val()));
            WeightValue::Projection(Projection::Loaded(burn::nn::Linear { weight, bias: layer.bias.clone() }))
        }
        WeightPlace::Projection(Projection::Quantised(layer)) => {
            let original = master(parts, layer.d_input())?;
            let quantised = layer.quantise(matrix(original.transpose()));
            WeightValue::Projection(Projection::Quantised(quantised.map_err(LoadError::Quantise)?))
        }
    })
}

/// A tensor whose first axis consists of parts, with the patches of each part.
fn patched<const D: usize>(adapters: &LoraSet, parts: &[(String, usize)], original: Tensor<D>) -> Tensor<D> {
    let (device, dtype) = (original.device(), original.dtype());
    let mut row = 0;
    let mut changed: Vec<Tensor<D>> = Vec::with_capacity(parts.len());
    for (name, rows) in parts {
        let part = if parts.len() == 1 { original.clone() } else { original.clone().narrow(0, row, *rows) };
        row += rows;
        changed.push(match adapters.patches(name) {
            true => adapters.apply(name, part.cast(DType::F32)),
            false => part,
        });
    }
    permanent(&device, dtype, changed)
}

/// Tensors, one after the other, as one of type `dtype` in memory of exactly its size, as the loader takes it for weights:
/// mixed with temporary tensors they would fragment the memory of a GPU.
fn permanent<const D: usize>(device: &Device, dtype: DType, mut parts: Vec<Tensor<D>>) -> Tensor<D> {
    if parts.len() == 1 {
        return device.memory_persistent_allocations(parts.remove(0), |part: Tensor<D>| part.cast(dtype));
    }
    let parts: Vec<Tensor<D>> = parts.into_iter().map(|part| part.cast(dtype)).collect();
    device.memory_persistent_allocations(parts, |parts| Tensor::cat(parts, 0))
}

/// Adapters that were read, the most recently used last. A switch to one of these reads no file.
#[derive(Debug, Default)]
pub(super) struct RecentAdapters(Vec<(String, Arc<AdapterContent>)>);

impl RecentAdapters {
    /// The content of an adapter, from its file if it is not kept.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has another content than when it was chosen.
    fn read(&mut self, choice: &AdapterChoice) -> Result<Arc<AdapterContent>, LoadError> {
        let kept = self.0.iter().position(|(sha256, _)| *sha256 == choice.sha256);
        let found = match kept {
            Some(index) => self.0.remove(index),
            None => (choice.sha256.clone(), Arc::new(AdapterContent::read(&choice.path, &choice.sha256)?)),
        };
        let content = found.1.clone();
        self.0.push(found);
        Ok(content)
    }

    /// The adapters of `choices` that have an effect on the denoiser, and those that have one on text encoders.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub(super) fn read_all(&mut self, choices: &[AdapterChoice]) -> Result<[Strengths; 2], LoadError> {
        let mut parts = [Vec::new(), Vec::new()];
        for choice in choices {
            let content = self.read(choice)?;
            for (part, strength) in parts.iter_mut().zip([choice.scale, choice.text_scale]) {
                if strength != 0.0 {
                    part.push((content.clone(), strength));
                }
            }
        }
        Ok(parts)
    }

    /// Drops the least recently used ones beyond the bound. Those in use are kept by their users.
    pub(super) fn trim(&mut self) {
        let mut bytes = 0;
        let fits = |(_, content): &&(String, Arc<AdapterContent>)| {
            bytes += content.file().size();
            bytes <= KEPT_BYTES
        };
        let kept = self.0.iter().rev().take_while(fits).count();
        self.0.drain(..self.0.len() - kept);
    }
}

/// Whether two lists of adapters give the same weights.
pub(super) fn have_same_effect(some: &[AdapterChoice], others: &[AdapterChoice]) -> bool {
    let effect = |choice: &AdapterChoice| (choice.sha256.clone(), choice.scale, choice.text_scale);
    some.iter().map(effect).eq(others.iter().map(effect))
}

/// Adapters that have an effect on a part of a model, each with its strength.
pub(super) type Strengths = Vec<(Arc<AdapterContent>, f32)>;

/// For networks without quantised weights, which never ask for an original.
pub(super) fn no_master(_: &[(String, usize)], _: usize) -> Result<Tensor<2>, LoadError> {
    Err(LoadError::Quantise("this network is not quantised".to_owned()))
}
