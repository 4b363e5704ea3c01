//! Reads the tensors of a component by name in the working type, and tracks which were read, missing or unused.

mod parts;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{DType, Device, Tensor};

use super::decode::{READABLE, decode};
use super::host_copy::HostCopy;
use super::{LoadReport, SafetensorsFile, TensorEntry};
use crate::checkpoint::adapters::{AdaptableTensors, Alias, LoraSet};
use crate::error::{LoadError, WeightsError, WrongShape};

/// A component's tensors, scoped to a name prefix. Clones share the files and the record of what was read.
///
/// A tensor that is missing or of the wrong shape is recorded and replaced by zeros that take no memory, so that one
/// pass finds every fault. Call [`TensorReader::finish`] before the network is used.
#[derive(Clone)]
pub struct TensorReader {
    shared: Rc<RefCell<Shared>>,
    prefix: String,
}

/// Where the values of tensors come from.
#[derive(Clone, Debug, Default)]
pub enum WeightSource {
    /// The checkpoint's files.
    #[default]
    Files,
    /// No values are read, only headers are checked. Every tensor is a placeholder that takes no memory, and the
    /// networks must not compute.
    Headers,
    /// A copy in host memory. What it does not have is read from the files into it.
    HostCopy(Arc<HostCopy>),
}

struct Shared {
    component: String,
    files: Vec<SafetensorsFile>,
    /// By the name that the network uses.
    tensors: BTreeMap<String, Located>,
    device: Device,
    dtype: DType,
    weights: WeightSource,
    adapters: Option<LoraSet>,
    used: BTreeSet<String>,
    tolerated: Vec<String>,
    faults: WeightsError,
    report: LoadReport,
    upload_bytes: Cell<u64>,
}

struct Located {
    file: usize,
    entry: TensorEntry,
}

impl TensorReader {
    /// Maps the files of a component. Tensors will be put on `device` in `dtype`, which is `F32` or `BF16`.
    ///
    /// # Errors
    /// When a file cannot be read, is damaged, or two files have a tensor of the same name.
    pub fn open<P: AsRef<Path>>(
        component: &str,
        files: &[P],
        device: &Device,
        dtype: DType,
    ) -> Result<Self, LoadError> {
        let files = files.iter().map(|path| SafetensorsFile::open(path.as_ref())).collect::<Result<Vec<_>, _>>()?;
        let mut tensors = BTreeMap::new();
        for (index, file) in files.iter().enumerate() {
            for (name, entry) in file.entries() {
                if tensors.insert(name.clone(), Located { file: index, entry: entry.clone() }).is_some() {
                    let reason = format!("tensor `{name}` is in another shard too; keep one of them");
                    return Err(LoadError::Safetensors { path: file.path().to_owned(), reason });
                }
            }
        }
        let shared = Shared {
            component: component.to_owned(),
            files,
            tensors,
            device: device.clone(),
            dtype,
            weights: WeightSource::Files,
            adapters: None,
            used: BTreeSet::new(),
            tolerated: Vec::new(),
            faults: WeightsError::default(),
            report: LoadReport::default(),
            upload_bytes: Cell::new(0),
        };
        Ok(Self { shared: Rc::new(RefCell::new(shared)), prefix: String::new() })
    }

    /// Reads the values of tensors from elsewhere than the files. Call it before the first read.
    pub fn read_from(&self, weights: WeightSource) {
        self.shared.borrow_mut().weights = weights;
    }

    /// Whether only headers are read, and every tensor is a placeholder.
    pub fn is_header_only(&self) -> bool {
        matches!(self.shared.borrow().weights, WeightSource::Headers)
    }

    /// Renames every tensor: `canonical` maps a name in the files to the network's name, and may return it unchanged.
    /// Call it before the first read.
    pub fn rename(&self, canonical: impl Fn(&str) -> String) {
        let mut shared = self.shared.borrow_mut();
        let mut clashes = Vec::new();
        let mut renamed = BTreeMap::new();
        for (name, located) in std::mem::take(&mut shared.tensors) {
            match renamed.entry(canonical(&name)) {
                Entry::Vacant(slot) => {
                    slot.insert(located);
                }
                Entry::Occupied(slot) => {
                    clashes.push((name, format!("another tensor of the checkpoint also stands for `{}`", slot.key())));
                }
            }
        }
        shared.tensors = renamed;
        shared.faults.unusable.extend(clashes);
    }

