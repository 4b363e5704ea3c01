//! Small safetensors files, and host memory for copies, for tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use burn::tensor::{Bytes, DType, bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::{HostAllocator, HostValues, NoHostMemory};

/// Memory of the heap, as much as `room`. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct HeapAllocator {
    stored: Arc<AtomicU64>,
    room: u64,
}

impl Default for HeapAllocator {
    fn default() -> Self {
        Self::with_room(u64::MAX)
    }
}

impl HeapAllocator {
    pub(crate) fn with_room(room: u64) -> Self {
        Self { stored: Arc::default(), room }
    }

    /// Bytes of all allocations so far, freed ones included.
    pub(crate) fn bytes(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }
}

impl HostAllocator for HeapAllocator {
    fn store(
        &self,
        elements: usize,
        dtype: DType,
        fill: &mut dyn FnMut(HostValues<'_>),
    ) -> Result<Bytes, NoHostMemory> {
        let bytes = elements * dtype.size();
        if self.bytes() + bytes as u64 > self.room {
            return Err(NoHostMemory { bytes, reason: "the test allows no more".to_owned() });
        }
        self.stored.fetch_add(bytes as u64, Ordering::Relaxed);
        let stored = if dtype == DType::BF16 {
            let mut values = vec![bf16::ZERO; elements];
            fill(HostValues::Bf16(&mut values));
            Bytes::from_elems(values)
        } else {
            let mut values = vec![0.0; elements];
            fill(HostValues::F32(&mut values));
            Bytes::from_elems(values)
        };
        Ok(stored.shared())
    }
}

/// A tensor to write.
pub(crate) struct Stored {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    pub(crate) fn f32(name: &str, shape: &[usize], values: &[f32]) -> Self {
        Self::of(name, Dtype::F32, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    pub(crate) fn bf16(name: &str, shape: &[usize], values: &[f32]) -> Self {
        Self::of(name, Dtype::BF16, shape, values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect())
    }

    pub(crate) fn f16(name: &str, shape: &[usize], values: &[f32]) -> Self {
        Self::of(name, Dtype::F16, shape, values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect())
    }

    pub(crate) fn f64(name: &str, shape: &[usize], values: &[f64]) -> Self {
        Self::of(name, Dtype::F64, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// Any type.
    pub(crate) fn of(name: &str, dtype: Dtype, shape: &[usize], bytes: Vec<u8>) -> Self {
        Self { name: name.to_owned(), dtype, shape: shape.to_vec(), bytes }
    }
}

/// Writes a safetensors file with these tensors and returns its path.
pub(crate) fn write_file(dir: &Path, name: &str, tensors: &[Stored]) -> PathBuf {
    let path = dir.join(name);
    let views = tensors.iter().map(|tensor| {
        let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes).unwrap();
        (tensor.name.clone(), view)
    });
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    path
}
