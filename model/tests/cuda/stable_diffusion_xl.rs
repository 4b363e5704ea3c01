//! Stable Diffusion XL as a whole on the fast path: its autoencoder, pictures, and adapters of requests.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use sakuga_model::checkpoint::{SafetensorsFile, TensorReader, weight_files};
use sakuga_model::device::OpenDevice;
use sakuga_model::families::sdxl::synthetic::{self, Geometry};
use sakuga_model::networks::autoencoder_kl::{AutoencoderKl, AutoencoderKlConfig};
use sakuga_model::open::ModelFiles;
use sakuga_model::sampler::noise;
use sakuga_model_core::{
    AdapterChoice, DeviceChoice, GenerationSpec, Guidance, LoraChoice, ModelOptions, OpenModel, OpenOptions, Outcome,
    Precision, Rgb8, Sampling, Solver, WarmUp,
};

use crate::{choice, gpu, relative_error};

/// Error of rounding to bf16 in the autoencoder.
const TOLERANCE: f64 = 2e-2;

fn open(folder: &Path, loras: Vec<LoraChoice>) -> OpenModel {
    let options = ModelOptions {
        device: DeviceChoice::Cuda(0),
        precision: Some(Precision::Bf16),
        model: Some(folder.to_owned()),
        warm_up: WarmUp::None,
        loras,
        ..ModelOptions::default()
    };
    let opened = ModelFiles::new(options).open(OpenOptions { keeps_host_copy: false, skips_warm_up: true });
    opened.unwrap_or_else(|error| panic!("{error}"))
}

fn draw(open: &mut OpenModel, adapters: &[AdapterChoice]) -> Vec<Rgb8> {
    let guidance = Guidance { until: 0.6, ..Guidance::new(5.0) };
    let sampling = Sampling { steps: 3, solver: Solver::Dpm, guidance, ..open.info.model.sampling };
    let negative = "blurry, worst quality".to_owned();
    let spec = GenerationSpec {
        adapters: adapters.to_vec(),
        negative,
        ..GenerationSpec::new("1girl, (red hat:1.2)", 256, 192, sampling)
    };
    match open.model.generate(&spec, &mut |_| ControlFlow::Continue(())) {
        Ok(Outcome::Finished { images, .. }) => images,
        other => panic!("{other:?}"),
    }
}

/// An adapter of rank 4 under kohya's names for every matrix and filter of the U-Net and of CLIP-G.
fn adapter(folder: &Path, name: &str, seed: usize) -> PathBuf {
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    let mut add = |name: String, shape: Vec<usize>, size: f32| {
        let value = |place: usize| size * ((place * 7 + seed * 13) as f32 * 0.37).sin();
        let bytes = (0..shape.iter().product()).flat_map(|place| value(place).to_le_bytes()).collect();
        tensors.push((name, shape, bytes));
    };
    for (part, prefix) in [("unet", "lora_unet"), ("text_encoder_2", "lora_te2_text_model")] {
        let file = folder.join("model").join(part).join("diffusion_pytorch_model.safetensors");
        for (name, entry) in SafetensorsFile::open(&file).expect("it was written").entries() {
            let ([output, input, kernel @ ..], Some(module)) = (&entry.shape[..], name.strip_suffix(".weight")) else {
                continue;
            };
            if module.contains("embedding") && part != "unet" {
                continue;
            }
            let key = format!("{prefix}_{}", module.replace('.', "_"));
            let ones = vec![1; kernel.len()];
            add(format!("{key}.lora_down.weight"), [&[4, *input], kernel].concat(), 0.3);
            add(format!("{key}.lora_up.weight"), [&[*output, 4], &ones[..]].concat(), 0.05);
        }
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor"))
    });
    let path = folder.join(name);
    std::fs::write(&path, safetensors::serialize(views, None).expect("serialised")).expect("writable");
    path
}