    /// Reads a part of a larger checkpoint: removes the first matching one of `prefixes`, longest first, from every
    /// name, and allows the `tolerated` tensors to be unused. Call it before the first read.
    pub fn read_part(&self, prefixes: &[&str], tolerated: &[&str]) {
        self.rename(|name| prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name).to_owned());
        tolerated.iter().for_each(|pattern| self.tolerate(pattern));
    }

    /// Merges adapters into the weights as they are read. Call it after [`TensorReader::rename`] and before the first
    /// read.
    ///
    /// # Errors
    /// Lists every key of an adapter that names no module of this component.
    pub fn merge(&self, adapters: LoraSet) -> Result<(), LoadError> {
        self.merge_named(adapters, &|_| Vec::new())
    }

    /// As [`TensorReader::merge`], for modules that adapters may call by further names.
    ///
    /// # Errors
    /// As [`TensorReader::merge`].
    pub fn merge_named(&self, adapters: LoraSet, names: &dyn Fn(&str) -> Vec<Alias>) -> Result<(), LoadError> {
        self.merge_into(adapters, &self.adaptable(names))
    }

    /// As [`TensorReader::merge_named`], into the tensors that [`adaptable`](Self::adaptable) returned.
    ///
    /// # Errors
    /// As [`TensorReader::merge`].
    pub fn merge_into(&self, adapters: LoraSet, tensors: &AdaptableTensors) -> Result<(), LoadError> {
        self.shared.borrow_mut().adapters = Some(adapters.resolve(tensors)?);
        Ok(())
    }

    /// The names and shapes of all tensors under this prefix, which they keep, for adapters that are applied later. `names` gives
    /// further names of a module. Call it after [`TensorReader::rename`].
    pub fn adaptable(&self, names: &dyn Fn(&str) -> Vec<Alias>) -> AdaptableTensors {
        let shared = self.shared.borrow();
        let tensors = shared.tensors.iter().filter(|(name, _)| name.starts_with(&self.prefix));
        let shapes = tensors.map(|(name, at)| (name.clone(), at.entry.shape.clone())).collect();
        AdaptableTensors::new(shapes, names)
    }

    /// The same reader with `prefix` and a dot before every name.
    pub fn at(&self, prefix: impl AsRef<str>) -> Self {
        Self { shared: self.shared.clone(), prefix: format!("{}{}.", self.prefix, prefix.as_ref()) }
    }

    /// The device that tensors are put on.
    pub fn device(&self) -> Device {
        self.shared.borrow().device.clone()
    }

    /// The working type of tensors.
    pub fn dtype(&self) -> DType {
        self.shared.borrow().dtype
    }

    /// Paths of the open files, whether or not a tensor of theirs was read.
    pub fn files(&self) -> Vec<PathBuf> {
        self.shared.borrow().files.iter().map(|file| file.path().to_owned()).collect()
    }

    /// All names under this prefix, without it.
    pub fn names(&self) -> Vec<String> {
        let shared = self.shared.borrow();
        shared.tensors.keys().filter_map(|name| name.strip_prefix(&self.prefix)).map(str::to_owned).collect()
    }

    /// Whether the tensor exists.
    pub fn has(&self, name: &str) -> bool {
        self.shared.borrow().tensors.contains_key(&self.full(name))
    }

    /// The shape of a tensor, if it exists.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.shared.borrow().tensors.get(&self.full(name)).map(|located| located.entry.shape.clone())
    }

    /// Allows tensors to be unused. `*` matches any text; the prefix applies.
    pub fn tolerate(&self, pattern: &str) {
        let pattern = self.full(pattern);
        self.shared.borrow_mut().tolerated.push(pattern);
    }

    /// A tensor in the working type. Use `shape` `[]` for a scalar through [`TensorReader::scalar`].
    pub fn tensor<const D: usize>(&self, name: &str, shape: [usize; D]) -> Tensor<D> {
        let dtype = self.dtype();
        self.tensor_as(name, shape, dtype)
    }

    /// A tensor in another type than the working one.
    pub fn tensor_as<const D: usize>(&self, name: &str, shape: [usize; D], dtype: DType) -> Tensor<D> {
        let name = self.full(name);
        let mut shared = self.shared.borrow_mut();
        shared.read(&name, shape, dtype).unwrap_or_else(|| placeholder(shape, &shared.device, dtype))
    }

    /// A vector: a norm's weight or a bias.
    pub fn vector(&self, name: &str, len: usize) -> Tensor<1> {
        self.tensor(name, [len])
    }

    /// A linear layer. Its weight is stored as `[d_output, d_input]` and used through a transposed view.
    pub fn linear(&self, name: &str, d_input: usize, d_output: usize, bias: bool) -> Linear {
        let scope = self.at(name);
        let weight = scope.tensor("weight", [d_output, d_input]);
        linear_of(weight, bias.then(|| scope.vector("bias", d_output)))
    }

    /// Several bias-free linears with the same input as one: their rows concatenated in this order.
    pub fn linear_stack(&self, parts: &[(&str, usize)], d_input: usize) -> Linear {
        let dtype = self.dtype();
        let names: Vec<String> = parts.iter().map(|(name, _)| self.full(&format!("{name}.weight"))).collect();
        let mut shared = self.shared.borrow_mut();
        let patched = names.iter().any(|name| shared.is_patched(name));
        let found: Vec<Option<Located>> =
            names.iter().zip(parts).map(|(name, &(_, d_output))| shared.locate(name, &[d_output, d_input])).collect();
        let rows = parts.iter().map(|(_, d_output)| d_output).sum();
        let weight = match found.into_iter().collect::<Option<Vec<_>>>() {
            None => placeholder([rows, d_input], &shared.device, dtype),
            Some(_) if patched => {
                let weights = names.iter().zip(parts).map(|(name, &(_, d_output))| {
                    shared
                        .load(name, [d_output, d_input], dtype)
                        .unwrap_or_else(|| placeholder([d_output, d_input], &shared.device, dtype))
                });
                let weights: Vec<Tensor<2>> = weights.collect();
                match shared.weights {
                    WeightSource::Headers => placeholder([rows, d_input], &shared.device, dtype),
                    WeightSource::Files | WeightSource::HostCopy(_) => Tensor::cat(weights, 0),
                }
            }
            // One buffer for all: reading them one by one and concatenating would take twice the memory.
            Some(found) => shared.upload(&found, [rows, d_input], dtype),
        };
        linear_of(weight, None)
    }

    /// A scalar (rank 0 in the file).
    pub fn scalar(&self, name: &str) -> Option<f32> {
        let name = self.full(name);
        let mut shared = self.shared.borrow_mut();
        let Located { file, entry } = shared.locate(&name, &[])?;
        let data = decode(&[(&shared.files[file], &entry)], [1], DType::F32);
        data.as_slice::<f32>().ok().and_then(|values| values.first().copied())
    }

    /// Reports how much was loaded, or everything that was wrong.
    ///
    /// # Errors
    /// [`LoadError::Weights`] with every missing, unexpected, misshapen and unusable tensor.
    pub fn finish(&self) -> Result<LoadReport, LoadError> {
        let shared = self.shared.borrow();
        let mut faults = shared.faults.clone();
        faults.component = shared.component.clone();
        faults.files = shared.files.iter().map(|file| file.path().to_owned()).collect();
        let mut report = shared.report.clone();
        report.component = shared.component.clone();
        report.upload_bytes = shared.upload_bytes.get();
        for name in shared.tensors.keys().filter(|name| !shared.used.contains(*name)) {
            if shared.tolerated.iter().any(|pattern| matches(pattern, name)) {
                report.tolerated.push(name.clone());
            } else {
                faults.unexpected.push(name.clone());
            }
        }
        if !faults.is_empty() {
            return Err(Box::new(faults).into());
        }
        report.lora = shared.adapters.as_ref().map(LoraSet::report).unwrap_or_default();
        tracing::debug!(
            component = report.component,
            tensors = report.tensors_used,
            parameters = report.parameters,
            bytes = report.bytes,
            tolerated = report.tolerated.len(),
            "weights loaded"
        );
        Ok(report)
    }

    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

