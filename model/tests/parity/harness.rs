//! Finding fixture sets, reading their tensors, comparing, and reporting every difference with case, tensor and error.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors};
use sakuga_model::checkpoint::{LoadReport, TensorReader, weight_files};
use sakuga_model::device::{self, OpenDevice};
use sakuga_model::tokens::TokenBatch;
use sakuga_model_core::{DeviceChoice, Precision};
use serde_json::Value;

use crate::PLACES;

/// The device of all comparisons: the CPU, or what `SAKUGA_DEVICE` names (`cuda:0`, in a build with that feature). The
/// tolerances are for f32.
pub(crate) fn open_device() -> OpenDevice {
    let spec = std::env::var("SAKUGA_DEVICE").map_or(DeviceChoice::Cpu, |name| name.parse().expect("SAKUGA_DEVICE"));
    device::open(spec, Some(Precision::F32)).unwrap_or_else(|error| panic!("SAKUGA_DEVICE: {error}"))
}

/// burn's handle of [`open_device`].
pub(crate) fn device() -> Device {
    open_device().device
}

/// Writes past the test harness' capture, so that a skipped test is seen to be skipped.
pub(crate) fn say(message: &str) {
    let _ = writeln!(std::io::stderr(), "parity: {message}");
}

/// Where the fixture sets of a test program are.
pub(crate) struct Places {
    /// The environment variable that names a set.
    pub variable: &'static str,
    /// The set to use without it, seen from this crate.
    pub shared: &'static str,
    /// A set in this crate, which is used besides.
    pub own: Option<&'static str>,
}

/// Runs `check` on the part `name` of every fixture set that has it, and fails with all differences.
pub(crate) fn for_each_set(name: &str, check: impl Fn(&mut Part)) {
    let sets = sets();
    if sets.is_empty() {
        let variable = PLACES.variable;
        say(&format!("{name} skipped: no fixture set (set {variable} to a directory with a manifest.json)"));
    }
    let mut failures = Vec::new();
    for set in sets {
        if !set.join(name).join("cases.json").is_file() {
            say(&format!("{name} skipped for {}: the set does not have this part", set.display()));
            continue;
        }
        let mut part = Part::open(&set, name);
        check(&mut part);
        failures.extend(part.finish());
    }
    assert!(failures.is_empty(), "{} difference(s):\n  {}", failures.len(), failures.join("\n  "));
}

/// Directories of the existing fixture sets.
pub(crate) fn sets() -> Vec<PathBuf> {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Places { variable, shared, own } = PLACES;
    let mut sets: Vec<PathBuf> = own.map(|own| crate_dir.join(own)).into_iter().collect();
    match std::env::var_os(variable) {
        Some(dir) => {
            let dir = PathBuf::from(dir);
            // Relative to where cargo was called, which is not the directory that tests run in.
            let dir = if dir.is_dir() { dir } else { crate_dir.join("..").join(dir) };
            assert!(dir.join("manifest.json").is_file(), "{variable}: {} has no manifest.json", dir.display());
            sets.push(dir);
        }
        None => sets.push(crate_dir.join(shared)),
    }
    sets.retain(|set| set.join("manifest.json").is_file());
    sets
}

/// The allowed difference from the reference; absent limits do not apply.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tolerance {
    pub max_abs: Option<f64>,
    pub rel_l2: Option<f64>,
}

/// All tensors of a safetensors file, by name.
pub(crate) struct Tensors {
    path: PathBuf,
    entries: BTreeMap<String, (Vec<usize>, Dtype, Vec<u8>)>,
    touched: RefCell<BTreeSet<String>>,
}

