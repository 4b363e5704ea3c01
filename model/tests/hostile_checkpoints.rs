//! Damaged and invalid checkpoints: each loads or is an error, without a panic and without exhausting memory.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use burn::tensor::{DType, Device, Tensor};
use sakuga_model::checkpoint::{LoadReport, ModelFolder};
use sakuga_model::error::LoadError;
use sakuga_model::families::newbie::synthetic::{self, Preset};
use sakuga_model::networks::autoencoder_kl::{AutoencoderKl, AutoencoderKlConfig};
use sakuga_model::networks::gemma3::{Gemma3, Gemma3Config};
use sakuga_model::networks::jina_clip::{JinaClip, JinaClipConfig};
use sakuga_model::networks::next_dit::{Caption, NextDit, NextDitConfig, key_map};
use sakuga_model::tokens::TokenBatch;
use serde_json::{Value, json};

const PARTS: [&str; 4] = ["transformer", "text_encoder", "clip_model", "vae"];

/// Loads one part as the pipeline does, and runs it once if it loads: a configuration that loads must also compute.
fn load(dir: &Path, part: &str) -> Result<LoadReport, LoadError> {
    let component = ModelFolder::open(dir)?.component(part)?;
    let weights = component.reader(&Device::flex(), DType::F32)?;
    match part {
        "transformer" => {
            weights.rename(key_map::canonical_name);
            let config = component.parse(|value| NextDitConfig::from_json(value, &weights))?;
            let network = NextDit::load(&config, &weights);
            let report = weights.finish()?;
            let caption = Caption { features: zeros([1, 2, config.cap_feat_dim]), lengths: vec![2] };
            let latents = zeros([1, config.in_channels, config.patch_size, 2 * config.patch_size]);
            let pooled = config.clip_text_dim.map(|width| zeros([1, width]));
            network.forward(latents, &[0.5], &caption, pooled).into_data();
            Ok(report)
        }
        "text_encoder" => {
            let network = Gemma3::load(&component.parse(Gemma3Config::from_json)?, &weights);
            let report = weights.finish()?;
            network.hidden_states(&tokens()).unwrap().into_data();
            Ok(report)
        }
        "clip_model" => {
            let network = JinaClip::load(&component.parse(JinaClipConfig::from_json)?, &weights);
            let report = weights.finish()?;
            network.pooled(&tokens()).unwrap().into_data();
            Ok(report)
        }
        _ => {
            let network = AutoencoderKl::load(&component.parse(AutoencoderKlConfig::from_json)?, &weights);
            let report = weights.finish()?;
            network.decode(zeros([1, network.config().latent_channels, 2, 1])).into_data();
            network.encode(zeros([1, 3, 16, 8])).unwrap().into_data();
            Ok(report)
        }
    }
}

fn zeros<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::zeros(shape, (&Device::flex(), DType::F32))
}

fn tokens() -> TokenBatch {
    TokenBatch::padded(&[vec![2, 5, 6], vec![2]], 1, 4).unwrap()
}

/// Loads, and fails the test on a panic with a description of the damage.
fn load_safely(dir: &Path, part: &str, what: &str) -> Result<LoadReport, LoadError> {
    catch_unwind(AssertUnwindSafe(|| load(dir, part))).unwrap_or_else(|_| panic!("{part} panicked with {what}"))
}

fn checkpoint() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    synthetic::write(dir.path(), &Preset::tiny(), 1).unwrap();
    dir
}

/// Every value inside `value`, as the path to it.
fn paths(value: &Value, prefix: &[String]) -> Vec<Vec<String>> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(i, value)| (i.to_string(), value)).collect(),
        _ => return Vec::new(),
    };
    children
        .into_iter()
        .flat_map(|(key, value)| {
            let path = [prefix, &[key]].concat();
            let mut found = paths(value, &path);
            found.push(path);
            found
        })
        .collect()
}

