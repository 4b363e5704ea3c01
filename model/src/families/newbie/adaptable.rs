//! The tensors that adapters of requests may change, and where the originals of quantised ones come from.

use std::path::Path;

use burn::tensor::{DType, Device, Tensor};
use sakuga_model_core::{AdapterDescription, AdapterInspector, EngineError, LoraChoice};

use crate::checkpoint::adapters::{AdaptableTensors, AdaptedPart, LoraSet, PartTensors, Selection, describe};
use crate::checkpoint::{Component, FileStamps, TensorReader, WeightSource};
use crate::error::LoadError;
use crate::networks::next_dit::{self, NextDitConfig};

/// Why Jina CLIP is left as it is.
pub(super) const NO_JINA: &str =
    "this model's pooled text encoder, Jina CLIP, cannot be changed; set text_scale to 0 to use the rest";
/// Why a text encoder in host memory is left as it is.
pub(super) const OFFLOADED: &str = "its text encoder is kept in host memory (--offload-text-encoders) and cannot be changed; set text_scale to 0 to use the rest";
/// The tensors that adapters may change.
#[derive(Debug)]
pub(super) struct AdaptableParts {
    /// Of the Next-DiT.
    pub(super) denoiser: AdaptableTensors,
    /// Of Gemma 3; `None`: its weights are in host memory.
    pub(super) gemma: Option<AdaptableTensors>,
    /// Bytes of device memory for each value that is changed, of both. Of a quantised weight there is the changed one, and its
    /// original in bf16.
    pub(super) value_bytes: [u64; 2],
}

impl AdapterInspector for AdaptableParts {
    fn inspect(&self, path: &Path) -> Result<AdapterDescription, EngineError> {
        let [denoiser, gemma] = self.value_bytes;
        let part = |part, tensors, value_bytes| PartTensors { part, tensors, value_bytes };
        let parts = [
            part(AdaptedPart::Denoiser, Ok(&self.denoiser), denoiser),
            part(AdaptedPart::TextEncoder, self.gemma.as_ref().ok_or(OFFLOADED), gemma),
            part(AdaptedPart::TextEncoder2, Err(NO_JINA), 0),
        ];
        describe(path, &parts).map_err(|error| EngineError::Model(error.to_string()))
    }
}

/// The originals of the Next-DiT's quantised weights in bf16, from where it was read: the files, or their copy in host memory.
/// Once read they stay on the device, as long as it has memory.
pub(super) struct Masters {
    component: Component,
    stamps: FileStamps,
    source: WeightSource,
    loras: Vec<LoraChoice>,
    kept: Vec<(String, Tensor<2>)>,
}

impl Masters {
    /// The masters of a part that was read from this source with these adapters merged.
    pub(super) fn new(component: Component, source: WeightSource, loras: Vec<LoraChoice>) -> Self {
        let stamps = FileStamps::of(component.dir());
        Self { component, stamps, source, loras, kept: Vec::new() }
    }

    /// A weight `[d_output, d_input]` of these parts. `reader` is opened for the first one that is read. `keeps` says whether one
    /// that was read stays on the device.
    pub(super) fn get(
        &mut self,
        reader: &mut Option<TensorReader>,
        device: &Device,
        parts: &[(String, usize)],
        d_input: usize,
        keeps: &dyn Fn() -> bool,
    ) -> Result<Tensor<2>, LoadError> {
        let name = parts.first().map_or("", |(name, _)| name.as_str());
        if let Some((_, kept)) = self.kept.iter().find(|(kept, _)| kept == name) {
            return Ok(kept.clone());
        }
        let reader = match reader {
            Some(reader) => reader,
            none => none.insert(self.open(device)?),
        };
        let modules: Vec<(&str, usize)> =
            parts.iter().map(|(name, rows)| (name.strip_suffix(".weight").unwrap_or(name), *rows)).collect();
        let weight = reader.linear_stack(&modules, d_input).weight.val().transpose();
        if keeps() {
            self.kept.push((name.to_owned(), weight.clone()));
        }
        Ok(weight)
    }

    /// Frees the device memory of the masters that were read.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
    }

    fn open(&self, device: &Device) -> Result<TensorReader, LoadError> {
        if FileStamps::of(self.component.dir()) != self.stamps {
            let reason = "its files have changed since the model was loaded; load the model again";
            return Err(LoadError::layout(self.component.dir(), reason));
        }
        transformer_reader(&self.component, device, DType::BF16, self.source.clone(), &self.loras)
    }
}

/// A reader of the Next-DiT's tensors with adapters merged.
pub(super) fn transformer_reader(
    component: &Component,
    device: &Device,
    dtype: DType,
    source: WeightSource,
    loras: &[LoraChoice],
) -> Result<TensorReader, LoadError> {
    let weights = component.reader(device, dtype)?;
    weights.read_from(source);
    weights.rename(next_dit::key_map::canonical_name);
    if !loras.is_empty() {
        let config = component.parse(|value| NextDitConfig::from_json(value, &weights))?;
        let names = |path: &str| next_dit::key_map::aliases(&config, path);
        weights.merge_named(LoraSet::open(loras, Selection::DENOISER)?, &names)?;
    }
    Ok(weights)
}
