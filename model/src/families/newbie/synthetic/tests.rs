//! Contents of a written checkpoint, and that writing is deterministic.

use std::collections::BTreeSet;

use super::*;
use crate::checkpoint::synthetic::TensorSpec;

fn all_tensors(preset: &Preset) -> [Vec<TensorSpec>; 4] {
    [
        layout::next_dit::tensors(&preset.dit, &preset.gemma, &preset.jina),
        layout::gemma3::tensors(&preset.gemma),
        layout::jina_clip::tensors(&preset.jina),
        layout::autoencoder_kl::tensors(&preset.vae),
    ]
}

fn count(tensors: &[TensorSpec]) -> usize {
    tensors.iter().map(TensorSpec::elements).sum()
}

#[test]
fn the_real_geometry_has_the_published_sizes() {
    let [dit, _, _, vae] = all_tensors(&Preset::newbie());
    assert_eq!((dit.len(), count(&dit)), (535, 3_486_636_096));
    assert_eq!((vae.len(), count(&vae)), (244, 83_819_683));
}

#[test]
fn the_toy_is_small() {
    let total: usize = all_tensors(&Preset::tiny()).iter().map(|tensors| count(tensors)).sum();
    assert!((1_000_000..3_000_000).contains(&total), "{total}");
}

#[test]
fn names_are_unique() {
    for tensors in all_tensors(&Preset::tiny()) {
        let names: BTreeSet<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        assert_eq!(names.len(), tensors.len());
    }
}

#[test]
fn a_seed_is_a_checkpoint() {
    let dirs = [tempfile::tempdir(), tempfile::tempdir(), tempfile::tempdir()].map(|dir| dir.expect("a folder"));
    for (dir, seed) in dirs.iter().zip([1, 1, 2]) {
        write(dir.path(), &Preset::tiny(), seed).expect("writable");
    }
    let bytes = |i: usize| {
        fs::read(dirs[i].path().join("transformer/diffusion_pytorch_model.safetensors")).expect("was written")
    };
    assert_eq!(bytes(0), bytes(1));
    assert_ne!(bytes(0), bytes(2));
}

#[test]
fn sizes_that_contradict_each_other_are_refused() {
    let mut preset = Preset::tiny();
    preset.dit.heads = 5;
    let dir = tempfile::tempdir().expect("a folder");
    let error = write(dir.path(), &preset, 0).expect_err("5 does not divide 96").to_string();
    assert!(error.contains("dit.heads 5 does not divide 96"), "{error}");
    assert!(!dir.path().join("model_index.json").exists());
}
