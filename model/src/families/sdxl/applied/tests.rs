//! Adapters of requests on a checkpoint of random weights, with a patch of some kind for every tensor.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use sakuga_model_core::{
    AdapterChoice, AdapterDescription, GenerationSpec, LoraChoice, Outcome, Precision, Rgb8, Sampling,
};
use tempfile::TempDir;

use crate::checkpoint::SafetensorsFile;
use crate::checkpoint::testing::{Stored, write_file};
use crate::device::OpenDevice;
use crate::families::sdxl::{Pipeline, synthetic};
use crate::families::{FamilyModel, LoadOptions};

/// How a change of a matrix or a filter is stored.
#[derive(Clone, Copy, Debug)]
enum Form {
    LowRank,
    Hadamard,
    Kronecker,
    Decomposed,
}

struct Fixture {
    folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        synthetic::write(&folder.path().join("model"), 1).expect("writable");
        Self { folder }
    }

    fn open(&self, precision: Precision, loras: Vec<LoraChoice>) -> Pipeline {
        let device = OpenDevice { precision, ..OpenDevice::cpu() };
        let options = LoadOptions { loras, ..LoadOptions::new(device) };
        Pipeline::load(&self.folder.path().join("model"), &options).unwrap_or_else(|error| panic!("{error}")).0
    }

    /// An adapter under kohya's names that changes every tensor of these parts, in these forms in turn.
    fn adapter(&self, name: &str, parts: &[(&str, &str)], forms: &[Form]) -> PathBuf {
        let mut tensors = Vec::new();
        for (part, prefix) in parts {
            let file = self.folder.path().join("model").join(part).join("diffusion_pytorch_model.safetensors");
            let file = SafetensorsFile::open(&file).expect("it was written");
            for (turn, (name, entry)) in file.entries().iter().enumerate() {
                let (module, tensor) = name.rsplit_once('.').expect("a module and its tensor");
                let key = format!("{prefix}_{}", module.replace('.', "_"));
                tensors.extend(match (&entry.shape[..], tensor) {
                    ([_], "weight") => vec![stored(&format!("{key}.w_norm"), &entry.shape, turn, 0.0)],
                    ([_], _) => vec![stored(&format!("{key}.b_norm"), &entry.shape, turn, 0.0)],
                    (shape, _) => patch(&key, shape, turn, forms[turn % forms.len()]),
                });
            }
        }
        write_file(self.folder.path(), name, &tensors)
    }
}

/// The parts of the checkpoint, and how kohya's names of their modules begin.
const UNET: (&str, &str) = ("unet", "lora_unet");
const CLIP_L: (&str, &str) = ("text_encoder", "lora_te1_text_model");
const CLIP_G: (&str, &str) = ("text_encoder_2", "lora_te2_text_model");

/// Numbers around `mean`.
fn stored(name: &str, shape: &[usize], seed: usize, mean: f32) -> Stored {
    let value = |place: usize| mean + 0.2 * ((place * 7 + seed * 13) as f32 * 0.37).sin();
    Stored::f32(name, shape, &(0..shape.iter().product()).map(value).collect::<Vec<_>>())
}

/// A change of rank 2 of a matrix or a filter.
fn patch(key: &str, shape: &[usize], seed: usize, form: Form) -> Vec<Stored> {
    let [outputs, inputs, ref kernel @ ..] = *shape else { panic!("a matrix or a filter") };
    let columns: usize = shape[1..].iter().product();
    let ones = vec![1; kernel.len()];
    let tensor = |end: &str, shape: &[usize], mean: f32| stored(&format!("{key}.{end}"), shape, seed + end.len(), mean);
    let low_rank = || {
        let (down, up) = ([&[2, inputs], kernel].concat(), [&[outputs, 2], &ones[..]].concat());
        vec![tensor("lora_down.weight", &down, 0.0), tensor("lora_up.weight", &up, 0.0)]
    };
    match form {
        Form::LowRank => low_rank(),
        Form::Hadamard => ["hada_w1_a", "hada_w2_a", "hada_w1_b", "hada_w2_b"]
            .map(|end| tensor(end, &if end.ends_with('a') { [outputs, 2] } else { [2, columns] }, 0.0))
            .into(),
        Form::Kronecker => {
            let rows = if outputs % 2 == 0 { 2 } else { 1 };
            let right = [&[outputs / rows, inputs], kernel].concat();
            vec![tensor("lokr_w1", &[rows, 1], 0.0), tensor("lokr_w2", &right, 0.0)]
        }
        Form::Decomposed => {
            let magnitudes = [&[outputs, 1], &ones[..]].concat();
            low_rank().into_iter().chain([tensor("dora_scale", &magnitudes, 1.0)]).collect()
        }
    }
}

