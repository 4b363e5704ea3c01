//! A copy of a checkpoint's weights in host memory, in the form in which they are uploaded: a network that is loaded again
//! from here reads no weight file.
//!
//! The first loading fills the copy while it uploads. Later ones upload the same bytes, so their weights are equal to those
//! from the files.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::{Bytes, DType, TensorData, bf16};

use super::decode::{decode, fill_bf16, fill_f32};
use super::{SafetensorsFile, TensorEntry};

/// Allocates the host memory of a [`HostCopy`]: page-locked memory for a GPU.
pub trait HostAllocator: Send + Sync {
    /// Allocates memory for `elements` elements of `dtype`, `BF16` or `F32`, and has `fill` write all of them once. Clones of
    /// the result share the memory.
    ///
    /// # Errors
    ///
    /// The host does not have enough memory.
    fn store(&self, elements: usize, dtype: DType, fill: &mut dyn FnMut(HostValues<'_>))
    -> Result<Bytes, NoHostMemory>;
}

/// The host has no memory for a copy of a weight.
#[derive(Debug, thiserror::Error)]
#[error("no host memory for a copy of {bytes} bytes: {reason}")]
pub struct NoHostMemory {
    /// The requested size in bytes.
    pub bytes: usize,
    /// The system's message.
    pub reason: String,
}

/// The memory of one tensor, to be filled.
pub enum HostValues<'a> {
    /// Values of a tensor in bf16, row by row.
    Bf16(&'a mut [bf16]),
    /// Values of a tensor in f32, row by row.
    F32(&'a mut [f32]),
}

/// One tensor as it is uploaded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TensorKey {
    /// The file in which it begins.
    file: PathBuf,
    /// The byte of the file at which it begins.
    begin: usize,
    /// Its elements, which may be those of several tensors of the files.
    elements: usize,
    /// Whether they are uploaded in bf16, else in f32.
    is_bf16: bool,
}

/// The weights of one checkpoint in host memory, in the type in which they are uploaded.
pub struct HostCopy {
    allocator: Box<dyn HostAllocator>,
    tensors: Mutex<Tensors>,
}

#[derive(Default)]
struct Tensors {
    by_key: BTreeMap<TensorKey, Bytes>,
    bytes: u64,
    /// The host has no more memory: further tensors are read from the files at every loading.
    is_full: bool,
}

impl fmt::Debug for HostCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostCopy").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

impl HostCopy {
    /// An empty copy.
    pub fn new(allocator: Box<dyn HostAllocator>) -> Self {
        Self { allocator, tensors: Mutex::default() }
    }

    /// Bytes of host memory that the copy takes.
    pub fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// Drops all tensors. Their memory is freed when the uploads from it have ended.
    pub fn clear(&self) {
        *self.lock() = Tensors::default();
    }

    /// Tensors, one after the other, as one host buffer of type `dtype` (`BF16` or `F32`), from the copy. A tensor that it
    /// does not have is read from its file and added.
    pub(super) fn read<const D: usize>(
        &self,
        parts: &[(&SafetensorsFile, &TensorEntry)],
        shape: [usize; D],
        dtype: DType,
    ) -> TensorData {
        let elements = shape.iter().product();
        let Some((file, entry)) = parts.first().filter(|_| elements > 0) else { return decode(parts, shape, dtype) };
        let is_bf16 = dtype == DType::BF16;
        let key = TensorKey { file: file.path().to_owned(), begin: entry.range.start, elements, is_bf16 };
        if let Some(bytes) = self.lock().by_key.get(&key) {
            return TensorData::from_bytes(bytes.clone(), shape, dtype);
        }
        match self.add(key, parts, dtype) {
            Some(bytes) => TensorData::from_bytes(bytes, shape, dtype),
            None => decode(parts, shape, dtype),
        }
    }

    /// Reads a tensor from its files into the copy; `None` if the host has no memory for it.
    fn add(&self, key: TensorKey, parts: &[(&SafetensorsFile, &TensorEntry)], dtype: DType) -> Option<Bytes> {
        if self.lock().is_full {
            return None;
        }
        let stored = self.allocator.store(key.elements, dtype, &mut |values| match values {
            HostValues::Bf16(values) => fill_bf16(parts, values),
            HostValues::F32(values) => fill_f32(parts, values),
        });
        let mut tensors = self.lock();
        match stored {
            Ok(bytes) => {
                tensors.bytes += bytes.len() as u64;
                tensors.by_key.insert(key, bytes.clone());
                Some(bytes)
            }
            Err(error) => {
                tensors.is_full = true;
                tracing::warn!(%error, copied_bytes = tensors.bytes, "weights beyond these are read from the files each time");
                None
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tensors> {
        self.tensors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;

    use burn::tensor::{Device, Tensor};
    use sakuga_model_core::LoraChoice;

    use super::*;
    use crate::checkpoint::adapters::{LoraSet, Selection};
    use crate::checkpoint::testing::{HeapAllocator, Stored, write_file};
    use crate::checkpoint::{LoadReport, TensorReader, WeightSource};

    const QKV: &str = "layers.0.attention.qkv";
    const OUT: &str = "layers.0.attention.out";
    const UP: &str = "layers.0.feed_forward.w1";

    fn checkpoint(folder: &Path) -> PathBuf {
        let stored = [
            Stored::bf16(&format!("{QKV}.weight"), &[2, 2], &[1.0, 2.0, 3.0, 4.0]),
            Stored::f16(&format!("{OUT}.weight"), &[1, 2], &[5.0, 6.0]),
            Stored::f32(&format!("{UP}.weight"), &[2, 2], &[7.0, 8.0, 9.0, 10.0]),
            Stored::f64("norm.weight", &[2], &[0.1, 0.2]),
            Stored::f64("empty", &[0], &[]),
        ];
        write_file(folder, "model.safetensors", &stored)
    }

    /// An adapter for two modules.
    fn adapter(folder: &Path) -> LoraChoice {
        let factors = [QKV, UP].map(|module| {
            let key = |end: &str| format!("base_model.model.{module}.{end}.weight");
            [Stored::f32(&key("lora_A"), &[1, 2], &[1.0, 10.0]), Stored::f32(&key("lora_B"), &[2, 1], &[1.0, 2.0])]
        });
        let factors: Vec<Stored> = factors.into_iter().flatten().collect();
        write_file(folder, "adapter_model.safetensors", &factors);
        fs::write(folder.join("adapter_config.json"), r#"{"r": 1, "lora_alpha": 1}"#).expect("writable");
        LoraChoice { path: folder.to_owned(), strength: 1.0 }
    }

    /// Uploads of a reader: a matrix, a vector in f32, two matrices as one, and nothing.
    fn read(file: &Path, weights: WeightSource, loras: &[LoraChoice]) -> (Vec<f32>, LoadReport) {
        let reader = TensorReader::open("transformer", &[file], &Device::flex(), DType::BF16).expect("readable");
        reader.read_from(weights);
        if !loras.is_empty() {
            reader.merge(LoraSet::open(loras, Selection::DENOISER).expect("readable")).expect("it fits");
        }
        let tensors = [
            reader.tensor::<2>(&format!("{QKV}.weight"), [2, 2]).reshape([4]),
            reader.tensor_as("norm.weight", [2], DType::F32),
            reader.linear_stack(&[(UP, 2), (OUT, 1)], 2).weight.val().transpose().reshape([6]),
            reader.vector("empty", 0),
        ];
        let report = reader.finish().expect("nothing is missing");
        let values = |tensor: Tensor<1>| tensor.cast(DType::F32).try_into_vec_as::<f32>().expect("values");
        (tensors.into_iter().flat_map(values).collect(), report)
    }

    #[test]
    fn a_copy_is_filled_once_and_equals_the_files() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = checkpoint(folder.path());
        let adapters = tempfile::tempdir().expect("a temporary folder");
        for loras in [vec![], vec![adapter(adapters.path())]] {
            let (from_files, _) = read(&file, WeightSource::Files, &loras);
            let (_, described) = read(&file, WeightSource::Headers, &loras);
            let allocator = HeapAllocator::default();
            let copy = Arc::new(HostCopy::new(Box::new(allocator.clone())));
            for _ in 0..2 {
                let (from_copy, report) = read(&file, WeightSource::HostCopy(copy.clone()), &loras);
                assert_eq!(from_copy, from_files);
                assert_eq!(allocator.bytes(), copy.bytes(), "each tensor is filled once");
                assert_eq!((report.upload_bytes, described.upload_bytes), (copy.bytes(), copy.bytes()));
            }
            copy.clear();
            assert_eq!(copy.bytes(), 0);
        }
    }

    #[test]
    fn what_the_host_cannot_hold_is_read_from_the_files() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = checkpoint(folder.path());
        let (from_files, _) = read(&file, WeightSource::Files, &[]);
        // The matrix of 8 bytes fits; the vector, as long in f32, does not.
        let copy = Arc::new(HostCopy::new(Box::new(HeapAllocator::with_room(12))));
        for _ in 0..2 {
            assert_eq!(read(&file, WeightSource::HostCopy(copy.clone()), &[]).0, from_files);
            assert_eq!(copy.bytes(), 8);
        }
    }
}