impl Tensors {
    /// Reads a file.
    pub(crate) fn open(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = SafeTensors::deserialize(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let entries = file
            .tensors()
            .into_iter()
            .map(|(name, view)| (name, (view.shape().to_vec(), view.dtype(), view.data().to_vec())))
            .collect();
        Self { path: path.to_owned(), entries, touched: RefCell::default() }
    }

    /// Whether there is a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    /// Names that were neither read nor compared.
    pub(crate) fn untouched(&self) -> Vec<String> {
        let touched = self.touched.borrow();
        self.entries.keys().filter(|name| !touched.contains(*name)).cloned().collect()
    }

    pub(crate) fn shape(&self, name: &str) -> Vec<usize> {
        self.entry(name).0.clone()
    }

    /// A floating-point tensor on the host.
    pub(crate) fn f32s(&self, name: &str) -> Vec<f32> {
        let (_, dtype, bytes) = self.entry(name);
        assert_eq!(*dtype, Dtype::F32, "type of {name}");
        bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    }

    /// An integer tensor on the host.
    pub(crate) fn i64s(&self, name: &str) -> Vec<i64> {
        let (_, dtype, bytes) = self.entry(name);
        assert_eq!(*dtype, Dtype::I64, "type of {name}");
        bytes.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect()
    }

    /// A tensor of floating-point or whole numbers on the host.
    pub(crate) fn numbers(&self, name: &str) -> Vec<f32> {
        if self.entry(name).1 == Dtype::I64 {
            return self.i64s(name).into_iter().map(|value| value as f32).collect();
        }
        self.f32s(name)
    }

    /// A byte tensor on the host.
    pub(crate) fn u8s(&self, name: &str) -> Vec<u8> {
        let (_, dtype, bytes) = self.entry(name);
        assert_eq!(*dtype, Dtype::U8, "type of {name}");
        bytes.clone()
    }

    /// A floating-point tensor on the device.
    pub(crate) fn tensor<const D: usize>(&self, name: &str) -> Tensor<D> {
        let shape: [usize; D] =
            self.shape(name).try_into().unwrap_or_else(|shape| panic!("{name} has the shape {shape:?}"));
        Tensor::from_data(TensorData::new(self.f32s(name), shape), (&device(), DType::F32))
    }

    fn entry(&self, name: &str) -> &(Vec<usize>, Dtype, Vec<u8>) {
        self.touched.borrow_mut().insert(name.to_owned());
        self.entries.get(name).unwrap_or_else(|| panic!("{} has no tensor {name}", self.path.display()))
    }
}

/// One part of a fixture set, and the results of its comparisons.
pub(crate) struct Part {
    /// The part's directory.
    pub dir: PathBuf,
    /// The directory of the whole set.
    pub set: PathBuf,
    /// The part's `cases.json`.
    pub description: Value,
    /// The part's `cases.safetensors`, empty where a part has none of that name.
    pub tensors: Tensors,
    name: String,
    tolerances: Value,
    failures: Vec<String>,
    compared: usize,
    worst: (f64, String),
}

impl Part {
    fn open(set: &Path, name: &str) -> Self {
        let dir = set.join(name);
        let manifest = json(&set.join("manifest.json"));
        let file = dir.join("cases.safetensors");
        let tensors = if file.is_file() {
            Tensors::open(&file)
        } else {
            Tensors { path: file, entries: BTreeMap::new(), touched: RefCell::default() }
        };
        Self {
            description: json(&dir.join("cases.json")),
            tensors,
            tolerances: manifest["components"][name]["tolerance_float32"].clone(),
            name: name.to_owned(),
            set: set.to_owned(),
            dir,
            failures: Vec::new(),
            compared: 0,
            worst: (0.0, "nothing".to_owned()),
        }
    }

    /// The cases, each with at least a `name`.
    pub(crate) fn cases(&self) -> Vec<Value> {
        self.description["cases"].as_array().cloned().unwrap_or_default()
    }

    /// The tolerance that the manifest gives under `kind`.
    pub(crate) fn tolerance(&self, kind: &str) -> Tolerance {
        self.tolerance_at(&format!("/{kind}"))
    }

    /// The tolerance that the manifest gives at this JSON pointer.
    pub(crate) fn tolerance_at(&self, pointer: &str) -> Tolerance {
        let limits = self.tolerances.pointer(pointer).cloned().unwrap_or_default();
        let tolerance = Tolerance { max_abs: limits["max_abs"].as_f64(), rel_l2: limits["rel_l2"].as_f64() };
        assert!(
            tolerance.max_abs.is_some() || tolerance.rel_l2.is_some(),
            "manifest.json has no tolerance_float32{pointer} for {}",
            self.name
        );
        tolerance
    }

