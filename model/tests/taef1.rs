//! The published TAEF1 decoder loads whole and draws a plain picture from empty latents.
//!
//! `SAKUGA_TAEF1` names the safetensors file of the decoder; the default is `../shared/taef1` next to the repository.

use std::io::Write;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device, Tensor};
use sakuga_model::networks::tiny_decoder::TinyDecoder;

#[test]
fn the_published_decoder_loads_and_draws() {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/taef1/taef1_decoder.safetensors");
    let path = std::env::var_os("SAKUGA_TAEF1").map_or(default, PathBuf::from);
    if !path.is_file() {
        let _ = writeln!(std::io::stderr(), "taef1: skipped, there is no {}", path.display());
        return;
    }
    let (decoder, report) = TinyDecoder::load(&path, &Device::flex(), DType::F32).unwrap();
    assert_eq!((report.tensors_used, report.parameters, decoder.latent_channels()), (67, 1_229_443, 16));
    let image = decoder.decode(Tensor::zeros([1, 16, 4, 6], (&Device::flex(), DType::F32)));
    assert_eq!(image.dims(), [1, 3, 32, 48]);
    let pixels: Vec<f32> = image.try_into_vec_as().unwrap();
    let mean = pixels.iter().sum::<f32>() / pixels.len() as f32;
    assert!((0.2..0.8).contains(&mean), "the latents' origin is a middling grey, not {mean}");
}
