//! Writing small safetensors files for tests.

use std::path::{Path, PathBuf};

use burn::tensor::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

/// A tensor to write.
pub(crate) struct Stored {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    /// In f32.
    pub(crate) fn f32(name: &str, shape: &[usize], values: &[f32]) -> Self {
        Self::of(name, Dtype::F32, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// In bf16.
    pub(crate) fn bf16(name: &str, shape: &[usize], values: &[f32]) -> Self {
        Self::of(name, Dtype::BF16, shape, values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect())
    }

    /// In f16.
    pub(crate) fn f16(name: &str, shape: &[usize], values: &[f32]) -> Self {
        Self::of(name, Dtype::F16, shape, values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect())
    }

    /// In f64.
    pub(crate) fn f64(name: &str, shape: &[usize], values: &[f64]) -> Self {
        Self::of(name, Dtype::F64, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// Any type.
    pub(crate) fn of(name: &str, dtype: Dtype, shape: &[usize], bytes: Vec<u8>) -> Self {
        Self { name: name.to_owned(), dtype, shape: shape.to_vec(), bytes }
    }
}

/// Writes tensors to `dir/name`.
pub(crate) fn write_file(dir: &Path, name: &str, tensors: &[Stored]) -> PathBuf {
    let path = dir.join(name);
    let views = tensors.iter().map(|tensor| {
        let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes).unwrap();
        (tensor.name.clone(), view)
    });
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    path
}
