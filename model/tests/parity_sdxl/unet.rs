//! The U-Nets of base model, refiner and inpainting: outputs, clean latents and intermediate values.

use std::collections::BTreeMap;

use sakuga_model::networks::unet2d::{Tapped, Unet};
use sakuga_model::sampler::{NoiseLevel, Prediction};

use crate::harness::{Part, Tensors, Tolerance, for_each_set};
use crate::load::{self, conditioning, names, times};

#[test]
fn the_unets_match_their_reference() {
    for_each_set("unet", check);
}

fn check(part: &mut Part) {
    let mut networks: BTreeMap<String, Unet> = BTreeMap::new();
    let alphas = Tensors::open(&part.set.join("schedulers/tables.safetensors")).f32s("alphas_cumprod");
    let (outputs, inside) = (part.tolerance("out_and_x0"), part.tolerance("inside"));
    let late = part.tolerance_at("/out_and_x0/x0_at_t_above_900");
    for case in part.cases() {
        let (name, owner) = names(&case);
        let net = case["net"].as_str().expect("a case names its network").to_owned();
        let dir = match net.as_str() {
            "base" => "model/unet",
            "refiner" => "refiner/unet",
            "inpaint" => "inpaint_unet",
            other => panic!("{name}: unknown network {other}"),
        };
        let dir = part.set.join(dir);
        let network = networks.entry(net).or_insert_with(|| load::unet(&dir));
        let mut taps: Vec<(String, Tapped)> = Vec::new();
        let sample = part.tensors.tensor::<4>(&format!("{owner}.sample"));
        let times = times(part, &owner);
        let conditioning = conditioning(part, &owner);
        let mut tap = |tensor: &str, value: Tapped| taps.push((tensor.to_owned(), value));
        let out = network.forward(sample.clone(), &times, &conditioning, None, &mut tap);
        part.compare("model", &name, "out", out.clone(), None, outputs);
        if let (&[t], true) = (times.as_slice(), case["x0"].as_bool() == Some(true)) {
            let level = NoiseLevel::of_alpha_cumprod(f64::from(alphas[t as usize]));
            for (tensor, prediction) in [("x0_if_epsilon", Prediction::Epsilon), ("x0_if_v_prediction", Prediction::V)]
            {
                let clean = prediction.data(&sample, &out, level);
                let tolerance = if t > 900.0 { Tolerance { rel_l2: outputs.rel_l2, ..late } } else { outputs };
                part.compare("model", &name, tensor, clean, None, tolerance);
            }
        }
        for (tensor, value) in taps {
            match value {
                Tapped::Vectors(value) => part.compare("model", &name, &tensor, value, None, inside),
                Tapped::Tokens(value) => part.compare("model", &name, &tensor, value, None, inside),
                Tapped::Images(value) => part.compare("model", &name, &tensor, value, None, inside),
            }
        }
    }
}
