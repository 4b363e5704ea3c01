//! The autoencoder: posterior, samples, pixels and intermediate values, under both naming schemes.

use burn::tensor::Tensor;
use sakuga_model::networks::autoencoder_kl::{AutoencoderKl, AutoencoderKlConfig, to_unit_range};

use crate::harness::{Part, for_each_set};

#[test]
fn the_autoencoder_matches_its_reference() {
    for_each_set("vae", check);
}

fn check(part: &mut Part) {
    let (latents, samples, inside) =
        (part.tolerance("latents"), part.tolerance("sample"), part.tolerance("intermediates"));
    for layout in part.layouts() {
        let config =
            AutoencoderKlConfig::from_json(&layout.config).unwrap_or_else(|error| panic!("{}: {error}", layout.name));
        let vae = layout.load("vae", |reader| AutoencoderKl::load(&config, reader));
        let decoder = layout.load("vae", |reader| AutoencoderKl::load_decoder(&config, reader));
        for case in part.cases() {
            let name = case["name"].as_str().expect("a case has a name");
            let owner = case["inputs_from"].as_str().unwrap_or(name);
            let mut taps: Vec<(String, Tensor<4>)> = Vec::new();
            let mut tap = |tensor: &str, value: &Tensor<4>| taps.push((tensor.to_owned(), value.clone()));
            match case["kind"].as_str() {
                Some("encode") => {
                    let image = part.tensors.tensor::<4>(&format!("{owner}.image"));
                    let posterior = vae.posterior(image.clone(), &mut tap).expect("the encoder was loaded");
                    let encoded = vae.encode(image.clone()).expect("the encoder was loaded");
                    assert!(decoder.encode(image).is_none());
                    part.compare(&layout.name, name, "mean", posterior.mean.clone(), None, latents);
                    part.compare(&layout.name, name, "mode", posterior.mean, None, latents);
                    part.compare(&layout.name, name, "logvar", posterior.logvar, None, latents);
                    part.compare(&layout.name, name, "model_latents", encoded, None, latents);
                }
                Some("decode") => {
                    let model_latents = part.tensors.tensor::<4>(&format!("{owner}.model_latents"));
                    let sample = vae.decode_raw(model_latents.clone(), &mut tap);
                    part.compare(&layout.name, name, "sample", sample.clone(), None, samples);
                    part.compare(&layout.name, name, "image", decoder.decode(model_latents), None, samples);
                    let image = to_unit_range(sample).into_data();
                    let image = image.as_slice::<f32>().expect("f32");
                    let truncated: Vec<u8> = image.iter().map(|value| (value * 255.0) as u8).collect();
                    let rounded: Vec<u8> = image.iter().map(|value| (value * 255.0).round() as u8).collect();
                    part.compare_u8(&layout.name, name, "image_u8_truncated", &truncated, "u8");
                    part.compare_u8(&layout.name, name, "image_u8_rounded", &rounded, "u8");
                }
                other => part.fail(format!("{name}: unknown kind {other:?}")),
            }
            for (tensor, value) in taps {
                let tolerance = if tensor == "vae_latents" { latents } else { inside };
                part.compare(&layout.name, name, &tensor, value, None, tolerance);
            }
        }
    }
}