#[test]
fn adapters_are_applied_and_taken_back_bit_by_bit() {
    if gpu().is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model_folder = folder.path().join("model");
    synthetic::write_geometry(&model_folder, &Geometry::small(), 1).expect("writable");
    let [a, b] = [("a.safetensors", 1), ("b.safetensors", 2)].map(|(name, seed)| adapter(folder.path(), name, seed));
    let mut model = open(&model_folder, Vec::new());
    let networks = model.info.compute_paths.iter().map(|path| (path.network, path.reason.as_str()));
    assert_eq!(
        networks.collect::<Vec<_>>(),
        [("unet", ""), ("clip_l", ""), ("clip_g", ""), ("autoencoder_kl", "")],
        "every network is on its fast path"
    );
    let before = draw(&mut model, &[]);
    assert!(draw(&mut model, &[]) == before, "the same picture again");
    let sets = [vec![choice(&model, &a, 1.0)], vec![choice(&model, &b, 0.5)]];
    let first: Vec<_> = sets.iter().map(|set| draw(&mut model, set)).collect();
    assert!(first[0] != before && first[1] != before && first[0] != first[1], "they have an effect");
    for round in 0..20 {
        assert!(draw(&mut model, &sets[round % 2]) == first[round % 2], "round {round}");
    }
    assert!(draw(&mut model, &[]) == before, "back to the model itself");
    drop(model);
    let merged = vec![LoraChoice { path: a, strength: 1.0 }];
    assert!(draw(&mut open(&model_folder, merged), &[]) == first[0], "as if it was merged at the start");
}

#[test]
fn pictures_one_after_the_other_are_the_same() {
    if gpu().is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model_folder = folder.path().join("model");
    synthetic::write_geometry(&model_folder, &Geometry::small(), 1).expect("writable");
    let mut model = open(&model_folder, Vec::new());
    let first = draw(&mut model, &[]);
    for picture in 1..6 {
        assert!(draw(&mut model, &[]) == first, "picture {picture}");
    }
}

#[test]
fn the_autoencoder_is_that_of_the_cpu() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    synthetic::write_part(folder.path(), "vae", &Geometry::small().vae, 1).expect("writable");
    let dir = folder.path().join("vae");
    let load = |device: &Device, dtype: DType| {
        let text = std::fs::read_to_string(dir.join("config.json")).expect("a configuration");
        let config =
            AutoencoderKlConfig::from_json(&serde_json::from_str(&text).expect("JSON")).expect("an autoencoder");
        let files = weight_files(&dir).expect("weights");
        let weights = TensorReader::open("vae", &files, device, dtype).expect("readable");
        let vae = AutoencoderKl::load(&config, &weights);
        weights.finish().unwrap_or_else(|error| panic!("{error}"));
        vae
    };
    let cpu = Device::flex();
    let (reference, vae) = (load(&cpu, DType::F32), load(&device, DType::BF16));
    assert!(vae.is_fast() && vae.encodes_fast() && !reference.is_fast(), "the log says why the fast path is not taken");
    for [height, width] in [[16, 16], [5, 9], [40, 24]] {
        let decode = |vae: &AutoencoderKl, device: &Device| -> Vec<f32> {
            vae.decode(noise::batch(1, 0, 1, [4, height, width], device)).try_into_vec_as().expect("the device works")
        };
        let error = relative_error(&decode(&vae, &device), &decode(&reference, &cpu));
        println!("decoder, latents {height} x {width}: {error:.2e}");
        assert!(error < TOLERANCE, "decoder: {error}");
        let encode = |vae: &AutoencoderKl, device: &Device| -> Vec<f32> {
            let image = noise::batch(2, 0, 1, [3, 8 * height, 8 * width], device).mul_scalar(0.3);
            let latents = vae.encode(image).expect("it has an encoder");
            latents.cast(DType::F32).try_into_vec_as().expect("the device works")
        };
        let error = relative_error(&encode(&vae, &device), &encode(&reference, &cpu));
        println!("encoder, latents {height} x {width}: {error:.2e}");
        assert!(error < 2.5 * TOLERANCE, "encoder: {error}");
    }
}
