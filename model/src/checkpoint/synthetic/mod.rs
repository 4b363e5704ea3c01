//! Writes a checkpoint of random weights in the published layout.
//!
//! For demonstrations and tests without the trained weights: [`write()`] creates a complete diffusers folder of any
//! size, which is loaded like a trained one. The numbers are a function of seed, tensor name and element
//! (`sampler::philox`) and are written in chunks, so a checkpoint may be larger than the memory. Their
//! statistics are chosen so that pictures are smooth and colourful and every network affects them; see `init.rs` and
//! `layout`.
//!
//! `model_index.json` has a notice that the weights are random.

mod adapter;
mod file;
mod init;
mod layout;
mod preset;
mod tokenizer;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

pub use adapter::{AdapterLayout, AdapterPreset, write_adapter};
pub(crate) use init::Init;
pub(crate) use layout::TensorSpec;
pub use preset::{DitSize, GemmaSize, JinaSize, Preset, VaeSize};

/// The notice for users of the checkpoint.
const NOTICE: &str =
    "random weights: pictures are noise-like, and prompts have no meaning, until a trained checkpoint is used";

/// Why a checkpoint could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SyntheticError {
    /// A file or folder could not be written.
    #[error("cannot write {}: {source}; check the free space and the permissions", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The sizes contradict each other.
    #[error("the preset `{preset}` is not a network: {reason}")]
    Preset {
        /// Its name.
        preset: String,
        /// The contradiction.
        reason: String,
    },
}

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

pub(crate) fn write_json(path: &Path, value: &Value) -> Result<(), SyntheticError> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(at(dir))?;
    }
    fs::write(path, value.to_string()).map_err(at(path))
}

pub(crate) fn write_tensors(path: &Path, tensors: &[TensorSpec], seed: u64) -> Result<(), SyntheticError> {
    file::write(path, tensors, seed, &[]).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> SyntheticError + '_ {
    move |source| SyntheticError::Write { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
