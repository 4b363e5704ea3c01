//! The 4-channel autoencoder of Stable Diffusion XL on its fast path, compared with burn's operations in f32 on the CPU.

use burn::tensor::{DType, Device};
use sakuga_model::checkpoint::{TensorReader, weight_files};
use sakuga_model::device::OpenDevice;
use sakuga_model::families::sdxl::synthetic::{self, Geometry};
use sakuga_model::networks::autoencoder_kl::{AutoencoderKl, AutoencoderKlConfig};
use sakuga_model::sampler::noise;

use crate::{gpu, relative_error};

/// Error of rounding to bf16 in the autoencoder.
const TOLERANCE: f64 = 2e-2;

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