fn describe(pipeline: &Pipeline, path: &Path) -> AdapterDescription {
    pipeline.adapters().expect("adapters").inspect(path).unwrap_or_else(|error| panic!("{error}"))
}

fn choice(pipeline: &Pipeline, path: &Path, scale: f32) -> AdapterChoice {
    let found = describe(pipeline, path);
    assert_eq!(found.problems_at(scale), Vec::<&str>::new());
    AdapterChoice {
        name: "style".into(),
        path: path.to_owned(),
        sha256: found.sha256,
        scale,
        text_scale: scale,
        device_bytes: 0,
    }
}

/// The picture with these adapters.
fn draw(pipeline: &mut Pipeline, adapters: &[AdapterChoice]) -> Rgb8 {
    if !pipeline.has_adapters(adapters) {
        pipeline.switch_adapters(adapters).unwrap_or_else(|error| panic!("{error}"));
    }
    assert!(pipeline.has_adapters(adapters));
    let sampling = Sampling { steps: 1, ..pipeline.info().sampling };
    let spec = GenerationSpec { seed: 3, ..GenerationSpec::new("1girl, red hat", 32, 32, sampling) };
    match pipeline.generate(&spec, &mut |_| ControlFlow::Continue(())) {
        Ok(Outcome::Finished { mut images, .. }) => images.remove(0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_picture_has_the_same_bits_after_fifty_switches() {
    let fixture = Fixture::new();
    let a = fixture.adapter("a.safetensors", &[UNET], &[Form::LowRank, Form::Decomposed]);
    let b = fixture.adapter("b.safetensors", &[UNET, CLIP_L, CLIP_G], &[Form::Kronecker, Form::Hadamard]);
    for precision in [Precision::F32, Precision::Bf16] {
        let mut pipeline = fixture.open(precision, Vec::new());
        let before = draw(&mut pipeline, &[]);
        let (a, b) = (choice(&pipeline, &a, 1.0), choice(&pipeline, &b, 0.7));
        let sets = [vec![a.clone()], vec![b.clone()], vec![a.clone(), b.clone()]];
        let first = sets.each_ref().map(|set| draw(&mut pipeline, set));
        assert!(first.iter().all(|with| *with != before) && first[0] != first[1], "{precision}: they have an effect");
        for round in 0..50 {
            assert!(draw(&mut pipeline, &sets[round % 3]) == first[round % 3], "{precision}, round {round}");
        }
        assert!(draw(&mut pipeline, &[]) == before, "{precision}: the model itself");
    }
}

#[test]
fn every_tensor_is_changed_as_if_the_adapter_was_merged_at_the_start() {
    let fixture = Fixture::new();
    for form in [Form::LowRank, Form::Hadamard, Form::Kronecker, Form::Decomposed] {
        let path = fixture.adapter(&format!("{form:?}.safetensors"), &[UNET, CLIP_L, CLIP_G], &[form]);
        let lora = LoraChoice { path: path.clone(), strength: 0.5 };
        let merged = draw(&mut fixture.open(Precision::F32, vec![lora]), &[]);
        let mut pipeline = fixture.open(Precision::F32, Vec::new());
        let adapter = choice(&pipeline, &path, 0.5);
        let switched = draw(&mut pipeline, std::slice::from_ref(&adapter));
        let differences = switched.pixels.iter().zip(&merged.pixels).map(|(one, other)| one.abs_diff(*other));
        // Norms of rows are summed in another order, by the layout of a weight.
        let allowed = if matches!(form, Form::Decomposed) { 1 } else { 0 };
        assert!(differences.max() <= Some(allowed), "{form:?}");
    }
}

#[test]
fn words_inside_an_adapter_are_read_while_it_is_applied() {
    let fixture = Fixture::new();
    let module = || patch("lora_unet_mid_block_attentions_0_proj_in", &[16, 16], 1, Form::LowRank);
    // The prompt of `draw` has this word; the encoders are 16 and 24 wide.
    let word = |part: &str, width| stored(&format!("bundle_emb.red hat.clip_{part}"), &[2, width], 5, 1.0);
    let tensors = module().into_iter().chain([word("l", 16), word("g", 24)]).collect::<Vec<_>>();
    let with = write_file(fixture.folder.path(), "with.safetensors", &tensors);
    let without = write_file(fixture.folder.path(), "without.safetensors", &module());

    let mut pipeline = fixture.open(Precision::F32, Vec::new());
    let before = draw(&mut pipeline, &[]);
    let found = describe(&pipeline, &with);
    assert_eq!((found.unmatched, found.trigger_words.as_slice()), (0, &["red hat".to_owned()][..]), "{found:?}");
    let [with_words, without_words] = [&with, &without].map(|path| {
        let adapter = choice(&pipeline, path, 1.0);
        draw(&mut pipeline, &[adapter])
    });
    assert!(with_words != without_words && with_words != before, "the word has vectors of its own");
    assert!(draw(&mut pipeline, &[]) == before, "the word is forgotten");

    let mut merged = fixture.open(Precision::F32, vec![LoraChoice { path: with, strength: 1.0 }]);
    assert!(draw(&mut merged, &[]) == with_words);
    let adapter = choice(&merged, &without, 1.0);
    assert!(draw(&mut merged, &[adapter]) != with_words);
    assert!(draw(&mut merged, &[]) == with_words, "words of merged adapters stay");
}

#[test]
fn parts_have_scales_of_their_own() {
    let fixture = Fixture::new();
    let path = fixture.adapter("all.safetensors", &[UNET, CLIP_L, CLIP_G], &[Form::LowRank]);
    let mut pipeline = fixture.open(Precision::F32, Vec::new());
    let adapter = choice(&pipeline, &path, 1.0);
    let found = describe(&pipeline, &path);
    assert!(found.modules > 100 && found.text_modules > 50 && found.unmatched == 0, "{found:?}");
    let mut with = |scale, text_scale| draw(&mut pipeline, &[AdapterChoice { scale, text_scale, ..adapter.clone() }]);
    let [none, denoiser, text, both] = [with(0.0, 0.0), with(1.0, 0.0), with(0.0, 1.0), with(1.0, 1.0)];
    assert!(none != denoiser && none != text && denoiser != both && text != both && denoiser != text);
    assert!(draw(&mut pipeline, &[]) == none);
}

#[test]
fn an_adapter_of_another_model_is_described_and_changes_nothing() {
    let fixture = Fixture::new();
    let mut pipeline = fixture.open(Precision::F32, Vec::new());
    let before = draw(&mut pipeline, &[]);
    let foreign = patch("diffusion_model.layers.0.attention.qkv", &[8, 8], 1, Form::LowRank);
    let path = write_file(fixture.folder.path(), "foreign.safetensors", &foreign);
    let found = describe(&pipeline, &path);
    assert_eq!((found.modules, found.unmatched, found.nearest_layout.as_str()), (0, 1, "Lumina 2 or Z-Image"));
    let wrong =
        AdapterChoice { name: "x".into(), path, sha256: found.sha256, scale: 1.0, text_scale: 1.0, device_bytes: 0 };
    let error = pipeline.switch_adapters(&[wrong]).expect_err("it fits nothing");
    assert!(error.to_string().contains("layers.0.attention.qkv"), "{error}");
    assert!(pipeline.has_adapters(&[]) && draw(&mut pipeline, &[]) == before);
}