    /// The number that the manifest gives at this JSON pointer of the part's tolerances.
    pub(crate) fn number(&self, pointer: &str) -> f64 {
        let value = self.tolerances.pointer(pointer).and_then(Value::as_f64);
        value.unwrap_or_else(|| panic!("manifest.json has no tolerance_float32{pointer} for {}", self.name))
    }

    /// Counts a comparison that a caller made itself.
    pub(crate) fn count(&mut self) {
        self.compared += 1;
    }

    /// Records a difference that is not numeric.
    pub(crate) fn fail(&mut self, message: String) {
        self.failures.push(format!("{}/{}: {message}", self.set.display(), self.name));
    }

    /// Compares a device tensor with the tensor `case.tensor` of the case file. With `rows`, one flag for each vector
    /// along the last axis, only flagged vectors count. `variant` says which layout was run, for the message.
    pub(crate) fn compare<const D: usize>(
        &mut self,
        variant: &str,
        case: &str,
        tensor: &str,
        found: Tensor<D>,
        rows: Option<&[bool]>,
        tolerance: Tolerance,
    ) {
        let name = format!("{case}.{tensor}");
        if !self.tensors.has(&name) {
            return;
        }
        let shape = self.tensors.shape(&name);
        if shape != found.dims() {
            let found = found.dims();
            self.fail(format!("{variant}: {name} has the shape {found:?}, the reference {shape:?}"));
            return;
        }
        let found = found.cast(DType::F32).into_data();
        let found = found.as_slice::<f32>().expect("f32 was asked for");
        let expected = self.tensors.f32s(&name);
        self.compare_values(&format!("{variant}: {name}"), found, &expected, rows, tolerance);
    }

    /// Compares values on the host.
    pub(crate) fn compare_values(
        &mut self,
        label: &str,
        found: &[f32],
        expected: &[f32],
        rows: Option<&[bool]>,
        tolerance: Tolerance,
    ) {
        self.compared += 1;
        if found.len() != expected.len() {
            self.fail(format!("{label} has {} values, the reference {}", found.len(), expected.len()));
            return;
        }
        let width = rows.map_or(1, |rows| expected.len() / rows.len().max(1)).max(1);
        let counts = |index: usize| rows.is_none_or(|rows| rows[index / width]);
        let (mut max_abs, mut at, mut difference, mut norm, mut finite) = (0.0_f64, 0, 0.0_f64, 0.0_f64, true);
        for (index, (&found, &expected)) in found.iter().zip(expected).enumerate().filter(|(index, _)| counts(*index)) {
            let error = (f64::from(found) - f64::from(expected)).abs();
            finite &= error.is_finite();
            if error > max_abs {
                (max_abs, at) = (error, index);
            }
            difference += error * error;
            norm += f64::from(expected).powi(2);
        }
        let rel_l2 = if norm > 0.0 { (difference / norm).sqrt() } else { difference.sqrt() };
        let share = [(max_abs, tolerance.max_abs), (rel_l2, tolerance.rel_l2)]
            .into_iter()
            .filter_map(|(error, limit)| Some(error / limit?))
            .fold(0.0, f64::max);
        if share > self.worst.0 {
            self.worst = (share, label.to_owned());
        }
        if !finite || share > 1.0 {
            self.fail(format!(
                "{label}: max_abs {max_abs:.3e} at {at} ({} against {}), rel_l2 {rel_l2:.3e}, allowed {tolerance:?}{}",
                found.get(at).copied().unwrap_or_default(),
                expected.get(at).copied().unwrap_or_default(),
                if finite { "" } else { ", and not every value is finite" }
            ));
        }
    }

