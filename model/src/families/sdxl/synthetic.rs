//! A checkpoint of random weights of this family, for tests and trials: the topology of the published model with few channels.
//!
//! The tensors are those that the networks ask for; pictures are noise-like, and prompts have no meaning.

use std::fs;
use std::path::Path;

use burn::tensor::{DType, Device};
use serde_json::{Value, json};

use crate::checkpoint::TensorReader;
use crate::checkpoint::synthetic::{Init, SyntheticError, TensorSpec, write_json, write_tensors};
use crate::error::LoadError;
use crate::networks::autoencoder_kl::{AutoencoderKl, AutoencoderKlConfig};
use crate::networks::clip_text::{ClipText, ClipTextConfig};
use crate::networks::unet2d::{Unet, UnetConfig};

/// Edge of its pictures by default, in pixels.
const SIZE_PX: usize = 64;
/// The notice for users of the checkpoint.
const NOTICE: &str = "random weights: pictures are noise-like, and prompts have no meaning";

/// Writes the checkpoint into the folder `dir`, which is created if it does not exist. `model_index.json` is written last.
///
/// # Errors
///
/// A file cannot be written.
pub fn write(dir: &Path, seed: u64) -> Result<(), SyntheticError> {
    let parts = [
        ("unet", unet_config()),
        ("text_encoder", clip_config("CLIPTextModel", "quick_gelu", 16)),
        ("text_encoder_2", clip_config("CLIPTextModelWithProjection", "gelu", 24)),
        ("vae", vae_config()),
    ];
    write_parts(dir, &parts, seed)?;
    let scheduler = json!({"_class_name": "EulerDiscreteScheduler", "beta_schedule": "scaled_linear",
        "beta_start": 0.00085, "beta_end": 0.012, "num_train_timesteps": 1000, "prediction_type": "epsilon",
        "timestep_spacing": "leading", "steps_offset": 1});
    write_json(&dir.join("scheduler").join("scheduler_config.json"), &scheduler)?;
    let index = json!({"_class_name": "StableDiffusionXLPipeline", "force_zeros_for_empty_prompt": true,
        "_sakuga_name": "random-sdxl", "_sakuga_notice": NOTICE, "_sakuga_default_size_px": SIZE_PX});
    write_json(&dir.join("model_index.json"), &index)
}

/// Writes a refiner for such a checkpoint into the folder `dir`.
///
/// # Errors
///
/// A file cannot be written.
pub fn write_refiner(dir: &Path, seed: u64) -> Result<(), SyntheticError> {
    let text = clip_config("CLIPTextModelWithProjection", "gelu", 24);
    write_parts(dir, &[("unet", refiner_config()), ("text_encoder_2", text)], seed)?;
    write_json(&dir.join("model_index.json"), &json!({"_class_name": "StableDiffusionXLImg2ImgPipeline"}))
}

fn write_parts(dir: &Path, parts: &[(&str, Value)], seed: u64) -> Result<(), SyntheticError> {
    let faults = |part: &str, reason: String| SyntheticError::Preset { preset: format!("sdxl/{part}"), reason };
    for (part, config) in parts {
        write_json(&dir.join(part).join("config.json"), config)?;
        let tensors = tensors(part, config, &dir.join(part)).map_err(|reason| faults(part, reason))?;
        write_tensors(&dir.join(part).join("diffusion_pytorch_model.safetensors"), &tensors, seed)?;
    }
    Ok(())
}

fn refiner_config() -> Value {
    json!({"_class_name": "UNet2DConditionModel", "block_out_channels": [8, 16, 16, 16],
        "attention_head_dim": [1, 2, 2, 2], "transformer_layers_per_block": 1, "layers_per_block": 2,
        "cross_attention_dim": 24, "norm_num_groups": 4, "in_channels": 4, "out_channels": 4,
        "addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 24 + 5 * 8,
        "use_linear_projection": true,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"]})
}

fn unet_config() -> Value {
    json!({"_class_name": "UNet2DConditionModel", "block_out_channels": [8, 16, 16], "attention_head_dim": [1, 2, 2],
        "transformer_layers_per_block": [1, 1, 2], "layers_per_block": 2, "cross_attention_dim": 40,
        "norm_num_groups": 4, "in_channels": 4, "out_channels": 4, "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 24 + 6 * 8, "use_linear_projection": true,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"]})
}

fn clip_config(architecture: &str, activation: &str, width: usize) -> Value {
    json!({"architectures": [architecture], "hidden_act": activation, "hidden_size": width,
        "intermediate_size": 2 * width, "num_hidden_layers": 3, "num_attention_heads": 2, "vocab_size": 49408,
        "max_position_embeddings": 77, "projection_dim": width})
}

fn vae_config() -> Value {
    json!({"_class_name": "AutoencoderKL", "block_out_channels": [4, 8, 8, 8], "layers_per_block": 1,
        "latent_channels": 4, "norm_num_groups": 2, "scaling_factor": 0.13025})
}

/// The tensors that a part asks for, found by loading it from an empty file in `dir`.
fn tensors(part: &str, config: &Value, dir: &Path) -> Result<Vec<TensorSpec>, String> {
    let path = dir.join("empty.safetensors");
    let empty = b"\x02\0\0\0\0\0\0\0{}";
    fs::write(&path, empty).map_err(|error| error.to_string())?;
    let reader = TensorReader::open(part, &[&path], &Device::flex(), DType::F32).map_err(|error| error.to_string())?;
    let invalid = |error: crate::error::ConfigError| error.to_string();
    match part {
        "unet" => drop(Unet::load(&UnetConfig::from_json(config).map_err(invalid)?, &reader)),
        "vae" => {
            let config = AutoencoderKlConfig::from_json(config).map_err(invalid)?;
            let config = AutoencoderKlConfig { quant_conv: Some(true), ..config };
            drop(AutoencoderKl::load(&config, &reader));
        }
        _ => drop(ClipText::load(&ClipTextConfig::from_json(config).map_err(invalid)?, &reader)),
    }
    let missing = match reader.finish() {
        Err(LoadError::Weights(faults)) => faults.missing,
        Err(error) => return Err(error.to_string()),
        Ok(_) => Vec::new(),
    };
    drop(reader);
    fs::remove_file(&path).map_err(|error| error.to_string())?;
    Ok(missing.into_iter().map(|(name, shape)| TensorSpec { init: init(&name, &shape), name, shape }).collect())
}

/// Norms around 1, biases around 0, and what keeps the spread of its inputs elsewhere.
fn init(name: &str, shape: &[usize]) -> Init {
    match shape {
        [_] if name.ends_with(".weight") => Init::around(1.0, 0.1),
        [_] => Init::around(0.0, 0.05),
        [_, inputs @ ..] => Init::fan_in(inputs.iter().product(), 1.0),
        [] => Init::around(0.0, 0.05),
    }
}
