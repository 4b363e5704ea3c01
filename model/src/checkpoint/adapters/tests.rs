//! Adapter files, name forms and merged weights.

use std::fs;
use std::path::Path;

use burn::tensor::{DType, Device, Tensor};

use super::*;
use crate::checkpoint::TensorReader;
use crate::checkpoint::testing::{Stored, write_file};

/// A checkpoint with two modules, of which the second has a bias.
fn checkpoint(dir: &Path) -> TensorReader {
    let path = write_file(
        dir,
        "model.safetensors",
        &[
            Stored::f32("layers.0.attention.qkv.weight", &[2, 2], &[1.0, 2.0, 3.0, 4.0]),
            Stored::f32("layers.0.norm.weight", &[2], &[1.0, 1.0]),
            Stored::f32("layers.0.norm.bias", &[2], &[0.0, 0.0]),
        ],
    );
    TensorReader::open("transformer", &[path], &Device::flex(), DType::F32).unwrap()
}

/// Loads the checkpoint with one adapter: the matrix, the norm and the report.
fn merged(path: &Path, strength: f32) -> Result<(Vec<f32>, Vec<f32>, LoraReport), LoadError> {
    let dir = tempfile::tempdir().unwrap();
    let reader = checkpoint(dir.path());
    reader.merge(LoraSet::open(&[LoraChoice { path: path.to_owned(), strength }], Selection::DENOISER)?)?;
    let values = |tensor: Tensor<1>| tensor.try_into_vec_as::<f32>().unwrap();
    let matrix = reader.tensor::<2>("layers.0.attention.qkv.weight", [2, 2]).reshape([4]);
    let norm = reader.vector("layers.0.norm.weight", 2);
    reader.vector("layers.0.norm.bias", 2);
    let report = reader.finish()?;
    Ok((values(matrix), values(norm), report.lora[0].clone()))
}

fn problems(result: Result<(Vec<f32>, Vec<f32>, LoraReport), LoadError>) -> Vec<String> {
    match result {
        Err(LoadError::Lora { problems, .. }) => problems,
        other => panic!("{other:?}"),
    }
}

const MODULE: &str = "layers.0.attention.qkv";

/// A = [1, 10], B = [1, 2]^T, so B A = [[1, 10], [2, 20]].
fn factors(a: &str, b: &str) -> Vec<Stored> {
    vec![Stored::f32(a, &[1, 2], &[1.0, 10.0]), Stored::f32(b, &[2, 1], &[1.0, 2.0])]
}

#[test]
fn peft_directories_scale_by_their_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let key = |end: &str| format!("base_model.model.{MODULE}.{end}.weight");
    write_file(dir.path(), "adapter_model.safetensors", &factors(&key("lora_A"), &key("lora_B")));
    fs::write(dir.path().join("adapter_config.json"), r#"{"r": 1, "lora_alpha": 2}"#).unwrap();
    let (matrix, norm, report) = merged(dir.path(), 0.5).unwrap();
    assert_eq!((matrix, norm), (vec![2.0, 12.0, 5.0, 24.0], vec![1.0, 1.0]));
    assert_eq!((report.modules, report.format, report.scale_source), (1, "LoRA", "adapter_config.json"));
    fs::write(dir.path().join("adapter_config.json"), r#"{"lora_alpha": 2, "alpha_pattern": {"attention.qkv": 4}}"#)
        .unwrap();
    assert_eq!(merged(dir.path(), 0.5).unwrap().0, [3.0, 22.0, 7.0, 44.0]);
    fs::write(dir.path().join("adapter_config.json"), r#"{"lora_alpha": 2, "use_dora": true}"#).unwrap();
    assert!(problems(merged(dir.path(), 1.0))[0].contains("use_dora"));
}

#[test]
fn single_files_scale_by_alpha_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let flat = format!("lora_unet_{}", MODULE.replace('.', "_"));
    let mut tensors = factors(&format!("{flat}.lora_down.weight"), &format!("{flat}.lora_up.weight"));
    let without = write_file(dir.path(), "without.safetensors", &tensors);
    assert_eq!(merged(&without, 1.0).unwrap().0, [2.0, 12.0, 5.0, 24.0]);
    tensors.push(Stored::f32(&format!("{flat}.alpha"), &[], &[3.0]));
    let with = write_file(dir.path(), "with.safetensors", &tensors);
    let (matrix, _, report) = merged(&with, 1.0).unwrap();
    assert_eq!((matrix, report.scale_source), (vec![4.0, 32.0, 9.0, 64.0], "alpha tensors"));
    // Merging an adapter twice doubles its effect, for each form of names.
    let dotted = format!("diffusion_model.{MODULE}");
    let again = write_file(
        dir.path(),
        "again.safetensors",
        &factors(&format!("{dotted}.lora_A.weight"), &format!("{dotted}.lora_B.weight")),
    );
    let reader = checkpoint(dir.path());
    let specs = [without, again].map(|path| LoraChoice { path, strength: 1.0 });
    reader.merge(LoraSet::open(&specs, Selection::DENOISER).unwrap()).unwrap();
    let matrix: Tensor<2> = reader.tensor(&format!("{MODULE}.weight"), [2, 2]);
    assert_eq!(matrix.try_into_vec_as::<f32>().unwrap(), [3.0, 22.0, 7.0, 44.0]);
}

#[test]
fn prefixes_of_trainers_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    for prefix in ["", "transformer.", "base_model.model.", "transformer.base_model.model."] {
        let key = |end: &str| format!("{prefix}{MODULE}.{end}.weight");
        let path = write_file(dir.path(), "adapter.safetensors", &factors(&key("lora_A"), &key("lora_B")));
        assert_eq!(merged(&path, 1.0).unwrap().0, [2.0, 12.0, 5.0, 24.0], "{prefix}");
    }
}

