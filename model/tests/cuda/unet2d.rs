//! The U-Net of Stable Diffusion XL on vendor libraries and our kernels, compared with burn's operations in f32 on the CPU.

use std::path::Path;

use burn::tensor::{DType, Device, Tensor, TensorData};
use sakuga_model::checkpoint::{TensorReader, weight_files};
use sakuga_model::device::OpenDevice;
use sakuga_model::families::sdxl::synthetic::{self, Geometry};
use sakuga_model::networks::unet2d::{Conditioning, ControlConfig, ControlNet, Residuals, Unet, UnetConfig};
use sakuga_model::sampler::noise;
use serde_json::{Value, json};

use crate::{gpu, relative_error};

/// Error of rounding to bf16 over the depth of the network.
const TOLERANCE: f64 = 3e-2;
/// Latents of several sizes, whose edges are halved to odd numbers too.
const SIZES: [[usize; 2]; 3] = [[16, 24], [18, 22], [13, 9]];

/// Four levels, of which the first and the last do not attend to the text, and five sizes.
fn refiner() -> Value {
    json!({"block_out_channels": [32, 64, 96, 96], "attention_head_dim": [1, 1, 3, 3], "transformer_layers_per_block": 2,
        "layers_per_block": 2, "cross_attention_dim": 128, "norm_num_groups": 8, "in_channels": 4, "out_channels": 4,
        "addition_time_embed_dim": 16, "projection_class_embeddings_input_dim": 128 + 5 * 16,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"]})
}

fn load(dir: &Path, device: &Device, dtype: DType) -> Unet {
    let dir = dir.join("unet");
    let text = std::fs::read_to_string(dir.join("config.json")).expect("a configuration");
    let config = UnetConfig::from_json(&serde_json::from_str(&text).expect("JSON")).expect("a U-Net");
    let weights = TensorReader::open("unet", &weight_files(&dir).expect("weights"), device, dtype).expect("readable");
    Unet::rename(&config, &weights);
    let network = Unet::load(&config, &weights);
    weights.finish().unwrap_or_else(|error| panic!("{error}"));
    network
}

/// Inputs of one evaluation.
struct Case {
    rows: usize,
    size: [usize; 2],
    tokens: usize,
    has_control: bool,
}

/// The prediction at the second of three times.
fn predict(network: &Unet, device: &Device, case: &Case) -> Vec<f32> {
    let config = network.config();
    let &Case { rows, size: [height, width], tokens, has_control } = case;
    let numbers = |seed: u64, shape: [usize; 3]| noise::batch(seed, 0, rows, shape, device);
    let context =
        numbers(1, [1, tokens, config.cross_attention_dim]).reshape([rows, tokens, config.cross_attention_dim]);
    let sizes = config.sizes(128);
    let pooled = numbers(2, [1, 1, 128]).reshape([rows, 128]);
    let sizes = (0..rows).map(|row| (0..sizes).map(|i| 100.0 + (10 * i + row) as f32).collect()).collect();
    let conditioned = network.condition(Conditioning { context, pooled, sizes }, &[900.0, 500.5, 20.0]);
    let sample = numbers(3, [config.in_channels, height, width]);
    let control = has_control.then(|| residuals(network, device, case));
    let prediction = network.predict(sample, 500.5, &conditioned, control.as_ref());
    assert_eq!((prediction.dims(), prediction.dtype()), ([rows, config.out_channels, height, width], DType::F32));
    prediction.try_into_vec_as().expect("the device works")
}

/// Residuals for every skip and the middle.
fn residuals(network: &Unet, device: &Device, case: &Case) -> Residuals {
    let config = network.config();
    let [mut height, mut width] = case.size;
    let mut seed = 10;
    let mut image = |channels: usize, height: usize, width: usize| -> Tensor<4> {
        seed += 1;
        noise::batch(seed, 0, case.rows, [channels, height, width], device).mul_scalar(0.5)
    };
    let mut skips = vec![image(config.levels[0].channels, height, width)];
    for (index, level) in config.levels.iter().enumerate() {
        skips.extend((0..config.layers_per_block).map(|_| image(level.channels, height, width)));
        if index + 1 < config.levels.len() {
            [height, width] = [height.div_ceil(2), width.div_ceil(2)];
            skips.push(image(level.channels, height, width));
        }
    }
    let mid = image(config.levels[config.levels.len() - 1].channels, height, width);
    Residuals { skips, mid }
}

fn cases() -> impl Iterator<Item = Case> {
    let plain = SIZES.into_iter().map(|size| Case { rows: 2, size, tokens: 77, has_control: false });
    plain.chain([
        Case { rows: 1, size: SIZES[0], tokens: 77, has_control: false },
        Case { rows: 3, size: SIZES[0], tokens: 154, has_control: true },
        Case { rows: 2, size: SIZES[1], tokens: 77, has_control: true },
    ])
}

#[test]
fn predictions_are_those_of_burns_operations() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    for (name, config) in [("base", Geometry::small().unet), ("refiner", refiner())] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        synthetic::write_part(dir.path(), "unet", &config, 1).expect("writable");
        let network = load(dir.path(), &device, DType::BF16);
        assert!(network.is_fast(), "{name}: the log says why the fast path is not taken");
        let cpu = Device::flex();
        let reference = load(dir.path(), &cpu, DType::F32);
        assert!(!reference.is_fast());
        for case in cases() {
            let expected = predict(&reference, &cpu, &case);
            let found = predict(&network, &device, &case);
            let error = relative_error(&found, &expected);
            let Case { rows, size, tokens, has_control } = case;
            println!("{name}, {rows} rows of {size:?}, {tokens} tokens, control {has_control}: {error:.2e}");
            assert!(error < TOLERANCE, "{name}, {size:?}: {error}");
            assert_eq!(predict(&network, &device, &case), found, "the same bits");
        }
    }
}

