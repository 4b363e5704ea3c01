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
use crate::networks::unet2d::{ControlConfig, ControlNet, Unet, UnetConfig};

/// The notice for users of the checkpoint.
const NOTICE: &str = "random weights: pictures are noise-like, and prompts have no meaning";

/// Sizes of a checkpoint: the configurations of its networks.
#[derive(Debug, Clone, PartialEq)]
pub struct Geometry {
    /// Name of the checkpoint.
    pub name: String,
    /// Edge of its pictures by default, in pixels.
    pub default_size_px: usize,
    /// `config.json` of the U-Net.
    pub unet: Value,
    /// `config.json` of CLIP-L.
    pub clip_l: Value,
    /// `config.json` of CLIP-G.
    pub clip_g: Value,
    /// `config.json` of the autoencoder.
    pub vae: Value,
}

impl Geometry {
    /// The topology of the published model with few channels, for tests on a CPU.
    pub fn tiny() -> Self {
        Self {
            name: "random-sdxl".to_owned(),
            default_size_px: 64,
            unet: unet([8, 16, 16], [1, 2, 2], [1, 1, 2], 4, [16 + 24, 24, 8]),
            clip_l: clip("CLIPTextModel", "quick_gelu", [16, 32, 3, 2]),
            clip_g: clip("CLIPTextModelWithProjection", "gelu", [24, 48, 3, 2]),
            vae: vae([4, 8, 8, 8], 1, 2),
        }
    }

    /// With channels that the implementation for GPUs takes.
    pub fn small() -> Self {
        Self {
            name: "random-sdxl-small".to_owned(),
            default_size_px: 128,
            unet: unet([32, 64, 128], [1, 1, 2], [1, 2, 2], 8, [64 + 128, 128, 16]),
            clip_l: clip("CLIPTextModel", "quick_gelu", [64, 256, 3, 2]),
            clip_g: clip("CLIPTextModelWithProjection", "gelu", [128, 512, 3, 2]),
            vae: vae([32, 64, 128, 128], 1, 8),
        }
    }

    /// The published base model, 3.5 billion parameters.
    pub fn published() -> Self {
        Self {
            name: "random-sdxl-base".to_owned(),
            default_size_px: 1024,
            unet: unet([320, 640, 1280], [5, 10, 20], [1, 2, 10], 32, [768 + 1280, 1280, 256]),
            clip_l: clip("CLIPTextModel", "quick_gelu", [768, 3072, 12, 12]),
            clip_g: clip("CLIPTextModelWithProjection", "gelu", [1280, 5120, 32, 20]),
            vae: vae([128, 256, 512, 512], 2, 32),
        }
    }
}

/// Writes a checkpoint of [`Geometry::tiny`] into the folder `dir`; see [`write_geometry`].
///
/// # Errors
///
/// A file cannot be written.
pub fn write(dir: &Path, seed: u64) -> Result<(), SyntheticError> {
    write_geometry(dir, &Geometry::tiny(), seed)
}

/// Writes a checkpoint into the folder `dir`, which is created if it does not exist. `model_index.json` is written last.
///
/// # Errors
///
/// A configuration does not describe its network, or a file cannot be written.
pub fn write_geometry(dir: &Path, geometry: &Geometry, seed: u64) -> Result<(), SyntheticError> {
    let Geometry { name, default_size_px, unet, clip_l, clip_g, vae } = geometry;
    for (part, config) in [("unet", unet), ("text_encoder", clip_l), ("text_encoder_2", clip_g), ("vae", vae)] {
        write_part(dir, part, config, seed)?;
    }
    let scheduler = json!({"_class_name": "EulerDiscreteScheduler", "beta_schedule": "scaled_linear",
        "beta_start": 0.00085, "beta_end": 0.012, "num_train_timesteps": 1000, "prediction_type": "epsilon",
        "timestep_spacing": "leading", "steps_offset": 1});
    write_json(&dir.join("scheduler").join("scheduler_config.json"), &scheduler)?;
    let index = json!({"_class_name": "StableDiffusionXLPipeline", "force_zeros_for_empty_prompt": true,
        "_sakuga_name": name, "_sakuga_notice": NOTICE, "_sakuga_default_size_px": default_size_px});
    write_json(&dir.join("model_index.json"), &index)
}

/// Writes a refiner for a checkpoint of [`Geometry::tiny`] into the folder `dir`.
///
/// # Errors
///
/// A file cannot be written.
pub fn write_refiner(dir: &Path, seed: u64) -> Result<(), SyntheticError> {
    let sizes =
        RefinerSizes { channels: [8, 16, 16, 16], heads: [1, 2, 2, 2], depth: 1, norm_groups: 4, size_features: 8 };
    write_refiner_of(dir, &sizes, &Geometry::tiny().clip_g, seed)
}