#[test]
fn an_adapter_of_a_text_encoder_is_named_as_one() {
    let dir = tempfile::tempdir().unwrap();
    for (down, up) in [
        ("lora_te1_layers_0_q_proj.lora_down.weight", "lora_te1_layers_0_q_proj.lora_up.weight"),
        ("text_encoder.layers.0.q_proj.lora_A.weight", "text_encoder.layers.0.q_proj.lora_B.weight"),
    ] {
        let flat = format!("lora_unet_{}", MODULE.replace('.', "_"));
        let mut tensors = factors(&format!("{flat}.lora_down.weight"), &format!("{flat}.lora_up.weight"));
        tensors.extend(factors(down, up));
        let path = write_file(dir.path(), "both.safetensors", &tensors);
        let found = problems(merged(&path, 1.0));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("it adapts a text encoder, by 2 keys such as `"), "{found:?}");
    }
}

#[test]
fn lokr_factors_whole_or_split_and_norms() {
    let dir = tempfile::tempdir().unwrap();
    let key = |end: &str| format!("lycoris_layers_0_attention_qkv.{end}");
    // kron([[1, 2]], [[1], [10]]) = [[1, 2], [10, 20]].
    let whole = [
        Stored::f32(&key("lokr_w1"), &[1, 2], &[1.0, 2.0]),
        Stored::f32(&key("lokr_w2"), &[2, 1], &[1.0, 10.0]),
        Stored::f32(&key("alpha"), &[], &[99.0]),
        Stored::f32("lycoris_layers_0_norm.w_norm", &[2], &[0.5, -0.5]),
        Stored::f32("lycoris_layers_0_norm.b_norm", &[2], &[0.0, 0.0]),
    ];
    let path = write_file(dir.path(), "whole.safetensors", &whole);
    let (matrix, norm, report) = merged(&path, 1.0).unwrap();
    assert_eq!((matrix, norm), (vec![2.0, 4.0, 13.0, 24.0], vec![1.5, 0.5]));
    assert_eq!((report.modules, report.format), (2, "LoKr"));
    // w2 = w2_a w2_b of rank 2, so that the scale is alpha / 2.
    let split = [
        Stored::f32(&key("lokr_w1"), &[1, 2], &[1.0, 2.0]),
        Stored::f32(&key("lokr_w2_a"), &[2, 2], &[1.0, 0.0, 0.0, 10.0]),
        Stored::f32(&key("lokr_w2_b"), &[2, 1], &[1.0, 1.0]),
        Stored::f32(&key("alpha"), &[], &[4.0]),
    ];
    let path = write_file(dir.path(), "split.safetensors", &split);
    assert_eq!(merged(&path, 1.0).unwrap().0, [3.0, 6.0, 23.0, 44.0]);
}