/// burn stores the sum of permuted tensors in their order; a fast path that takes it for rows reads other elements, and
/// beyond the end.
#[test]
fn a_text_that_is_stored_by_columns_gives_the_same_bits() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let dir = tempfile::tempdir().expect("a temporary folder");
    synthetic::write_part(dir.path(), "unet", &Geometry::small().unet, 1).expect("writable");
    let network = load(dir.path(), &device, DType::BF16);
    let context: Tensor<3> = noise::batch(1, 0, 2, [1, 77, 192], &device).reshape([2, 77, 192]);
    let values: Vec<f32> = context.clone().permute([2, 1, 0]).try_into_vec_as().expect("the device works");
    let by_columns = Tensor::<3>::from_data(TensorData::new(values, [192, 77, 2]), (&device, DType::F32));
    let pooled = noise::batch(2, 0, 2, [1, 1, 128], &device).reshape([2, 128]);
    let sample: Tensor<4> = noise::batch(3, 0, 2, [4, 16, 16], &device);
    let predict = |context: Tensor<3>, sample: Tensor<4>| -> Vec<f32> {
        let conditioning = Conditioning { context, pooled: pooled.clone(), sizes: vec![vec![64.0; 6]; 2] };
        let conditioned = network.condition(conditioning, &[250.0]);
        network.predict(sample, 250.0, &conditioned, None).try_into_vec_as().expect("the device works")
    };
    let expected = predict(context, sample.clone());
    assert_eq!(predict(by_columns.permute([2, 1, 0]), sample), expected);
}

#[test]
fn a_time_that_was_not_prepared_is_embedded_alone() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let dir = tempfile::tempdir().expect("a temporary folder");
    synthetic::write_part(dir.path(), "unet", &Geometry::small().unet, 1).expect("writable");
    let network = load(dir.path(), &device, DType::BF16);
    let context = noise::batch(1, 0, 2, [1, 77, 192], &device).reshape([2, 77, 192]);
    let pooled = noise::batch(2, 0, 2, [1, 1, 128], &device).reshape([2, 128]);
    let sample: Tensor<4> = noise::batch(3, 0, 2, [4, 16, 16], &device);
    let run = |times: &[f32]| -> Vec<f32> {
        let conditioning =
            Conditioning { context: context.clone(), pooled: pooled.clone(), sizes: vec![vec![64.0; 6]; 2] };
        let conditioned = network.condition(conditioning, times);
        network.predict(sample.clone(), 250.0, &conditioned, None).try_into_vec_as().expect("the device works")
    };
    let error = relative_error(&run(&[]), &run(&[999.0, 250.0]));
    assert!(error < 1e-2, "{error}");
}

#[test]
fn residuals_of_a_control_network_are_those_of_burns_operations() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let mut config = Geometry::small().unet;
    config["conditioning_embedding_out_channels"] = json!([16, 32, 48]);
    let dir = tempfile::tempdir().expect("a temporary folder");
    synthetic::write_part(dir.path(), "controlnet", &config, 1).expect("writable");
    let load = |device: &Device, dtype: DType| {
        let config = ControlConfig::from_json(&config).expect("a control network");
        let files = weight_files(&dir.path().join("controlnet")).expect("weights");
        let weights = TensorReader::open("controlnet", &files, device, dtype).expect("readable");
        let network = ControlNet::load(&config, &weights);
        weights.finish().unwrap_or_else(|error| panic!("{error}"));
        network
    };
    let residuals = |network: &ControlNet, device: &Device, [height, width]: [usize; 2]| -> Vec<Vec<f32>> {
        let numbers = |seed: u64, rows: usize, shape: [usize; 3]| noise::batch(seed, 0, rows, shape, device);
        let context = numbers(1, 2, [1, 77, 192]).reshape([2, 77, 192]);
        let pooled = numbers(2, 2, [1, 1, 128]).reshape([2, 128]);
        let conditioning = Conditioning { context, pooled, sizes: vec![vec![64.0; 6]; 2] };
        let image = numbers(4, 1, [3, 4 * height, 4 * width]);
        let conditioned = network.condition(conditioning, image, &[900.0, 10.0]);
        let Residuals { skips, mid } = network.residuals(&numbers(3, 2, [4, height, width]), 10.0, &conditioned);
        let values = |residual: Tensor<4>| residual.cast(DType::F32).try_into_vec_as().expect("the device works");
        skips.into_iter().chain([mid]).map(values).collect()
    };
    let cpu = Device::flex();
    let (reference, network) = (load(&cpu, DType::F32), load(&device, DType::BF16));
    assert!(network.is_fast() && !reference.is_fast(), "the log says why the fast path is not taken");
    for size in SIZES {
        let expected = residuals(&reference, &cpu, size);
        let found = residuals(&network, &device, size);
        assert_eq!(found.len(), expected.len());
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let error = relative_error(found, expected);
            println!("latents {size:?}, residual {index}: {error:.2e}");
            assert!(error < TOLERANCE, "latents {size:?}, residual {index}: {error}");
        }
    }
}

#[test]
fn a_unet_that_the_kernels_do_not_take_is_evaluated_by_burn() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let mut config = Geometry::small().unet;
    config["block_out_channels"] = json!([36, 60, 84]);
    config["norm_num_groups"] = json!(4);
    config["attention_head_dim"] = json!([1, 2, 2]);
    let dir = tempfile::tempdir().expect("a temporary folder");
    synthetic::write_part(dir.path(), "unet", &config, 1).expect("writable");
    assert!(!load(dir.path(), &device, DType::BF16).is_fast());
}
