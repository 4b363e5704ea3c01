//! The Next-DiT in fp8: quantisation, its effect on the network, and determinism. Skipped where the GPU has no fp8
//! products.

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{DType, Device, Tensor, TensorData};
use half::bf16;
use sakuga_model::cuda::{self, fp8_linear::Fp8Linear};
use sakuga_model::device::{self, OpenDevice};
use sakuga_model::families::newbie::synthetic::{self, DitSize, Preset};
use sakuga_model::families::newbie::{LoadOptions, Pipeline, SAMPLING_DEFAULT};
use sakuga_model::networks::next_dit::{Caption, NextDit};
use sakuga_model::sampler::noise;
use sakuga_model_core::{DeviceChoice, GenerationSpec, Outcome, Precision, Sampling};

use crate::next_dit::{LATENTS, load, load_preset, preset, velocities_of};
use crate::relative_error;

/// Error of three mantissa bits over a few blocks of random weights.
const TOLERANCE: f64 = 6e-2;
/// Cosine of the angle between result and reference.
const COSINE_MIN: f64 = 0.998;
/// Latents of 5 x 3 patches: products of 15 rows a picture, which no tensor core takes.
const ODD_LATENTS: [usize; 3] = [16, 10, 6];

/// The GPU with fp8 products, or `None` and a message.
fn gpu() -> Option<OpenDevice> {
    match device::open(DeviceChoice::Cuda(0), Some(Precision::Fp8)) {
        Ok(device) => Some(device),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

fn in_fp8(device: &Device) -> NextDit {
    let network = load(device, DType::BF16).into_fp8().unwrap_or_else(|error| panic!("{error}"));
    assert!(network.is_fp8() && network.is_fast(), "the log says why the fast path is not taken");
    network
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum() };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The value of an e4m3 code: a sign, four bits of exponent with bias 7, three of mantissa; the code 0x7f is not a number.
fn decode(code: u8) -> f64 {
    let (exponent, mantissa) = (i32::from(code >> 3 & 15), f64::from(code & 7));
    let magnitude = match exponent {
        0 => mantissa / 8.0 * 2_f64.powi(-6),
        _ => (1.0 + mantissa / 8.0) * 2_f64.powi(exponent - 7),
    };
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

/// The nearest code, the even one of two that are as near, and the largest for whatever is larger.
fn encode(value: f32) -> u8 {
    let magnitude = f64::from(value.abs());
    let distance = |code: &u8| (decode(*code) - magnitude).abs();
    let nearest = (0..=0x7e_u8)
        .min_by(|a, b| distance(a).total_cmp(&distance(b)).then((a & 1).cmp(&(b & 1))))
        .expect("there are codes");
    nearest | if value.is_sign_negative() { 0x80 } else { 0 }
}

/// Rows of a weight: every value that e4m3 has, what lies between two, and sizes from the smallest to the largest.
fn rows(width: usize) -> Vec<Vec<f32>> {
    let codes = (0..=0xff_u8).filter(|code| code & 0x7f != 0x7f);
    let exact: Vec<f32> = codes.map(|code| decode(code) as f32).collect();
    let middles = (0..0x7e_u8).map(|code| ((decode(code) + decode(code + 1)) / 2.0) as f32);
    // The bf16 numbers next to a tie fall to either side of it.
    let neighbours = |middle: f32| [-1_i16, 0, 1].map(|step| from_bits(bits(middle).wrapping_add_signed(step)));
    let middles: Vec<f32> = middles.flat_map(neighbours).collect();
    let random = |row: u64| -> Vec<f32> {
        let tensor = noise::batch(row, 0, 1, [1, 1, width], &Device::flex());
        tensor.try_into_vec_as().expect("the CPU works")
    };
    let row = |mut values: Vec<f32>, factor: f32| -> Vec<f32> {
        values.resize(width, 448.0);
        values.into_iter().map(|value| bf16::from_f32(value * factor).to_f32()).collect()
    };
    let mut rows = vec![row(exact.clone(), 1.0), row(middles.clone(), 1.0), row(vec![0.0; width], 1.0)];
    rows.extend([row(exact, 0.375), row(middles, -2.0)]);
    // The smallest row has the smallest possible scale.
    rows.extend([1.0, 1e30, 1e-30, 1e-36].map(|factor| row(random(1), factor)));
    rows.extend((2..9).map(|seed| row(random(seed), 1.0 / seed as f32)));
    rows
}

fn bits(value: f32) -> u16 {
    bf16::from_f32(value).to_bits()
}

fn from_bits(bits: u16) -> f32 {
    bf16::from_bits(bits).to_f32()
}

#[test]
fn weights_are_rounded_to_the_nearest_value() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let gpu = cuda::of(&device).expect("the fast path");
    // Wider than one vector of eight for each thread of the smallest block, and no multiple of a block's width.
    let (width, rows) = (1552, rows(1552));
    assert_eq!(rows.len(), 16, "a multiple of 16");
    let weight = Tensor::<2>::from_data(TensorData::new(rows.concat(), [rows.len(), width]), (&device, DType::BF16));
    let layer = Linear { weight: Param::from_tensor(weight.transpose()), bias: None };
    let rounded = Fp8Linear::of(&gpu, &layer).unwrap_or_else(|error| panic!("{error}"));
    let (codes, scales) = rounded.read().unwrap_or_else(|error| panic!("{error}"));
    let values: Vec<f32> = rounded.weight().transpose().cast(DType::F32).try_into_vec_as().expect("the device works");
    for (row, expected) in rows.iter().enumerate() {
        let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let scale = if largest > 0.0 { (largest / 448.0).max(f32::MIN_POSITIVE) } else { 1.0 };
        assert_eq!(scales[row], scale, "row {row}");
        let inverse = 1.0 / scale;
        for (column, value) in expected.iter().enumerate() {
            let at = row * width + column;
            let code = encode(value * inverse);
            assert_eq!(codes[at], code, "row {row}, column {column}: {value} over {scale}");
            let found = bf16::from_f32(decode(code) as f32 * scale).to_f32();
            assert_eq!(values[at], found, "row {row}, column {column}: {value}, the value of the code");
        }
    }
}

#[test]
fn velocities_are_nearly_those_of_the_plain_network() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let network = in_fp8(&device);
    let in_bf16 = load(&device, DType::BF16);
    let cpu = Device::flex();
    let reference = load(&cpu, DType::F32);
    for (shape, lengths, seeds) in [
        (LATENTS, vec![17], vec![1]),
        (LATENTS, vec![40, 9], vec![1, 2]),
        (LATENTS, vec![33, 33, 5], vec![3, 1, 2]),
        (ODD_LATENTS, vec![21], vec![4]),
        (ODD_LATENTS, vec![7, 50, 1], vec![5, 6, 7]),
    ] {
        for time in [0.0, 0.37, 0.93] {
            let found = velocities_of(&network, &device, shape, &lengths, &seeds, time);
            let expected = velocities_of(&reference, &cpu, shape, &lengths, &seeds, time);
            let (error, cosine) = (relative_error(&found, &expected), cosine(&found, &expected));
            println!("{shape:?}, captions {lengths:?} at {time}: relative error {error:.2e}, cosine {cosine:.5}");
            assert!(found.iter().all(|value| value.is_finite()), "captions {lengths:?} at {time}");
            assert!(error < TOLERANCE, "captions {lengths:?} at {time}: {error}");
            assert!(cosine > COSINE_MIN, "captions {lengths:?} at {time}: {cosine}");
            let bf16 = velocities_of(&in_bf16, &device, shape, &lengths, &seeds, time);
            assert!(found != bf16, "captions {lengths:?} at {time}: the products were not in fp8");
        }
    }
}

#[test]
fn the_same_input_gives_the_same_bits() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let network = in_fp8(&device);
    let velocities = |network: &NextDit| velocities_of(network, &device, LATENTS, &[40, 9], &[1, 2], 0.5);
    let first = velocities(&network);
    for _ in 0..10 {
        assert!(velocities(&network) == first, "another result");
    }
    assert!(velocities(&in_fp8(&device)) == first, "after loading again");
}

