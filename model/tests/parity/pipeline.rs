//! The whole pipeline: token ids and noise in, features, every state, latents and pixels out.

use std::ops::ControlFlow;

use burn::tensor::{DType, Tensor};
use sakuga_model::checkpoint::ModelFolder;
use sakuga_model::families::newbie::{Denoiser, LoadOptions, Networks};
use sakuga_model::networks::autoencoder_kl::to_unit_range;
use sakuga_model::sampler::Schedule;
use sakuga_model_core::{Guidance, LoraChoice, Solver};
use serde_json::Value;

use crate::harness::{Part, Tolerance, for_each_set, json, open_device, token_batch};

#[test]
fn the_pipeline_matches_its_reference() {
    for_each_set("pipeline", check);
}

fn check(part: &mut Part) {
    let plain = load(part, &[]);
    for case in part.cases() {
        let loras = adapters(part, &case);
        let patched = (!loras.is_empty()).then(|| load(part, &loras));
        run(part, &case, patched.as_ref().unwrap_or(&plain));
    }
}

fn load(part: &Part, loras: &[LoraChoice]) -> Networks {
    let options = LoadOptions { loras: loras.to_vec(), ..LoadOptions::new(open_device()) };
    ModelFolder::open(part.dir.join("model"))
        .and_then(|folder| Networks::load(&folder, &options))
        .unwrap_or_else(|error| panic!("{error}"))
        .0
}

fn adapters(part: &Part, case: &Value) -> Vec<LoraChoice> {
    let list = case["lora"].as_array().cloned().unwrap_or_default();
    let spec = |pair: &Value| LoraChoice {
        path: part.set.join("lora").join(pair[0].as_str().expect("an adapter has a name")),
        strength: pair[1].as_f64().expect("a strength is a number") as f32,
    };
    list.iter().map(spec).collect()
}

fn run(part: &mut Part, case: &Value, networks: &Networks) {
    let name = case["name"].as_str().expect("a case has a name").to_owned();
    let owner = case["inputs_from"].as_str().unwrap_or(&name).to_owned();
    let input = |tensor: &str| format!("{owner}.{tensor}");
    let number = |key: &str| case[key].as_f64().unwrap_or_else(|| panic!("{name} has `{key}`"));

    let ids = part.tensors.i64s(&input("gemma_input_ids"));
    let width = part.tensors.shape(&input("gemma_input_ids"))[1];
    let visible: Vec<bool> = part.tensors.i64s(&input("gemma_attention_mask")).iter().map(|&flag| flag != 0).collect();
    let gemma = token_batch(&ids, width, &visible, 0);
    let jina_ids = part.tensors.i64s(&input("jina_input_ids"));
    let jina_width = part.tensors.shape(&input("jina_input_ids"))[1];
    let jina_visible: Vec<bool> = jina_ids.iter().map(|&id| id != 1).collect();
    let jina = token_batch(&jina_ids, jina_width, &jina_visible, 1);

    let features = networks.encode(&gemma, &jina).unwrap_or_else(|error| panic!("{name}: {error}"));
    let tolerance = tolerance_of(part, "gemma3", "hidden_states");
    part.compare("features", &name, "cap_feats", features.caption.features.clone(), Some(&visible), tolerance);
    let tolerance = tolerance_of(part, "jina_clip", "pooled");
    part.compare("features", &name, "clip_text_pooled", features.pooled.clone(), None, tolerance);

    let noise = part.tensors.tensor::<4>(&input("noise"));
    let [images, _, height, latent_width] = noise.dims();
    let solver: Solver = case["solver"].as_str().unwrap_or_default().parse().unwrap_or_else(|e| panic!("{name}: {e}"));
    let count = number("num_sampling_steps") as usize;
    let intervals = if solver == Solver::Dpm { count } else { count - 1 };
    let guidance = Guidance {
        until: number("cfg_trunc") as f32,
        renorm: number("renorm_cfg") as f32,
        ..Guidance::new(number("cfg_scale") as f32)
    };
    let denoiser = Denoiser::new(&networks.transformer, &features, guidance, images, [height, latent_width]);
    let mut states = vec![noise.clone()];
    let schedule = Schedule::new(solver, intervals, number("t_shift"));
    let walk = denoiser.run(&schedule, noise, &mut |interval| {
        states.push(interval.state.clone());
        ControlFlow::Continue(())
    });
    let ControlFlow::Continue(latents) = walk else { unreachable!("nothing stops the walk") };
    let tolerance = part.tolerance("latents_and_states");
    part.compare("denoised", &name, "states", Tensor::stack::<5>(states, 0), None, tolerance);
    part.compare("denoised", &name, "latents", latents.clone(), None, tolerance);

    let sample = networks.vae.decode_raw(latents.clone(), &mut |_, _| ());
    let tolerance = part.tolerance("sample_and_image");
    part.compare("decoded", &name, "sample", sample.clone(), None, tolerance);
    let image = Tensor::cat(networks.decode(latents).collect(), 0);
    part.compare("decoded", &name, "image", image, None, tolerance);
    let values: Vec<f32> = to_unit_range(sample).cast(DType::F32).try_into_vec_as().expect("f32 on the CPU");
    let truncated: Vec<u8> = values.iter().map(|value| (value * 255.0) as u8).collect();
    part.compare_u8("decoded", &name, "image_u8_truncated", &truncated, "u8");
}

/// The tolerance of a part on its own, for its output inside the pipeline.
fn tolerance_of(part: &Part, component: &str, kind: &str) -> Tolerance {
    let manifest = json(&part.set.join("manifest.json"));
    let limits = &manifest["components"][component]["tolerance_float32"][kind];
    match (limits["max_abs"].as_f64(), limits["rel_l2"].as_f64()) {
        (None, None) => part.tolerance("latents_and_states"),
        (max_abs, rel_l2) => Tolerance { max_abs, rel_l2 },
    }
}
