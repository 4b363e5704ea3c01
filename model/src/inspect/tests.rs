//! Files of every kind, distinguished by their headers.

use std::fs;

use super::*;
use crate::checkpoint::testing::{Stored, write_file};
use crate::families::newbie::synthetic::{self, Preset};
use crate::families::sdxl;

fn of(names: &[&str]) -> Inspection {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let stored: Vec<Stored> = names.iter().map(|name| Stored::f32(name, &[0], &[])).collect();
    inspect(&write_file(dir.path(), "x.safetensors", &stored)).expect("readable")
}

/// The value of a fact.
fn fact<'a>(found: &'a Inspection, name: &str) -> Option<&'a str> {
    found.facts.iter().find(|fact| fact.name == name).map(|fact| fact.value.as_str())
}

#[test]
fn files_that_are_no_model_are_named() {
    for (names, kind) in [
        (&["lora_controlnet", "input_hint_block.0.weight"][..], "a Control-LoRA"),
        (&["task_embedding", "controlnet_cond_embedding.conv_in.weight"], "a ControlNet Union"),
        (&["controlnet_cond_embedding.conv_in.weight", "conv_in.weight"], "a ControlNet (diffusers' names)"),
        (&["control_model.input_hint_block.0.weight"], "a ControlNet (LDM's names)"),
        (&["lllite_unet_input_blocks_4_1.down.0.weight"], "a ControlNet-LLLite"),
        (&["adapter.body.0.resnets.0.block1.weight"], "a T2I-Adapter"),
        (&["image_proj.latents", "ip_adapter.1.to_k_ip.weight"], "an IP-Adapter"),
        (&["edm_mean", "model.diffusion_model.x"], "an EDM model (Playground 2.5)"),
        (&["edm_vpred.sigma_max"], "an EDM model that predicts v (CosXL)"),
        (
            &["model.diffusion_model.input_blocks.0.0.weight", "cond_stage_model.x"],
            "a Stable Diffusion 1 or 2 checkpoint",
        ),
        (&["double_blocks.0.img_attn.qkv.weight"], "a FLUX.1 model"),
        (&["encoder.conv_in.weight", "decoder.conv_in.weight"], "an autoencoder alone"),
        (&["text_model.encoder.layers.0.mlp.fc1.weight"], "a text encoder alone"),
        (&["something.else"], "an unknown file"),
    ] {
        let found = of(names);
        assert_eq!((found.kind.as_str(), found.usage), (kind, Usage::Refused));
        assert!(!found.advice.is_empty(), "{kind}");
    }
}

#[test]
fn adapters_embeddings_and_markers_are_read() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let module = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q";
    let keys = [format!("{module}.lora_down.weight"), format!("{module}.lora_up.weight")];
    let stored = [Stored::f32(&keys[0], &[4, 8], &[0.0; 32]), Stored::f32(&keys[1], &[8, 4], &[0.0; 32])];
    let found = inspect(&write_file(dir.path(), "lora.safetensors", &stored)).expect("readable");
    assert_eq!((found.kind.as_str(), found.usage), ("an adapter (LoRA)", Usage::Adapter));
    assert_eq!(fact(&found, "rank"), Some("4 at most"));
    assert_eq!(fact(&found, "modules"), Some("1 of the denoiser, 0 of text encoders"));

    let stored = [Stored::f32("clip_l", &[2, 8], &[0.0; 16]), Stored::f32("clip_g", &[2, 8], &[0.0; 16])];
    let found = inspect(&write_file(dir.path(), "ti.safetensors", &stored)).expect("readable");
    assert_eq!((found.kind.as_str(), found.facts.len()), ("a textual inversion (embedding)", 2));
}

#[test]
fn a_folder_that_loads_is_a_model_and_one_that_does_not_says_why() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    sdxl::synthetic::write(dir.path(), 1).expect("writable");
    let found = inspect(dir.path()).expect("readable");
    assert_eq!((found.family, found.usage), (Some("Stable Diffusion XL"), Usage::Model), "{found:?}");
    assert_eq!(
        found.parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(),
        ["unet", "text_encoder", "text_encoder_2", "vae"]
    );
    assert!(found.advice.contains("--model"), "{}", found.advice);
    assert_eq!(fact(&found, "prediction"), Some("epsilon"));
    fs::remove_dir_all(dir.path().join("vae")).expect("removed");
    let found = inspect(dir.path()).expect("readable");
    assert_eq!(found.usage, Usage::Refused);
    assert!(found.problems.iter().any(|problem| problem.contains("`vae/` is missing")), "{:?}", found.problems);
}

/// A folder of another family may have a file with the name of diffusers' scheduler.
#[test]
fn a_flow_matching_model_predicts_velocity() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    synthetic::write(dir.path(), &Preset::tiny(), 1).expect("writable");
    fs::create_dir(dir.path().join("scheduler")).expect("made");
    fs::write(dir.path().join("scheduler/scheduler_config.json"), "{}").expect("written");
    let found = inspect(dir.path()).expect("readable");
    assert_eq!((found.family, fact(&found, "prediction")), (Some("NewBie"), Some("velocity")));
}

#[test]
fn files_that_run_code_are_refused_unread_and_damaged_ones_are_errors() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes, kind) in [
        ("a.ckpt", &b"PK\x03\x04"[..], "a file of PyTorch (pickle)"),
        ("a.pt", b"\x80\x02}q\x00.", "a file of PyTorch (pickle)"),
        ("a.gguf", b"GGUF\x03", "quantised weights in the GGUF format"),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, bytes).expect("writable");
        let found = inspect(&path).expect("readable");
        assert_eq!((found.kind.as_str(), found.usage), (kind, Usage::Refused));
    }
    let path = dir.path().join("a.safetensors");
    fs::write(&path, b"\x10").expect("writable");
    assert!(inspect(&path).is_err() && inspect(&dir.path().join("gone")).is_err());
}