#[test]
fn an_image_does_not_depend_on_its_batch() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let network = in_fp8(&device);
    let alone = velocities_of(&network, &device, LATENTS, &[40], &[1], 0.5);
    for batch in [2, 4] {
        let seeds: Vec<u32> = (1..=batch).collect();
        let together = velocities_of(&network, &device, LATENTS, &vec![40; seeds.len()], &seeds, 0.5);
        let error = relative_error(&together[..alone.len()], &alone);
        println!("in a batch of {batch}: relative error {error:.2e}");
        // A sum in another order may round to another bf16 value, and that to another fp8 value.
        assert!(error < 2e-2, "in a batch of {batch}: {error}");
    }
}

#[test]
fn what_the_fast_path_does_not_take_computes_with_the_same_weights() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let network = in_fp8(&device);
    let cpu = Device::flex();
    let expected = velocities_of(&load(&cpu, DType::F32), &cpu, LATENTS, &[40, 9], &[1, 2], 0.37);
    let fast = velocities_of(&network, &device, LATENTS, &[40, 9], &[1, 2], 0.37);
    let network = network.plain();
    assert!(network.is_fp8() && !network.is_fast());
    let plain = velocities_of(&network, &device, LATENTS, &[40, 9], &[1, 2], 0.37);
    let (error, between) = (relative_error(&plain, &expected), relative_error(&plain, &fast));
    println!("relative error of the plain path {error:.2e}; of the two paths to each other {between:.2e}");
    assert!(error < TOLERANCE && between < TOLERANCE, "{error}, {between}");

    // Images of two sizes in one batch.
    let network = in_fp8(&device);
    let config = network.config();
    let caption = noise::batch(1, 0, 2, [1, 16, config.cap_feat_dim], &device).reshape([2, 16, config.cap_feat_dim]);
    let caption = Caption { features: caption, lengths: vec![16, 11] };
    let pooled = config.clip_text_dim.map(|dim| noise::batch(2, 0, 2, [1, 1, dim], &device).reshape([2, dim]));
    let conditioned = network.condition(&caption, pooled, &[[12, 8], [5, 3]]);
    let latents = [LATENTS, ODD_LATENTS]
        .map(|[channels, height, width]| noise::batch(3, 0, 1, [channels, height, width], &device).squeeze_dim::<3>(0));
    for image in network.velocity_mixed(&conditioned, &latents, &[0.5, 0.5]) {
        let values: Vec<f32> = image.try_into_vec_as().expect("the device works");
        assert!(values.iter().all(|value| value.is_finite()) && values.iter().any(|value| *value != 0.0));
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused_when_the_network_is_loaded() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let narrow = Preset { dit: DitSize { ffn: 1032, ..preset().dit }, ..preset() };
    let error =
        load_preset(&narrow, &device, DType::BF16).into_fp8().expect_err("1032 is not a multiple of 16").to_string();
    assert!(error.contains("1032") && error.contains("a multiple of 16"), "{error}");
    let error = load(&device, DType::F32).into_fp8().expect_err("weights in f32").to_string();
    assert!(error.contains("weights in bf16"), "{error}");
    let error = load(&Device::flex(), DType::F32).into_fp8().expect_err("a network on the CPU").to_string();
    assert!(error.contains("not on a GPU"), "{error}");
}

