//! Adapters of requests on an open model.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use sakuga_model_core::{
    AdapterChoice, AdapterDescription, DeviceChoice, EngineError, GenerationSpec, LoraChoice, ModelOptions, OpenModel,
    OpenOptions, Outcome, Precision, Progress, Rgb8, Sampling, Stage,
};
use tempfile::TempDir;

use super::ModelFiles;
use crate::checkpoint::testing::{Stored, write_file};
use crate::checkpoint::{SafetensorsFile, TensorEntry};
use crate::families::newbie::synthetic::{self, AdapterLayout, AdapterPreset, Preset, write_adapter};
use crate::families::sdxl;

struct Fixture {
    folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        synthetic::write(&folder.path().join("model"), &Preset::tiny(), 1).expect("a checkpoint");
        Self { folder }
    }

    fn open(&self, precision: Precision, loras: Vec<LoraChoice>) -> OpenModel {
        let options = ModelOptions {
            device: DeviceChoice::Cpu,
            precision: Some(precision),
            model: Some(self.folder.path().join("model")),
            loras,
            ..ModelOptions::default()
        };
        ModelFiles::new(options).open(OpenOptions::default()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn adapter(&self, name: &str, preset: AdapterPreset, seed: u64) -> PathBuf {
        let path = self.folder.path().join(format!("{name}.safetensors"));
        write_adapter(&path, &Preset::tiny(), &preset, seed).expect("writable");
        path
    }
}

fn describe(open: &OpenModel, path: &Path) -> AdapterDescription {
    let inspector = open.adapters.as_ref().expect("this family takes adapters");
    inspector.inspect(path).unwrap_or_else(|error| panic!("{error}"))
}

fn choice(open: &OpenModel, path: &Path, scale: f32) -> AdapterChoice {
    let AdapterDescription { sha256, .. } = describe(open, path);
    AdapterChoice { name: "style".into(), path: path.to_owned(), sha256, scale, text_scale: scale, device_bytes: 0 }
}

/// The picture with these adapters, and whether the weights were switched.
fn draw(open: &mut OpenModel, adapters: Vec<AdapterChoice>) -> Result<(Vec<Rgb8>, bool), EngineError> {
    let sampling = Sampling { steps: 1, ..open.info.model.sampling };
    let spec = GenerationSpec { adapters, ..GenerationSpec::new("a girl with blue hair", 32, 32, sampling) };
    let mut is_switched = false;
    let outcome = open.model.generate(&spec, &mut |progress| {
        is_switched |= matches!(progress, Progress::Stage(Stage::LoadAdapters));
        ControlFlow::Continue(())
    })?;
    match outcome {
        Outcome::Finished { images, .. } => Ok((images, is_switched)),
        Outcome::Stopped { .. } => panic!("nothing stopped it"),
    }
}

fn picture(open: &mut OpenModel, adapters: Vec<AdapterChoice>) -> Vec<Rgb8> {
    draw(open, adapters).unwrap_or_else(|error| panic!("{error}")).0
}

#[test]
fn a_picture_without_adapters_has_the_same_bits_after_fifty_switches() {
    let fixture = Fixture::new();
    let a = fixture.adapter("a", AdapterPreset::new(4), 1);
    let b = fixture.adapter("b", AdapterPreset { has_text: true, ..AdapterPreset::new(8) }, 2);
    for precision in [Precision::F32, Precision::Bf16] {
        let mut open = fixture.open(precision, Vec::new());
        let before = picture(&mut open, Vec::new());
        let (a, b) = (choice(&open, &a, 1.0), choice(&open, &b, 0.7));
        let sets = [vec![a.clone()], vec![b.clone()], vec![a.clone(), b.clone()], vec![b, a]];
        let first: Vec<_> = sets.iter().map(|set| picture(&mut open, set.clone())).collect();
        assert!(first.iter().all(|with| *with != before) && first[0] != first[1], "{precision}: they have an effect");
        for round in 0..50 {
            let (with, is_switched) = draw(&mut open, sets[round % 4].clone()).expect("drawn");
            assert_eq!((with == first[round % 4], is_switched), (true, true), "{precision}, round {round}");
        }
        let (after, is_switched) = draw(&mut open, Vec::new()).expect("drawn");
        assert!(after == before && is_switched, "{precision}");
        assert!(!draw(&mut open, Vec::new()).expect("drawn").1, "nothing is left to switch");
    }
}

#[test]
fn an_adapter_of_a_request_gives_the_bits_of_one_that_was_merged_at_the_start() {
    let fixture = Fixture::new();
    for (name, layout) in [
        ("peft", AdapterLayout::Peft),
        ("kohya", AdapterLayout::Kohya),
        ("simpletuner", AdapterLayout::SimpleTuner),
        ("diffusers", AdapterLayout::Diffusers),
    ] {
        let path = fixture.adapter(name, AdapterPreset { layout, ..AdapterPreset::new(4) }, 3);
        for precision in [Precision::F32, Precision::Bf16] {
            let lora = LoraChoice { path: path.clone(), strength: 0.5 };
            let merged = picture(&mut fixture.open(precision, vec![lora]), Vec::new());
            let mut open = fixture.open(precision, Vec::new());
            let adapter = choice(&open, &path, 0.5);
            let (with, is_switched) = draw(&mut open, vec![adapter.clone()]).expect("drawn");
            assert!(with == merged && is_switched, "{name}, {precision}");
            assert!(!draw(&mut open, vec![adapter]).expect("drawn").1, "{name}: the same adapters again");
        }
    }
}

#[test]
fn scales_of_zero_have_no_effect_and_parts_have_their_own() {
    let fixture = Fixture::new();
    let path = fixture.adapter("both", AdapterPreset { has_text: true, ..AdapterPreset::new(4) }, 4);
    let mut open = fixture.open(Precision::F32, Vec::new());
    let with = |scale, text_scale| move |adapter: AdapterChoice| vec![AdapterChoice { scale, text_scale, ..adapter }];
    let adapter = choice(&open, &path, 1.0);
    let none = picture(&mut open, Vec::new());
    assert!(picture(&mut open, with(0.0, 0.0)(adapter.clone())) == none);
    let [denoiser, text, both] = [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]
        .map(|(scale, text_scale)| picture(&mut open, with(scale, text_scale)(adapter.clone())));
    assert!(none != denoiser && none != text && denoiser != both && text != both && denoiser != text);
}

#[test]
fn what_an_adapter_is_and_whether_it_fits_is_known_without_using_it() {
    let fixture = Fixture::new();
    let open = fixture.open(Precision::F32, Vec::new());
    let fits = |name: &str, preset: AdapterPreset| {
        let found = describe(&open, &fixture.adapter(name, preset, 5));
        assert_eq!(found.problems_at(1.0), Vec::<&str>::new(), "{name}");
        (found.modules, found.text_modules)
    };
    let preset = AdapterPreset::new(4);
    // Six linear layers in each of four blocks; seven in each of Gemma's four.
    assert_eq!(fits("peft", preset), (24, 0));
    assert_eq!(fits("text", AdapterPreset { has_text: true, layout: AdapterLayout::Kohya, ..preset }), (24, 28));
    assert_eq!(fits("diffusers", AdapterPreset { layout: AdapterLayout::Diffusers, ..preset }), (32, 0));
    let path = fixture.adapter("described", AdapterPreset::new(7), 5);
    let found = describe(&open, &path);
    assert_eq!((found.algorithm.as_str(), found.rank, found.unmatched), ("LoRA", 7, 0));
    assert_eq!((found.base_model.as_str(), found.trigger_words), ("random weights", vec!["random style".to_owned()]));
    assert_eq!((found.bytes, found.sha256.len()), (fs::metadata(&path).expect("written").len(), 64));
    // The weights that it changes, once more: in bf16 they take half.
    let in_bf16 = describe(&fixture.open(Precision::Bf16, Vec::new()), &path);
    assert_eq!((found.denoiser_bytes, found.text_bytes), (2 * in_bf16.denoiser_bytes, 0));
    assert_eq!((in_bf16.device_bytes(0.5, 1.0), in_bf16.device_bytes(0.0, 1.0)), (in_bf16.denoiser_bytes, 0));
    assert!(in_bf16.denoiser_bytes > 0);
}

#[test]
fn an_adapter_that_does_not_fit_is_described_with_what_did_not_match() {
    let fixture = Fixture::new();
    let mut open = fixture.open(Precision::F32, Vec::new());
    let module = |path: &str, down: &[usize], up: &[usize]| {
        let tensor = |end: &str, shape: &[usize]| {
            Stored::f32(&format!("{path}.{end}.weight"), shape, &vec![0.5; shape.iter().product()])
        };
        [tensor("lora_down", down), tensor("lora_up", up)]
    };
    let foreign = module("lora_unet_input_blocks_4_1_proj_in", &[2, 8], &[8, 2]);
    let own = || module("lora_unet_layers_0_attention_out", &[2, 96], &[96, 2]);
    let pooled = module("lora_te2_encoder_layers_0_mlp_fc1", &[2, 8], &[8, 2]);
    let file = |name: &str, tensors: Vec<Stored>| write_file(fixture.folder.path(), name, &tensors);
    let other = describe(&open, &file("other.safetensors", foreign.into()));
    assert_eq!((other.modules, other.unmatched), (0, 1));
    assert!(other.problems[0].contains("input_blocks_4_1_proj_in"), "{other:?}");
    assert!(other.nearest_layout.starts_with("Stable Diffusion"), "{other:?}");
    let partly: Vec<_> =
        own().into_iter().chain(module("lora_unet_layers_9_attention_out", &[2, 96], &[96, 2])).collect();
    let partly = describe(&open, &file("partly.safetensors", partly));
    assert_eq!((partly.modules, partly.unmatched), (1, 1));
    let size = describe(&open, &file("size.safetensors", module("layers.0.attention.out", &[2, 64], &[64, 2]).into()));
    assert!(size.problems[0].contains("[64, 64]") && size.problems[0].contains("[96, 96]"), "{size:?}");
    let path = file("pooled.safetensors", own().into_iter().chain(pooled).collect());
    let found = describe(&open, &path);
    assert!(found.problems_at(0.0).is_empty(), "{found:?}");
    assert!(found.problems_at(1.0)[0].contains("set text_scale to 0"), "{found:?}");
    // A request that was accepted all the same is refused, and the model is unharmed.
    let none = picture(&mut open, Vec::new());
    let adapter = choice(&open, &path, 1.0);
    let error = draw(&mut open, vec![adapter]).expect_err("a part for Jina CLIP");
    assert!(!error.is_fatal() && error.to_string().contains("set text_scale to 0"), "{error}");
    let wrong = AdapterChoice { sha256: "0".repeat(64), ..choice(&open, &path, 1.0) };
    let error = draw(&mut open, vec![wrong]).expect_err("another content");
    assert!(!error.is_fatal() && error.to_string().contains("no longer the one"), "{error}");
    assert!(picture(&mut open, Vec::new()) == none);
    let error = open.adapters.as_ref().expect("adapters").inspect(Path::new("/nowhere")).expect_err("no file");
    assert!(matches!(error, EngineError::Model(_)));
}

/// Most adapters of Stable Diffusion XL change the U-Net alone.
#[test]
fn an_adapter_of_one_part_is_merged_at_the_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = folder.path().join("model");
    sdxl::synthetic::write(&model, 1).expect("a checkpoint");
    for (part, prefix) in [("unet", "lora_unet"), ("text_encoder_2", "lora_te2_text_model")] {
        let file = SafetensorsFile::open(&model.join(part).join("diffusion_pytorch_model.safetensors"))
            .expect("it was written");
        let matrix = |(name, entry): (&String, &TensorEntry)| match (name.strip_suffix(".weight"), &entry.shape[..]) {
            (Some(module), &[output, input]) if module.contains("q_proj") || module.ends_with("to_q") => {
                Some((module.replace('.', "_"), output, input))
            }
            _ => None,
        };
        let (module, output, input) = file.entries().iter().find_map(matrix).expect("a query's matrix");
        let tensor = |end: &str, shape: [usize; 2]| {
            Stored::f32(&format!("{prefix}_{module}.{end}.weight"), &shape, &vec![0.5; shape.iter().product()])
        };
        let tensors = [tensor("lora_down", [2, input]), tensor("lora_up", [output, 2])];
        let path = write_file(folder.path(), &format!("{part}.safetensors"), &tensors);
        let options = ModelOptions {
            device: DeviceChoice::Cpu,
            precision: Some(Precision::F32),
            model: Some(model.clone()),
            loras: vec![LoraChoice { path, strength: 1.0 }],
            ..ModelOptions::default()
        };
        let opened = ModelFiles::new(options).open(OpenOptions::default()).unwrap_or_else(|error| panic!("{error}"));
        let notice = &opened.info.model.notice;
        assert!(notice.ends_with(&format!("with LoRA {part}.safetensors at 1 (modules: 1)")), "{notice}");
    }
}
