//! Adapters merged into the Next-DiT: PEFT directories, LoKr files, and the same adapters under other names.

use std::path::{Path, PathBuf};

use burn::tensor::Tensor;
use sakuga_model::checkpoint::adapters::{LoraSet, Selection};
use sakuga_model::checkpoint::weight_files;
use sakuga_model::networks::next_dit::{Caption, NextDit, NextDitConfig, key_map};
use sakuga_model_core::LoraChoice;
use serde_json::Value;

use crate::harness::{Part, for_each_set, json, load_files};

#[test]
fn merged_adapters_match_their_references() {
    for_each_set("lora", check);
}

fn check(part: &mut Part) {
    let tolerance = part.tolerance("out");
    for case in part.cases() {
        let name = case["name"].as_str().expect("a case has a name");
        let specs = adapters(&part.dir, &case);
        let out = run(part, &specs);
        part.compare("as published", name, "out", out, None, tolerance);
    }
    // The same adapter renamed must give what the original gives at full strength.
    for path in files_in(&part.dir.join("other_names")) {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let original = part.cases().into_iter().find(|case| match adapters(&part.dir, case).as_slice() {
            [LoraChoice { path, strength }] => {
                *strength == 1.0 && stem.starts_with(&*path.file_name().unwrap_or_default().to_string_lossy())
            }
            _ => false,
        });
        let Some(original) = original else {
            part.fail(format!("no case applies the original of other_names/{stem} alone at strength 1"));
            continue;
        };
        let out = run(part, &[LoraChoice { path: path.clone(), strength: 1.0 }]);
        let name = original["name"].as_str().expect("a case has a name");
        part.compare(&format!("other_names/{stem}"), name, "out", out, None, tolerance);
    }
}

/// The adapters of a case: `[[name, strength], ..]`, or one `adapter` with its `strength`, or none.
fn adapters(dir: &Path, case: &Value) -> Vec<LoraChoice> {
    let spec = |name: &Value, strength: &Value| LoraChoice {
        path: dir.join(name.as_str().expect("an adapter has a name")),
        strength: strength.as_f64().expect("a strength is a number") as f32,
    };
    match (&case["adapters"], &case["adapter"]) {
        (Value::Array(list), _) => list.iter().map(|pair| spec(&pair[0], &pair[1])).collect(),
        (_, name @ Value::String(_)) => vec![spec(name, &case["strength"])],
        _ => Vec::new(),
    }
}

/// The velocity for the shared inputs with adapters merged.
fn run(part: &Part, specs: &[LoraChoice]) -> Tensor<4> {
    let dir = part.set.join("next_dit");
    let files = weight_files(&dir).unwrap_or_else(|error| panic!("{error}"));
    let (network, report) = load_files("transformer", &files, |reader| {
        reader.rename(key_map::canonical_name);
        reader
            .merge(LoraSet::open(specs, Selection::DENOISER).unwrap_or_else(|error| panic!("{error}")))
            .unwrap_or_else(|error| panic!("{error}"));
        let config =
            NextDitConfig::from_json(&json(&dir.join("config.json")), reader).unwrap_or_else(|error| panic!("{error}"));
        NextDit::load(&config, reader)
    });
    assert_eq!(report.lora.len(), specs.len());
    assert!(report.lora.iter().all(|adapter| adapter.modules > 0), "every adapter patches something");
    let tensors = &part.tensors;
    let mask = tensors.i64s("inputs.cap_mask");
    let width = tensors.shape("inputs.cap_mask")[1];
    let lengths = mask.chunks(width).map(|row| row.iter().filter(|&&flag| flag != 0).count()).collect();
    let caption = Caption { features: tensors.tensor("inputs.cap_feats"), lengths };
    let pooled = tensors.has("inputs.clip_text_pooled").then(|| tensors.tensor("inputs.clip_text_pooled"));
    network.forward(tensors.tensor("inputs.x"), &tensors.f32s("inputs.t"), &caption, pooled)
}

fn files_in(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    files.sort();
    files
}
