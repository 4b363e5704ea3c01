//! Networks of a fixture set.

use std::path::Path;

use burn::tensor::{DType, Tensor};
use sakuga_model::checkpoint::{TensorReader, weight_files};
use sakuga_model::networks::autoencoder_kl::{AutoencoderKl, AutoencoderKlConfig};
use sakuga_model::networks::clip_text::{ClipText, ClipTextConfig, TextToken};
use sakuga_model::networks::unet2d::{Conditioning, ControlConfig, ControlNet, Unet, UnetConfig};
use serde_json::Value;

use crate::harness::{Part, device, json, load_files};

/// Reads what `load` makes of the weights of a folder and its `config.json`; every tensor must be read.
pub(crate) fn folder<T>(dir: &Path, load: impl FnOnce(&Value, &TensorReader) -> T) -> T {
    let files = weight_files(dir).unwrap_or_else(|error| panic!("{error}"));
    let config = json(&dir.join("config.json"));
    load_files("network", &files, |reader| load(&config, reader)).0
}

pub(crate) fn unet(dir: &Path) -> Unet {
    folder(dir, |config, reader| {
        let config = UnetConfig::from_json(config).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        Unet::rename(&config, reader);
        Unet::load(&config, reader)
    })
}

pub(crate) fn control(dir: &Path) -> ControlNet {
    folder(dir, |config, reader| {
        let config = ControlConfig::from_json(config).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        ControlNet::load(&config, reader)
    })
}

pub(crate) fn clip(dir: &Path) -> ClipText {
    folder(dir, |config, reader| {
        let config = ClipTextConfig::from_json(config).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        ClipText::rename(reader);
        ClipText::load(&config, reader)
    })
}

pub(crate) fn vae(dir: &Path) -> AutoencoderKl {
    folder(dir, |config, reader| {
        let config =
            AutoencoderKlConfig::from_json(config).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        AutoencoderKl::load(&config, reader)
    })
}

/// The case's `name` and the case that owns its inputs.
pub(crate) fn names(case: &Value) -> (String, String) {
    let name = case["name"].as_str().expect("a case has a name").to_owned();
    let owner = case["inputs_from"].as_str().unwrap_or(&name).to_owned();
    (name, owner)
}

/// Ids `[B, L]` as rows; negative ones stand for vectors.
pub(crate) fn tokens(ids: &[i64], width: usize) -> Vec<Vec<TextToken>> {
    let token = |&id: &i64| match u32::try_from(id) {
        Ok(id) => TextToken::Id(id),
        Err(_) => TextToken::Vector((-id - 1) as usize),
    };
    ids.chunks(width).map(|row| row.iter().map(token).collect()).collect()
}

/// What a U-Net gets besides latents and time, of the inputs of `owner`.
pub(crate) fn conditioning(part: &Part, owner: &str) -> Conditioning {
    let input = |name: &str| format!("{owner}.{name}");
    let width = part.tensors.shape(&input("time_ids"))[1];
    Conditioning {
        context: part.tensors.tensor(&input("encoder_hidden_states")),
        pooled: part.tensors.tensor(&input("text_embeds")),
        sizes: part.tensors.f32s(&input("time_ids")).chunks(width).map(<[f32]>::to_vec).collect(),
    }
}

/// The input `timestep`, whole or not.
pub(crate) fn times(part: &Part, owner: &str) -> Vec<f32> {
    part.tensors.numbers(&format!("{owner}.timestep"))
}

/// A tensor of f32 values.
pub(crate) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(burn::tensor::TensorData::new(values, shape), (&device(), DType::F32))
}