#[test]
fn a_pipeline_in_fp8_says_so_and_takes_less_memory() {
    let Some(open) = gpu() else { return };
    let dir = tempfile::tempdir().expect("a temporary folder");
    synthetic::write(dir.path(), &preset(), 1).expect("writable");
    let load = |device: OpenDevice| {
        Pipeline::load(dir.path(), LoadOptions::new(device)).unwrap_or_else(|error| panic!("{error}")).0
    };
    let in_bf16 = load(OpenDevice { precision: Precision::Bf16, ..open.clone() }).weight_bytes();
    let pipeline = load(open);
    let saved = pipeline.networks().transformer.fp8_bytes_saved() as u64;
    assert!(saved > 0);
    assert_eq!(pipeline.weight_bytes() + saved, in_bf16);
    for path in pipeline.networks().compute_paths() {
        assert_eq!(path.implementation.ends_with("products in fp8"), path.network == "next_dit", "{path:?}");
    }
    let spec = GenerationSpec::new("1girl, solo", 256, 192, Sampling { steps: 3, ..SAMPLING_DEFAULT });
    let draw = || match pipeline.generate(&spec, &mut |_| std::ops::ControlFlow::Continue(())) {
        Ok(Outcome::Finished { images, .. }) => images,
        other => panic!("{other:?}"),
    };
    let first = draw();
    // Weights keep their addresses when burn cleans up its memory.
    pipeline.networks().device().memory_cleanup();
    assert_eq!(draw(), first, "the same picture");
}