    /// Compares pixels by the manifest's sentence under `kind`: a largest difference and a share in percent.
    pub(crate) fn compare_u8(&mut self, variant: &str, case: &str, tensor: &str, found: &[u8], kind: &str) {
        let name = format!("{case}.{tensor}");
        if !self.tensors.has(&name) {
            return;
        }
        self.compared += 1;
        let sentence = self.tolerances[kind].as_str().unwrap_or_default().to_owned();
        let numbers: Vec<f64> = sentence
            .split(|c: char| !c.is_ascii_digit() && c != '.')
            .filter_map(|number| number.trim_matches('.').parse().ok())
            .collect();
        let [largest, percent] = numbers[..] else {
            panic!("manifest.json: `{sentence}` does not give a largest difference and a percentage");
        };
        let expected = self.tensors.u8s(&name);
        if expected.len() != found.len() {
            self.fail(format!("{variant}: {name} has {} values, the reference {}", found.len(), expected.len()));
            return;
        }
        let differences: Vec<u8> = found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).collect();
        let worst = differences.iter().copied().max().unwrap_or(0);
        let share = 100.0 * differences.iter().filter(|&&d| d > 0).count() as f64 / differences.len().max(1) as f64;
        if f64::from(worst) > largest || share > percent {
            self.fail(format!(
                "{variant}: {name} differs by up to {worst} in {share:.3} % of the values, allowed: {sentence}"
            ));
        }
    }

    /// The weight files of the part, each set of them with the configuration to use: the part itself, every directory
    /// of `layouts/`, and every configuration of `layouts/` with the part's own weights.
    pub(crate) fn layouts(&self) -> Vec<Layout> {
        let own =
            Layout { name: "as published".into(), dir: self.dir.clone(), config: json(&self.dir.join("config.json")) };
        let mut layouts = vec![own.clone()];
        let mut entries: Vec<PathBuf> = fs::read_dir(self.dir.join("layouts"))
            .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
            .unwrap_or_default();
        entries.sort();
        for path in entries {
            let name = format!("layouts/{}", path.file_name().unwrap_or_default().to_string_lossy());
            if path.is_dir() {
                let config = path.join("config.json");
                let config = if config.is_file() { json(&config) } else { own.config.clone() };
                layouts.push(Layout { name, dir: path, config });
            } else if path.extension().is_some_and(|extension| extension == "json") {
                layouts.push(Layout { name, dir: self.dir.clone(), config: json(&path) });
            }
        }
        layouts
    }

    /// All differences, and outputs that were not compared.
    fn finish(mut self) -> Vec<String> {
        if self.compared == 0 {
            self.fail("nothing was compared".to_owned());
        }
        for name in self.tensors.untouched() {
            self.fail(format!("{name} is in the fixture but was neither used nor compared"));
        }
        say(&format!(
            "{} of {}: {} comparisons, {} failed, closest to its tolerance: {} ({:.1} % of it)",
            self.name,
            self.set.display(),
            self.compared,
            self.failures.len(),
            self.worst.1,
            100.0 * self.worst.0
        ));
        self.failures
    }
}

/// Weights and the configuration to read them with.
#[derive(Clone)]
pub(crate) struct Layout {
    pub name: String,
    pub dir: PathBuf,
    pub config: Value,
}

impl Layout {
    /// Opens the weights in f32 and loads from them; every tensor must be read.
    pub(crate) fn load<T>(&self, component: &str, load: impl FnOnce(&TensorReader) -> T) -> T {
        let files = weight_files(&self.dir).unwrap_or_else(|error| panic!("{error}"));
        load_files(component, &files, load).0
    }
}

/// Opens weights in f32 and loads from them; every tensor must be read.
pub(crate) fn load_files<T>(
    component: &str,
    files: &[PathBuf],
    load: impl FnOnce(&TensorReader) -> T,
) -> (T, LoadReport) {
    let reader = TensorReader::open(component, files, &device(), DType::F32).unwrap_or_else(|error| panic!("{error}"));
    let network = load(&reader);
    let report = reader.finish().unwrap_or_else(|error| panic!("{error}"));
    (network, report)
}

/// Parses a JSON file.
pub(crate) fn json(path: &Path) -> Value {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Ids `[B, L]` of a fixture as a batch of the same width, with the length of each row, and a flag for each position
/// that is not padding.
pub(crate) fn token_batch(ids: &[i64], width: usize, visible: &[bool], pad_id: u32) -> TokenBatch {
    let rows: Vec<Vec<u32>> = ids
        .chunks(width)
        .zip(visible.chunks(width))
        .map(|(ids, visible)| {
            let len = visible.iter().rposition(|&visible| visible).map_or(0, |last| last + 1);
            ids[..len].iter().map(|&id| u32::try_from(id).expect("ids are not negative")).collect()
        })
        .collect();
    TokenBatch::padded(&rows, pad_id, width).expect("every row has a token")
}