fn slot<'a>(value: &'a mut Value, path: &[String]) -> &'a mut Value {
    path.iter().fold(value, |value, key| match value {
        Value::Array(items) => &mut items[key.parse::<usize>().unwrap()],
        value => &mut value[key.as_str()],
    })
}

#[test]
fn the_checkpoint_is_sound_to_begin_with() {
    let dir = checkpoint();
    for part in PARTS {
        assert!(load(dir.path(), part).unwrap().tensors_used > 0);
    }
}

#[test]
fn any_value_of_a_configuration_may_be_nonsense() {
    let dir = checkpoint();
    let nonsense = [
        json!(null),
        json!(0),
        json!(1),
        json!(3),
        json!(-1),
        json!(1e300),
        json!(1_u64 << 40),
        json!(100_000),
        json!(""),
        json!("x"),
        json!([]),
        json!({}),
        json!(true),
        json!([[[1]]]),
    ];
    for part in PARTS {
        let path = dir.path().join(part).join("config.json");
        let original: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let mut refused = 0;
        for at in paths(&original, &[]) {
            for value in &nonsense {
                let mut config = original.clone();
                *slot(&mut config, &at) = value.clone();
                fs::write(&path, config.to_string()).unwrap();
                refused += usize::from(load_safely(dir.path(), part, &format!("{at:?} = {value}")).is_err());
            }
        }
        assert!(refused > 10, "{part} refused only {refused}");
        for text in ["", "{", "[]", "null", "\u{0}", "{\"a\":1e999}"] {
            fs::write(&path, text).unwrap();
            assert!(load_safely(dir.path(), part, text).is_err(), "{part} accepted {text:?}");
        }
        fs::write(&path, original.to_string()).unwrap();
    }
}

#[test]
fn a_damaged_weight_file_is_refused_or_loads() {
    let dir = checkpoint();
    for part in PARTS {
        let folder = dir.path().join(part);
        let path = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
            .unwrap();
        let original = fs::read(&path).unwrap();
        for len in [0, 1, 7, 8, 9, 100, original.len() / 2, original.len() - 1] {
            fs::write(&path, &original[..len]).unwrap();
            assert!(load_safely(dir.path(), part, &format!("{len} bytes")).is_err());
        }
        let mut longer = original.clone();
        longer.push(0);
        fs::write(&path, &longer).unwrap();
        assert!(load_safely(dir.path(), part, "a byte too many").is_err());
        // Changes one byte of the header at a time: in digits, names and brackets.
        let header = 8 + u64::from_le_bytes(original[..8].try_into().unwrap()) as usize;
        for at in (0..header).step_by(header / 150 + 1) {
            let mut damaged = original.clone();
            damaged[at] ^= 0x15;
            fs::write(&path, &damaged).unwrap();
            let _ = load_safely(dir.path(), part, &format!("byte {at} changed"));
        }
        fs::write(&path, &original).unwrap();
    }
}

#[test]
fn a_checkpoint_of_other_sizes_is_named_tensor_by_tensor() {
    let dir = checkpoint();
    let path = dir.path().join("transformer/config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let layers = config["n_layers"].as_u64().unwrap();
    config["n_layers"] = json!(layers + 1);
    fs::write(&path, config.to_string()).unwrap();
    let error = load(dir.path(), "transformer").unwrap_err().to_string();
    for name in ["attention.qkv.weight", "feed_forward.w2.weight", "attention_norm1.weight", "adaLN_modulation.1.bias"]
    {
        assert!(error.contains(&format!("missing: layers.{layers}.{name}")), "{error}");
    }
    config["n_layers"] = json!(layers - 1);
    fs::write(&path, config.to_string()).unwrap();
    let error = load(dir.path(), "transformer").unwrap_err().to_string();
    assert!(error.contains(&format!("unexpected: layers.{}.attention.qkv.weight", layers - 1)), "{error}");
}