/// Writes the published refiner, 2.3 billion parameters and CLIP-G, for a checkpoint of [`Geometry::published`].
///
/// # Errors
///
/// A file cannot be written.
pub fn write_published_refiner(dir: &Path, seed: u64) -> Result<(), SyntheticError> {
    let (channels, heads) = ([384, 768, 1536, 1536], [6, 12, 24, 24]);
    let sizes = RefinerSizes { channels, heads, depth: 4, norm_groups: 32, size_features: 256 };
    write_refiner_of(dir, &sizes, &Geometry::published().clip_g, seed)
}

/// What the U-Nets of refiners differ in.
struct RefinerSizes {
    /// Channels and attention heads of each level.
    channels: [usize; 4],
    heads: [usize; 4],
    /// Transformer layers of a block.
    depth: usize,
    norm_groups: usize,
    /// Features of each number that is read with the pooled text.
    size_features: usize,
}

fn write_refiner_of(dir: &Path, sizes: &RefinerSizes, clip_g: &Value, seed: u64) -> Result<(), SyntheticError> {
    let RefinerSizes { channels, heads, depth, norm_groups, size_features } = sizes;
    let width = clip_g["hidden_size"].as_u64().unwrap_or_default();
    let refiner = json!({"_class_name": "UNet2DConditionModel", "block_out_channels": channels,
        "attention_head_dim": heads, "transformer_layers_per_block": depth, "layers_per_block": 2,
        "cross_attention_dim": width, "norm_num_groups": norm_groups, "in_channels": 4, "out_channels": 4,
        "addition_time_embed_dim": size_features,
        "projection_class_embeddings_input_dim": width + 5 * *size_features as u64, "use_linear_projection": true,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"]});
    write_part(dir, "unet", &refiner, seed)?;
    write_part(dir, "text_encoder_2", clip_g, seed)?;
    write_json(&dir.join("model_index.json"), &json!({"_class_name": "StableDiffusionXLImg2ImgPipeline"}))
}

/// Writes a control network for a checkpoint of [`Geometry::tiny`] into the folder `dir`.
///
/// # Errors
///
/// A file cannot be written.
pub fn write_control(dir: &Path, seed: u64) -> Result<(), SyntheticError> {
    let mut config = Geometry::tiny().unet;
    config["_class_name"] = "ControlNetModel".into();
    config["conditioning_embedding_out_channels"] = json!([4, 4, 8, 8]);
    write_network(dir, "controlnet", &config, seed)
}

/// Writes one network, `unet`, `text_encoder`, `text_encoder_2`, `vae` or `controlnet`, into its folder of `dir`.
///
/// # Errors
///
/// The configuration does not describe its network, or a file cannot be written.
pub fn write_part(dir: &Path, part: &str, config: &Value, seed: u64) -> Result<(), SyntheticError> {
    write_network(&dir.join(part), part, config, seed)
}

fn write_network(dir: &Path, part: &str, config: &Value, seed: u64) -> Result<(), SyntheticError> {
    write_json(&dir.join("config.json"), config)?;
    let tensors = tensors(part, config, dir);
    let tensors = tensors.map_err(|reason| SyntheticError::Preset { preset: format!("sdxl/{part}"), reason })?;
    write_tensors(&dir.join("diffusion_pytorch_model.safetensors"), &tensors, seed)
}

/// `text` is the width of a token's features, of the pooled text, and of the sinusoid of each of the six sizes.
fn unet(channels: [usize; 3], heads: [usize; 3], depth: [usize; 3], groups: usize, text: [usize; 3]) -> Value {
    let [context, pooled, size] = text;
    json!({"_class_name": "UNet2DConditionModel", "block_out_channels": channels, "attention_head_dim": heads,
        "transformer_layers_per_block": depth, "layers_per_block": 2, "cross_attention_dim": context,
        "norm_num_groups": groups, "in_channels": 4, "out_channels": 4, "addition_time_embed_dim": size,
        "projection_class_embeddings_input_dim": pooled + 6 * size, "use_linear_projection": true,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"]})
}

/// The sizes are width, width of the feed-forward, layers and heads.
fn clip(architecture: &str, activation: &str, [width, inner, layers, heads]: [usize; 4]) -> Value {
    json!({"architectures": [architecture], "hidden_act": activation, "hidden_size": width,
        "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": heads, "vocab_size": 49408,
        "max_position_embeddings": 77, "projection_dim": width})
}

fn vae(channels: [usize; 4], blocks: usize, groups: usize) -> Value {
    json!({"_class_name": "AutoencoderKL", "block_out_channels": channels, "layers_per_block": blocks,
        "latent_channels": 4, "norm_num_groups": groups, "scaling_factor": 0.13025})
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
        "controlnet" => drop(ControlNet::load(&ControlConfig::from_json(config).map_err(invalid)?, &reader)),
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

/// Norms are around 1 and biases around 0; other weights keep the spread of their inputs.
fn init(name: &str, shape: &[usize]) -> Init {
    match shape {
        [_] if name.ends_with(".weight") => Init::around(1.0, 0.1),
        [_] => Init::around(0.0, 0.05),
        [_, inputs @ ..] => Init::fan_in(inputs.iter().product(), 1.0),
        [] => Init::around(0.0, 0.05),
    }
}