impl Shared {
    fn is_patched(&self, name: &str) -> bool {
        self.adapters.as_ref().is_some_and(|adapters| adapters.patches(name))
    }

    /// Reads and patches a tensor; records the fault and returns `None` if it cannot be read.
    fn read<const D: usize>(&mut self, name: &str, shape: [usize; D], dtype: DType) -> Option<Tensor<D>> {
        self.locate(name, &shape)?;
        self.load(name, shape, dtype)
    }

    /// Finds a tensor and checks shape and type, recording a fault; counts it as used.
    fn locate(&mut self, name: &str, shape: &[usize]) -> Option<Located> {
        let Some(Located { file, entry }) = self.tensors.get(name) else {
            self.faults.missing.push((name.to_owned(), shape.to_vec()));
            return None;
        };
        let first_use = self.used.insert(name.to_owned());
        if entry.shape != shape {
            self.faults.wrong_shape.push(WrongShape {
                name: name.to_owned(),
                expected: shape.to_vec(),
                found: entry.shape.clone(),
            });
            return None;
        }
        if !READABLE.contains(&entry.dtype) {
            let names = READABLE.map(|dtype| dtype.to_string()).join(", ");
            let reason = format!("its type {} is not one of {names}; convert the checkpoint", entry.dtype);
            self.faults.unusable.push((name.to_owned(), reason));
            return None;
        }
        if first_use {
            let elements: usize = entry.shape.iter().product();
            self.report.tensors_used += 1;
            self.report.parameters += elements as u64;
            self.report.bytes += (elements * self.dtype.size()) as u64;
            *self.report.dtypes.entry(entry.dtype.to_string()).or_default() += 1;
        }
        Some(Located { file: *file, entry: entry.clone() })
    }

