//! Adapters of requests on the fast path, in bf16 and in fp8.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use sakuga_model::device;
use sakuga_model::families::newbie::synthetic::{self, AdapterLayout, AdapterPreset, Preset, VaeSize, write_adapter};
use sakuga_model::open::ModelFiles;
use sakuga_model_core::{
    AdapterChoice, DeviceChoice, GenerationSpec, LoraChoice, ModelOptions, OpenModel, OpenOptions, Outcome, Precision,
    Progress, Rgb8, Sampling, Stage, WarmUp,
};

use crate::choice;
use crate::next_dit::preset;

/// Every network on its fast path.
fn sizes() -> Preset {
    let vae = VaeSize { channels: vec![32, 64, 128, 128], blocks_per_level: 1, norm_groups: 8 };
    Preset { vae, ..preset() }
}

fn open(folder: &Path, precision: Precision, loras: Vec<LoraChoice>) -> OpenModel {
    let options = ModelOptions {
        device: DeviceChoice::Cuda(0),
        precision: Some(precision),
        model: Some(folder.join("model")),
        warm_up: WarmUp::None,
        loras,
        ..ModelOptions::default()
    };
    let opened = ModelFiles::new(options).open(OpenOptions { keeps_host_copy: true, skips_warm_up: true });
    opened.unwrap_or_else(|error| panic!("{error}"))
}

/// The picture, and whether the weights were switched for it.
fn draw(open: &mut OpenModel, adapters: &[AdapterChoice]) -> (Vec<Rgb8>, bool) {
    let sampling = Sampling { steps: 2, ..open.info.model.sampling };
    let spec = GenerationSpec { adapters: adapters.to_vec(), ..GenerationSpec::new("1girl, solo", 256, 192, sampling) };
    let mut is_switched = false;
    let outcome = open.model.generate(&spec, &mut |progress| {
        is_switched |= matches!(progress, Progress::Stage(Stage::LoadAdapters));
        ControlFlow::Continue(())
    });
    match outcome {
        Ok(Outcome::Finished { images, .. }) => (images, is_switched),
        other => panic!("{other:?}"),
    }
}

#[test]
fn adapters_are_applied_and_taken_back_bit_by_bit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    synthetic::write(&folder.path().join("model"), &sizes(), 1).expect("writable");
    let adapter = |name: &str, preset: AdapterPreset, seed| -> PathBuf {
        let path = folder.path().join(name);
        write_adapter(&path, &sizes(), &preset, seed).expect("writable");
        path
    };
    let a = adapter("a.safetensors", AdapterPreset::new(8), 1);
    let diffusers = AdapterPreset { layout: AdapterLayout::Diffusers, has_text: true, ..AdapterPreset::new(4) };
    let b = adapter("b.safetensors", diffusers, 2);
    for precision in [Precision::Bf16, Precision::Fp8] {
        if let Err(error) = device::open(DeviceChoice::Cuda(0), Some(precision)) {
            eprintln!("skipped: {error}");
            continue;
        }
        let mut model = open(folder.path(), precision, Vec::new());
        let before = draw(&mut model, &[]).0;
        let sets = [vec![choice(&model, &a, 1.0)], vec![choice(&model, &b, 0.5)]];
        let first: Vec<_> = sets.iter().map(|set| draw(&mut model, set).0).collect();
        assert!(first[0] != before && first[1] != before && first[0] != first[1], "{precision}: they have an effect");
        for round in 0..50 {
            let (with, is_switched) = draw(&mut model, &sets[round % 2]);
            assert_eq!((with == first[round % 2], is_switched), (true, true), "{precision}, round {round}");
        }
        assert!(!draw(&mut model, &sets[1]).1, "the same adapters again");
        assert_eq!(draw(&mut model, &[]), (before, true), "{precision}: back to the model itself");
        for path in &model.info.compute_paths {
            assert!(path.reason.is_empty(), "{path:?}");
        }
        drop(model);
        let merged = vec![LoraChoice { path: a.clone(), strength: 1.0 }];
        let merged = draw(&mut open(folder.path(), precision, merged), &[]).0;
        assert!(merged == first[0], "{precision}: as if it was merged at the start");
    }
}