#[test]
fn everything_that_does_not_fit_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, tensors: &[Stored]| write_file(dir.path(), name, tensors);
    let unknown = file("unknown.safetensors", &[Stored::f32("x.oft_blocks", &[1], &[0.0])]);
    assert!(problems(merged(&unknown, 1.0))[0].contains("`x.oft_blocks`"));
    let mut tensors = factors("layers.9.attention.qkv.lora_A.weight", "layers.9.attention.qkv.lora_B.weight");
    tensors.extend(factors("lora_unet_layers_8_x.lora_down.weight", "lora_unet_layers_8_x.lora_up.weight"));
    let elsewhere = problems(merged(&file("elsewhere.safetensors", &tensors), 1.0));
    assert!(elsewhere.iter().any(|p| p.contains("`layers.9.attention.qkv`")), "{elsewhere:?}");
    assert!(elsewhere.iter().any(|p| p.contains("layers_8_x")), "{elsewhere:?}");
    let half = file("half.safetensors", &factors(&format!("{MODULE}.lora_A.weight"), "other.lora_B.weight"));
    assert_eq!(problems(merged(&half, 1.0)).len(), 2);
    let key = |end: &str| format!("{MODULE}.{end}.weight");
    let shapes = [Stored::f32(&key("lora_A"), &[1, 3], &[0.0; 3]), Stored::f32(&key("lora_B"), &[2, 1], &[0.0; 2])];
    assert!(problems(merged(&file("shapes.safetensors", &shapes), 1.0))[0].contains("[2, 3]"));
    let ranks = [Stored::f32(&key("lora_A"), &[1, 2], &[0.0; 2]), Stored::f32(&key("lora_B"), &[2, 2], &[0.0; 4])];
    assert!(problems(merged(&file("ranks.safetensors", &ranks), 1.0))[0].contains("do not fit each other"));
    assert!(problems(merged(&file("none.safetensors", &[]), 1.0))[0].contains("no tensors"));
    let good = file("good.safetensors", &factors(&key("lora_A"), &key("lora_B")));
    assert!(problems(merged(&good, f32::NAN))[0].contains("strength"));
    assert!(matches!(merged(Path::new("gone"), 1.0), Err(LoadError::Read { .. })));
}

#[test]
fn some_outputs_of_a_module_can_have_a_name_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let names = |path: &str| -> Vec<Alias> {
        let rows = |name: &str, rows| Alias { name: format!("layers.0.attn.{name}"), rows: Some(rows) };
        if path == MODULE { vec![rows("to_q", 0..1), rows("to_k", 1..2)] } else { Vec::new() }
    };
    let key = |part: &str, end: &str| format!("transformer.layers.0.attn.{part}.{end}.weight");
    let tensors = [
        Stored::f32(&key("to_q", "lora_A"), &[1, 2], &[1.0, 10.0]),
        Stored::f32(&key("to_q", "lora_B"), &[1, 1], &[1.0]),
        Stored::f32(&key("to_k", "lora_A"), &[1, 2], &[1.0, 10.0]),
        Stored::f32(&key("to_k", "lora_B"), &[1, 1], &[2.0]),
    ];
    let path = write_file(dir.path(), "split.safetensors", &tensors);
    let merge = |path: &Path| {
        let reader = checkpoint(dir.path());
        let set = LoraSet::open(&[LoraChoice { path: path.to_owned(), strength: 1.0 }], Selection::DENOISER)?;
        reader.merge_named(set, &names)?;
        let matrix: Tensor<2> = reader.tensor(&format!("{MODULE}.weight"), [2, 2]);
        Ok::<_, LoadError>(matrix.try_into_vec_as::<f32>().unwrap())
    };
    assert_eq!(merge(&path).unwrap(), [2.0, 12.0, 5.0, 24.0], "as one module with both rows");
    let tall = [
        Stored::f32(&key("to_q", "lora_A"), &[1, 2], &[1.0, 10.0]),
        Stored::f32(&key("to_q", "lora_B"), &[2, 1], &[1.0, 2.0]),
    ];
    let error = merge(&write_file(dir.path(), "tall.safetensors", &tall)).unwrap_err().to_string();
    assert!(error.contains("as [2, 2], but that is [1, 2]"), "{error}");
}
