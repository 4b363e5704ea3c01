//! The tensors of the published models, by lists of their names and shapes: every one is asked for, and nothing else.
//!
//! The lists are looked for in `../shared/headers` next to the repository. Files of these sizes are made without content, and only
//! their headers are read. Without lists the tests print that they are skipped, and pass.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use burn::tensor::DType;
use sakuga_model::checkpoint::{TensorReader, WeightSource};
use sakuga_model::networks::unet2d::{ControlConfig, ControlNet, Unet, UnetConfig};
use sakuga_model::open::ModelFiles;
use sakuga_model_core::{DeviceChoice, ModelOptions};
use serde_json::{Map, Value, json};

use crate::harness::{device, json, say};

/// A list of tensors, if it is there.
fn list(name: &str, part: &str) -> Option<Map<String, Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/headers").join(name);
    if !path.is_file() {
        say(&format!("{name} skipped: there is no list of its tensors"));
        return None;
    }
    json(&path)[part]["tensors"].as_object().cloned()
}

/// A file of these tensors in F16 whose values take no space.
fn sparse(dir: &Path, tensors: &Map<String, Value>) -> PathBuf {
    let mut header = Map::new();
    let mut end = 0;
    for (name, shape) in tensors {
        let values: u64 =
            shape.as_array().expect("a shape").iter().map(|length| length.as_u64().expect("a length")).product();
        let begin = end;
        end += 2 * values;
        header.insert(name.clone(), json!({"dtype": "F16", "shape": shape, "data_offsets": [begin, end]}));
    }
    let header = Value::Object(header).to_string();
    let path = dir.join("model.safetensors");
    let mut file = File::create(&path).expect("writable");
    file.write_all(&(header.len() as u64).to_le_bytes()).expect("writable");
    file.write_all(header.as_bytes()).expect("writable");
    file.set_len(8 + header.len() as u64 + end).expect("sparse files");
    path
}

/// Loads a network from the header of a file; every tensor must be asked for in its shape.
fn asks_for_all<T>(tensors: &Map<String, Value>, load: impl FnOnce(&TensorReader) -> T) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = sparse(dir.path(), tensors);
    let reader = TensorReader::open("part", &[path], &device(), DType::F32).unwrap_or_else(|error| panic!("{error}"));
    reader.read_from(WeightSource::Headers);
    let network = load(&reader);
    let report = reader.finish().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.tensors_used, tensors.len());
    drop(network);
}

#[test]
fn a_single_file_of_the_base_model_is_described() {
    let Some(tensors) = list("sdxl_base_1.0_single_file_header_derived.json", "single_file") else { return };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let model = Some(sparse(dir.path(), &tensors));
    let files = ModelFiles::new(ModelOptions { device: DeviceChoice::Cpu, model, ..ModelOptions::default() });
    let description = files.describe().unwrap_or_else(|error| panic!("{error}"));
    let info = description.info.model;
    assert_eq!((info.family, info.default_size_px), ("sdxl", 1024));
    assert_eq!(info.parameters["unet"], 2_567_463_684);
    assert_eq!(info.parameters["text_encoder_2"], 694_659_840);
}

#[test]
fn the_refiner_asks_for_the_published_tensors() {
    let config = json!({"block_out_channels": [384, 768, 1536, 1536], "attention_head_dim": [6, 12, 24, 24],
        "transformer_layers_per_block": 4, "cross_attention_dim": 1280, "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2560,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"]});
    let config = UnetConfig::from_json(&config).expect("a valid configuration");
    let Some(tensors) = list("sdxl_refiner_1.0_header_derived.json", "unet") else { return };
    asks_for_all(&tensors, |reader| {
        Unet::rename(&config, reader);
        Unet::load(&config, reader)
    });
}

#[test]
fn a_control_network_asks_for_the_published_tensors_under_both_names() {
    let config = json!({"block_out_channels": [320, 640, 1280], "attention_head_dim": [5, 10, 20],
        "transformer_layers_per_block": [1, 2, 10], "cross_attention_dim": 2048, "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"]});
    let config = ControlConfig::from_json(&config).expect("a valid configuration");
    for names in ["diffusers", "single_file"] {
        let Some(tensors) = list("sdxl_controlnet_header_derived.json", names) else { return };
        asks_for_all(&tensors, |reader| ControlNet::load(&config, reader));
    }
}