    /// Uploads a tensor that was located, with its patches.
    fn load<const D: usize>(&self, name: &str, shape: [usize; D], dtype: DType) -> Option<Tensor<D>> {
        let Located { file, entry } = self.tensors.get(name)?;
        let located = Located { file: *file, entry: entry.clone() };
        if !self.is_patched(name) {
            return Some(self.upload(&[located], shape, dtype));
        }
        // Adapters are added in f32 and the sum rounded once: adding them in bf16 would lose small updates.
        let base = self.upload(&[located], shape, DType::F32);
        if matches!(self.weights, WeightSource::Headers) {
            return Some(placeholder(shape, &self.device, dtype));
        }
        Some(self.adapters.as_ref()?.apply(name, base).cast(dtype))
    }

    /// Puts tensors, one after the other, onto the device as one.
    fn upload<const D: usize>(&self, parts: &[Located], shape: [usize; D], dtype: DType) -> Tensor<D> {
        let parts: Vec<_> = parts.iter().map(|part| (&self.files[part.file], &part.entry)).collect();
        let bytes = shape.iter().product::<usize>() * dtype.size();
        self.upload_bytes.set(self.upload_bytes.get() + bytes as u64);
        let data = match &self.weights {
            WeightSource::Files => decode(&parts, shape, dtype),
            WeightSource::Headers => return placeholder(shape, &self.device, dtype),
            WeightSource::HostCopy(copy) => copy.read(&parts, shape, dtype),
        };
        // Weights are permanent and get memory of exactly their size. Mixed with temporary tensors they would fragment
        // the memory of a GPU: 1.3 GiB in the published model.
        let device = &self.device;
        device.memory_persistent_allocations(data, |data| Tensor::from_data(data, (device, dtype)))
    }
}

/// A linear layer from a weight as it is stored, `[d_output, d_input]`.
pub(crate) fn linear_of(weight: Tensor<2>, bias: Option<Tensor<1>>) -> Linear {
    Linear { weight: Param::from_tensor(weight.transpose()), bias: bias.map(Param::from_tensor) }
}

/// Zeros of any shape with the memory of one element: an invalid configuration may ask for any size, and they are never
/// computed with.
fn placeholder<const D: usize>(shape: [usize; D], device: &Device, dtype: DType) -> Tensor<D> {
    if shape.contains(&0) {
        return Tensor::zeros(shape, (device, dtype));
    }
    Tensor::<D>::zeros([1; D], (device, dtype)).expand(shape)
}

/// Whether `name` matches `pattern`, in which `*` matches any text.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, mut pattern)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut rest) = name.strip_prefix(head) else { return false };
    while let Some((part, tail)) = pattern.split_once('*') {
        let Some((_, after)) = rest.split_once(part) else { return false };
        (rest, pattern) = (after, tail);
    }
    rest.ends_with(pattern)
}

#[cfg(test)]
mod tests;
