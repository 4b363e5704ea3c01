//! A checkpoint of random weights of this family, in the published layout, for demonstrations and tests: [`write()`] creates a
//! complete diffusers folder of any size, which is loaded like a trained one.
//!
//! The statistics of the weights are chosen so that pictures are smooth and colourful and every network affects them; see
//! `layout`. `model_index.json` has a notice that the weights are random.

mod adapter;
mod layout;
mod preset;
mod tokenizer;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::checkpoint::synthetic::{SyntheticError, at, write_json, write_tensors};

pub use adapter::{AdapterLayout, AdapterPreset, write_adapter};
pub use preset::{DitSize, GemmaSize, JinaSize, Preset, VaeSize};

/// The notice for users of the checkpoint.
const NOTICE: &str =
    "random weights: pictures are noise-like, and prompts have no meaning, until a trained checkpoint is used";

/// Writes a checkpoint of `preset`'s sizes into the folder `dir`, which is created if it does not exist.
///
/// Files of the same name are overwritten. `model_index.json` is written last: a folder that has it is complete.
///
/// # Errors
///
/// When the sizes contradict each other, or a file cannot be written.
pub fn write(dir: &Path, preset: &Preset, seed: u64) -> Result<(), SyntheticError> {
    preset.check().map_err(|reason| SyntheticError::Preset { preset: preset.name.clone(), reason })?;
    let Preset { dit, gemma, jina, vae, .. } = preset;
    let index = dir.join("model_index.json");
    if index.exists() {
        fs::remove_file(&index).map_err(at(&index))?;
    }

    let transformer = dir.join("transformer");
    write_json(&transformer.join("config.json"), &layout::next_dit::config(dit, gemma, jina))?;
    let tensors = layout::next_dit::tensors(dit, gemma, jina);
    write_tensors(&transformer.join("diffusion_pytorch_model.safetensors"), &tensors, seed)?;

    let text_encoder = dir.join("text_encoder");
    write_json(&text_encoder.join("config.json"), &layout::gemma3::config(gemma))?;
    write_tensors(&text_encoder.join("model.safetensors"), &layout::gemma3::tensors(gemma), seed)?;
    write_json(&text_encoder.join("tokenizer.json"), &tokenizer::gemma())?;

    let clip_model = dir.join("clip_model");
    write_json(&clip_model.join("config.json"), &layout::jina_clip::config(jina))?;
    write_tensors(&clip_model.join("model.safetensors"), &layout::jina_clip::tensors(jina), seed)?;
    write_json(&clip_model.join("tokenizer.json"), &tokenizer::jina())?;

    let vae_dir = dir.join("vae");
    write_json(&vae_dir.join("config.json"), &layout::autoencoder_kl::config(vae, preset.default_size_px))?;
    let tensors = layout::autoencoder_kl::tensors(vae);
    write_tensors(&vae_dir.join("diffusion_pytorch_model.safetensors"), &tensors, seed)?;

    write_json(&index, &model_index(preset))
}

fn model_index(preset: &Preset) -> Value {
    json!({
        "_class_name": "NewbiePipeline",
        "transformer": ["transformer", "NextDiT_3B_GQA_patch2_Adaln_Refiner_WHIT_CLIP"],
        "text_encoder": ["text_encoder", "Gemma3ForConditionalGeneration"],
        "tokenizer": ["text_encoder", "AutoTokenizer"],
        "clip_model": ["clip_model", "JinaCLIPModel"],
        "clip_tokenizer": ["clip_model", "AutoTokenizer"],
        "vae": ["vae", "AutoencoderKL"],
        "_sakuga_name": format!("random-{}", preset.name),
        "_sakuga_notice": NOTICE,
        "_sakuga_default_size_px": preset.default_size_px,
        "_sakuga_gemma_tokens_max": preset.gemma_tokens_max,
    })
}

#[cfg(test)]
mod tests;
