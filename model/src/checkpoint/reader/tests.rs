//! Tensors and reports of the reader.

use burn::tensor::{TensorData, Tolerance, bf16};
use safetensors::Dtype;

use super::*;
use crate::checkpoint::testing::{Stored, write_file};

fn reader(tensors: &[Stored], dtype: DType) -> TensorReader {
    // The map outlives the directory entry.
    let dir = tempfile::tempdir().unwrap();
    let path = write_file(dir.path(), "model.safetensors", tensors);
    TensorReader::open("transformer", &[path], &Device::flex(), dtype).unwrap()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.cast(DType::F32).try_into_vec_as().unwrap()
}

fn weights_error(reader: &TensorReader) -> WeightsError {
    match reader.finish() {
        Err(LoadError::Weights(error)) => *error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_float_type_becomes_the_working_type() {
    let stored = [
        Stored::f32("a", &[2], &[1.0, -2.5]),
        Stored::bf16("b", &[2], &[1.0, -2.5]),
        Stored::f16("c", &[2], &[1.0, -2.5]),
        Stored::f64("d", &[2], &[1.0, -2.5]),
        Stored::of("e", Dtype::F8_E4M3, &[2], vec![0x38, 0xc2]),
        Stored::of("f", Dtype::F8_E5M2, &[2], vec![0x3c, 0xc1]),
    ];
    for dtype in [DType::F32, DType::BF16] {
        let reader = reader(&stored, dtype);
        for name in ["a", "b", "c", "d", "e", "f"] {
            let tensor = reader.vector(name, 2);
            assert_eq!(tensor.dtype(), dtype);
            assert_eq!(values(tensor), [1.0, -2.5]);
        }
        let report = reader.finish().unwrap();
        assert_eq!((report.tensors_used, report.parameters, report.bytes), (6, 12, 12 * dtype.size() as u64));
        assert_eq!(report.dtypes.values().sum::<usize>(), 6);
    }
}

#[test]
fn bf16_is_kept_bit_for_bit() {
    let third = bf16::from_f32(1.0 / 3.0);
    let reader = reader(&[Stored::bf16("w", &[1], &[third.to_f32()])], DType::BF16);
    assert_eq!(reader.vector("w", 1).into_data().as_slice::<bf16>().unwrap(), [third]);
}

#[test]
fn every_fault_is_named_in_one_error() {
    let reader = reader(
        &[
            Stored::f32("good", &[2], &[0.0; 2]),
            Stored::f32("misshapen", &[2, 3], &[0.0; 6]),
            Stored::f32("left_over", &[1], &[0.0]),
            Stored::f32("allowed.extra", &[1], &[0.0]),
            Stored::of("integers", Dtype::I32, &[1], vec![0; 4]),
        ],
        DType::F32,
    );
    reader.tolerate("allowed.*");
    reader.vector("good", 2);
    reader.tensor("misshapen", [3, 2]);
    reader.at("block.0").linear("gone", 4, 5, true);
    reader.vector("integers", 1);
    let error = weights_error(&reader);
    assert_eq!(error.missing, [("block.0.gone.weight".into(), vec![5, 4]), ("block.0.gone.bias".into(), vec![5])]);
    assert_eq!(error.unexpected, ["left_over"]);
    let wrong = WrongShape { name: "misshapen".into(), expected: vec![3, 2], found: vec![2, 3] };
    assert_eq!(error.wrong_shape, [wrong]);
    assert_eq!(error.unusable.len(), 1);
    let message = error.to_string();
    for part in [
        "transformer",
        "model.safetensors",
        "missing: block.0.gone.bias [5]",
        "unexpected: left_over",
        "misshapen is [2, 3], needed [3, 2]",
        "integers: its type I32",
    ] {
        assert!(message.contains(part), "{message} should contain {part}");
    }
}

#[test]
fn tolerated_tensors_are_listed() {
    let reader = reader(&[Stored::f32("vision.a", &[1], &[0.0]), Stored::f32("w", &[1], &[3.0])], DType::F32);
    reader.tolerate("vision.*");
    assert_eq!(values(reader.vector("w", 1)), [3.0]);
    assert_eq!(reader.finish().unwrap().tolerated, ["vision.a"]);
}

#[test]
fn stand_ins_take_no_memory_whatever_the_configuration_says() {
    let reader = reader(&[Stored::f32("w", &[1], &[0.0])], DType::F32);
    let huge = reader.linear("gone", 1 << 20, 1 << 20, false);
    assert_eq!(huge.weight.dims(), [1 << 20, 1 << 20]);
    let stack = reader.linear_stack(&[("a", 1 << 20), ("b", 1 << 20)], 1 << 20);
    assert_eq!(stack.weight.dims(), [1 << 20, 1 << 21]);
    assert_eq!(weights_error(&reader).missing.len(), 3);
}

#[test]
fn a_linear_is_seen_through_a_transposed_view() {
    let stored =
        [Stored::f32("x.weight", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), Stored::f32("x.bias", &[2], &[7.0, 8.0])];
    let reader = reader(&stored, DType::F32);
    let linear = reader.linear("x", 3, 2, true);
    assert_eq!(values(linear.weight.val()), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    assert_eq!(values(linear.bias.unwrap().val()), [7.0, 8.0]);
    reader.finish().unwrap();
}

#[test]
fn stacked_linears_lie_under_each_other() {
    let stored =
        [Stored::f32("a.weight", &[1, 2], &[1.0, 2.0]), Stored::bf16("b.weight", &[2, 2], &[3.0, 4.0, 5.0, 6.0])];
    let reader = reader(&stored, DType::F32);
    let stack = reader.linear_stack(&[("a", 1), ("b", 2)], 2);
    let expected = TensorData::from([[1.0_f32, 3.0, 5.0], [2.0, 4.0, 6.0]]);
    stack.weight.val().into_data().assert_approx_eq::<f32>(&expected, Tolerance::absolute(0.0));
    assert_eq!(reader.finish().unwrap().tensors_used, 2);
}

#[test]
fn scalars_have_rank_zero() {
    let reader = reader(&[Stored::f32("logit_scale", &[], &[2.5]), Stored::f32("v", &[1], &[1.0])], DType::BF16);
    assert_eq!(reader.scalar("logit_scale"), Some(2.5));
    assert_eq!(reader.scalar("v"), None);
    assert_eq!(weights_error(&reader).wrong_shape[0].name, "v");
}

#[test]
fn renaming_reports_clashes_and_scopes_apply_to_names() {
    let renamed = reader(&[Stored::f32("model.a.w", &[1], &[1.0]), Stored::f32("a.w", &[1], &[2.0])], DType::F32);
    renamed.rename(|name| name.strip_prefix("model.").unwrap_or(name).to_owned());
    assert_eq!(renamed.at("a").names(), ["w"]);
    renamed.at("a").vector("w", 1);
    assert_eq!(weights_error(&renamed).unusable.len(), 1);
    let scoped = reader(&[Stored::f32("a.b.w", &[1], &[1.0])], DType::F32);
    let scope = scoped.at("a").at("b");
    assert!(scope.has("w") && !scoped.has("w"));
    assert_eq!(scope.shape("w"), Some(vec![1]));
}

#[test]
fn a_tensor_in_two_shards_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let files =
        ["1.safetensors", "2.safetensors"].map(|name| write_file(dir.path(), name, &[Stored::f32("w", &[1], &[0.0])]));
    let error = TensorReader::open("vae", &files, &Device::flex(), DType::F32).err().unwrap().to_string();
    assert!(error.contains("`w`") && error.contains("2.safetensors"), "{error}");
}

#[test]
fn an_empty_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    std::fs::write(&path, b"").unwrap();
    assert!(TensorReader::open("vae", &[&path], &Device::flex(), DType::F32).is_err());
}

#[test]
fn patterns() {
    for (pattern, name, fits) in [
        ("a.b", "a.b", true),
        ("a.b", "a.bc", false),
        ("a.*", "a.b.c", true),
        ("*", "", true),
        ("a.*.w", "a.b.w", true),
        ("a.*.w", "a.w", false),
        ("*.x.*.y", "1.x.2.y", true),
        ("a*a", "a", false),
    ] {
        assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
    }
}

#[test]
fn a_part_has_the_same_names_in_every_layout() {
    for prefix in ["whole.part.", "part.", ""] {
        let stored = [
            Stored::f32(&format!("{prefix}norm.w"), &[1], &[1.0]),
            Stored::f32("other.w", &[1], &[1.0]),
            Stored::f32("scale", &[1], &[1.0]),
        ];
        let reader = reader(&stored, DType::F32);
        reader.read_part(&["whole.part.", "part."], &["other.*", "scale"]);
        assert_eq!(values(reader.vector("norm.w", 1)), [1.0]);
        assert_eq!(reader.finish().unwrap().tolerated, ["other.w", "scale"], "{prefix}");
    }
}
