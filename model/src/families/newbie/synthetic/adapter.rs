//! Adapters of random numbers, in the layouts that trainers write.

use std::fs;
use std::path::Path;

use super::layout;
use super::preset::Preset;
use crate::checkpoint::synthetic::{Init, SyntheticError, TensorSpec, at, write_file};

/// How the keys of an adapter are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdapterLayout {
    /// PEFT: `base_model.model.layers.0.attention.qkv.lora_A.weight`.
    Peft,
    /// kohya: `lora_unet_layers_0_attention_qkv.lora_down.weight`, with an alpha.
    Kohya,
    /// SimpleTuner: `transformer.base_model.model.` before PEFT's keys.
    SimpleTuner,
    /// diffusers, with queries, keys and values apart: `transformer.layers.0.attn.to_q.lora_A.weight`.
    Diffusers,
}

/// What an adapter changes: every linear layer of the joint blocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdapterPreset {
    /// The rank of its modules.
    pub rank: usize,
    /// How its keys are written.
    pub layout: AdapterLayout,
    /// Size of its effect: the spread of a change in that of a random weight.
    pub gain: f64,
    /// Whether it also changes the text encoder, under kohya's names.
    pub has_text: bool,
}

impl AdapterPreset {
    /// Of this rank, in PEFT's layout, for the denoiser.
    pub fn new(rank: usize) -> Self {
        Self { rank, layout: AdapterLayout::Peft, gain: 0.3, has_text: false }
    }
}

/// Writes an adapter for checkpoints of the sizes `model` to the file `path`.
///
/// # Errors
///
/// When the file cannot be written.
pub fn write_adapter(path: &Path, model: &Preset, adapter: &AdapterPreset, seed: u64) -> Result<(), SyntheticError> {
    let tensors = layout::next_dit::tensors(&model.dit, &model.gemma, &model.jina);
    let modules = tensors.iter().filter_map(|tensor| module(tensor).filter(|(path, ..)| path.starts_with("layers.")));
    let mut specs = Vec::new();
    for (path, outputs, inputs) in modules {
        for (name, outputs) in spelled(adapter.layout, model, path, outputs) {
            let [down, up] = match adapter.layout {
                AdapterLayout::Kohya => ["lora_down", "lora_up"],
                AdapterLayout::Peft | AdapterLayout::SimpleTuner | AdapterLayout::Diffusers => ["lora_A", "lora_B"],
            };
            add(&mut specs, adapter, &name, [down, up], [outputs, inputs]);
        }
    }
    if adapter.has_text {
        let tensors = layout::gemma3::tensors(&model.gemma);
        for (path, outputs, inputs) in tensors.iter().filter_map(module) {
            if let Some(path) = path.strip_prefix("language_model.model.layers.") {
                let name = format!("lora_te1_layers_{}", path.replace('.', "_"));
                add(&mut specs, adapter, &name, ["lora_down", "lora_up"], [outputs, inputs]);
            }
        }
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(at(folder))?;
    }
    let metadata = [("modelspec.trigger_phrase", "random style"), ("ss_base_model_version", "random weights")];
    write_file(path, &specs, seed, &metadata)
}

/// The path, outputs and inputs of the linear layer whose weight this is.
fn module(tensor: &TensorSpec) -> Option<(&str, usize, usize)> {
    let [outputs, inputs] = tensor.shape[..] else { return None };
    Some((tensor.name.strip_suffix(".weight")?, outputs, inputs))
}

/// The names of a module, each with its outputs.
fn spelled(layout: AdapterLayout, model: &Preset, path: &str, outputs: usize) -> Vec<(String, usize)> {
    match layout {
        AdapterLayout::Peft => vec![(format!("base_model.model.{path}"), outputs)],
        AdapterLayout::SimpleTuner => vec![(format!("transformer.base_model.model.{path}"), outputs)],
        AdapterLayout::Kohya => vec![(format!("lora_unet_{}", path.replace('.', "_")), outputs)],
        AdapterLayout::Diffusers => {
            let Some(block) = path.strip_suffix(".attention.qkv") else {
                let names = [
                    (".attention.out", ".attn.to_out.0"),
                    (".feed_forward.w", ".feed_forward.linear_"),
                    (".adaLN_modulation.1", ".norm1.linear"),
                ];
                let renamed = names.iter().fold(path.to_owned(), |path, (own, name)| path.replace(own, name));
                return vec![(format!("transformer.{renamed}"), outputs)];
            };
            let head = model.dit.dim / model.dit.heads;
            let parts = [("to_q", model.dit.heads), ("to_k", model.dit.kv_heads), ("to_v", model.dit.kv_heads)];
            parts.map(|(name, heads)| (format!("transformer.{block}.attn.{name}"), heads * head)).into()
        }
    }
}

fn add(
    specs: &mut Vec<TensorSpec>,
    adapter: &AdapterPreset,
    name: &str,
    [down, up]: [&str; 2],
    [outputs, inputs]: [usize; 2],
) {
    let rank = adapter.rank;
    let mut tensor = |name: String, shape: &[usize], init: Init| {
        specs.push(TensorSpec { name, shape: shape.to_vec(), init });
    };
    tensor(format!("{name}.{down}.weight"), &[rank, inputs], Init::fan_in(inputs, 1.0));
    tensor(format!("{name}.{up}.weight"), &[outputs, rank], Init::fan_in(rank, adapter.gain));
    if down == "lora_down" {
        tensor(format!("{name}.alpha"), &[], Init::Constant(rank as f64));
    }
}
