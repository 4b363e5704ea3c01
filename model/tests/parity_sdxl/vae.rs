//! The autoencoder: posterior, samples, pixels, tiles and intermediate values.

use burn::tensor::Tensor;
use sakuga_model::networks::autoencoder_kl::{CrossFade, to_unit_range};

use crate::harness::{Part, for_each_set};
use crate::load::{self, names};

#[test]
fn the_autoencoder_matches_its_reference() {
    for_each_set("vae", check);
}

fn check(part: &mut Part) {
    let (outputs, inside) = (part.tolerance("sample_mean_logvar_latents"), part.tolerance("inside"));
    let vae = load::vae(&part.set.join("model/vae"));
    for case in part.cases() {
        let (name, owner) = names(&case);
        let mut taps: Vec<(String, Tensor<4>)> = Vec::new();
        let mut tap = |tensor: &str, value: &Tensor<4>| taps.push((tensor.to_owned(), value.clone()));
        match case["kind"].as_str() {
            Some("encode") => {
                let image = part.tensors.tensor::<4>(&format!("{owner}.image"));
                let noise = part.tensors.tensor::<4>(&format!("{owner}.noise"));
                let posterior = vae.posterior(image.clone(), &mut tap).expect("the encoder was loaded");
                let mode = vae.encode(image).expect("the encoder was loaded");
                let sampled = posterior.sample(noise);
                part.compare("model", &name, "mean", posterior.mean, None, outputs);
                part.compare("model", &name, "logvar", posterior.logvar, None, outputs);
                part.compare("model", &name, "latents_from_mode", mode, None, outputs);
                part.compare("model", &name, "sampled", sampled.clone(), None, outputs);
                part.compare("model", &name, "latents_from_sample", vae.to_model_latents(sampled), None, outputs);
            }
            Some("decode") => {
                let latents = part.tensors.tensor::<4>(&format!("{owner}.latents"));
                let tile = &case["tile"];
                let sample = if tile.is_null() {
                    vae.decode_raw(latents, &mut tap)
                } else {
                    let number = |key: &str| tile[key].as_f64().unwrap_or_else(|| panic!("{name} has tile.{key}"));
                    let tiles = CrossFade {
                        tile_latents: number("latent") as usize,
                        tile_px: number("sample") as usize,
                        overlap: number("overlap"),
                    };
                    vae.decode_raw_cross_faded(&latents, &tiles)
                };
                part.compare("model", &name, "sample", sample.clone(), None, outputs);
                part.compare_u8("model", &name, "image_u8", &rounded(sample), "u8");
            }
            other => part.fail(format!("{name}: unknown kind {other:?}")),
        }
        for (tensor, value) in taps {
            part.compare("model", &name, &tensor, value, None, inside);
        }
    }
}

/// The decoder's output as pixels, rounded half to even.
pub(crate) fn rounded(sample: Tensor<4>) -> Vec<u8> {
    let values: Vec<f32> = to_unit_range(sample).try_into_vec_as().expect("f32 on the CPU");
    values.iter().map(|value| (value * 255.0).round_ties_even() as u8).collect()
}
