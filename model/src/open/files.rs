//! A checkpoint that is described and opened, perhaps several times.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sakuga_model_core::{
    DeviceChoice, EngineInfo, MemoryNeed, ModelDescription, ModelOptions, OpenModel, OpenOptions, Precision,
};

use super::guarded::GuardedModel;
use super::loading::Loading;
use super::{OpenError, adapters, add_adapters, embedded_folder, embedded_name, log_reports, warm_up};
use crate::checkpoint::{FileFacts, FileStamps, HostAllocator, HostCopy, LoadReport, WeightSource};
use crate::device::{self, OpenDevice};
use crate::families::{self, FamilyModel, LoadOptions};

/// A checkpoint that can be described and opened, and what is kept of it between two openings: tokenizers and, if configured, a
/// copy of its weights in host memory.
///
/// Files that change on disk are noticed at the next call: what was kept of them is dropped.
pub struct ModelFiles {
    options: ModelOptions,
    kept: Mutex<Kept>,
    allocator: fn(&OpenDevice) -> Option<Box<dyn HostAllocator>>,
}

/// The kept values of a checkpoint.
#[derive(Default)]
struct Kept {
    /// The files that it was read from: those of the model and of its refiner.
    stamps: [Option<FileStamps>; 2],
    facts: Arc<FileFacts>,
    copy: Option<Arc<HostCopy>>,
}

impl ModelFiles {
    /// The model that `options` name. Nothing is read yet.
    pub fn new(options: ModelOptions) -> Self {
        Self { options, kept: Mutex::default(), allocator: pinned }
    }

    /// How it is opened.
    pub fn options(&self) -> &ModelOptions {
        &self.options
    }

    /// Whether there are files to read: the first start writes those of the embedded model into the cache.
    pub fn are_written(&self) -> bool {
        let is_unpacked = |cache: &PathBuf| cache.join(embedded_name(self.options.embedded)).is_dir();
        self.options.model.is_some() || self.options.cache_dir.as_ref().is_some_and(is_unpacked)
    }

    /// Bytes of host memory that the copy of its weights takes now.
    pub fn host_copy_bytes(&self) -> u64 {
        self.kept().copy.as_ref().map_or(0, |copy| copy.bytes())
    }

    /// Frees the copy of its weights in host memory, once the uploads from it have ended.
    pub fn drop_host_copy(&self) {
        if let Some(copy) = self.kept().copy.take() {
            copy.clear();
        }
    }

    /// Describes the model from its configuration, headers and tokenizers; no weights are read. Its memory need is that
    /// of the open model.
    ///
    /// # Errors
    ///
    /// Every fault of these files that [`open`](Self::open) would find, or the device cannot be used.
    pub fn describe(&self) -> Result<ModelDescription, OpenError> {
        self.describe_on(&device::open(self.options.device, self.options.precision)?)
    }

    /// [`describe`](Self::describe) without opening a GPU: what is refused for one is found all the same, and that it is not
    /// there. On a device that this program can open anywhere, it is opened.
    ///
    /// # Errors
    ///
    /// As [`describe`](Self::describe), but for the faults of a GPU that is there.
    pub fn check(&self) -> Result<ModelDescription, OpenError> {
        let options = &self.options;
        if !cfg!(feature = "cuda") || options.device == DeviceChoice::Cpu {
            return self.describe();
        }
        device::find(options.device)?;
        let precision = options.precision.unwrap_or(Precision::Bf16);
        self.describe_on(&OpenDevice { precision, name: options.device.to_string(), ..OpenDevice::cpu() })
    }

    /// The model as it would be on a device.
    fn describe_on(&self, device: &OpenDevice) -> Result<ModelDescription, OpenError> {
        let options = &self.options;
        // Placeholders of a single value each, which no device has to hold.
        let placeholders = OpenDevice { device: OpenDevice::cpu().device, ..device.clone() };
        let folder = self.folder()?;
        let load_options = self.load_options(&folder, placeholders, |_| WeightSource::Headers);
        let (inner, reports) = families::load(&folder, load_options)?;
        let has_host_copy = (self.allocator)(device).is_some();
        let host_copy_bytes = reports.iter().filter(|_| has_host_copy).map(|report| report.upload_bytes).sum();
        let sizes = warm_up::sizes(inner.info(), options, device.name != "cpu");
        let info = engine_info(inner.as_ref(), &reports, device, &sizes, options.max_batch)?;
        Ok(ModelDescription { info, tokens: inner.tokens(), adapters: inner.adapters(), host_copy_bytes })
    }

    /// Opens the model on its device.
    ///
    /// # Errors
    ///
    /// The device, the checkpoint or an adapter cannot be used, or the warm-up fails.
    pub fn open(&self, how: OpenOptions) -> Result<OpenModel, OpenError> {
        let options = &self.options;
        let mut loading = Loading::begin();
        if let Some(cores) = options.cores {
            device::use_cores(cores)?;
        }
        let device = device::open(options.device, options.precision)?;
        loading.phase("device");
        let folder = self.folder()?;
        let load_options = self.load_options(&folder, device.clone(), |kept| {
            if how.keeps_host_copy { kept.source(|| (self.allocator)(&device)) } else { WeightSource::Files }
        });
        let (inner, reports) = families::load(&folder, load_options)?;
        log_reports(&reports);
        let load_ms = loading.parts(&reports).as_millis() as u64;
        let host_copy_bytes = self.host_copy_bytes();
        tracing::info!(folder = %folder.display(), load_ms, host_copy_bytes, "model loaded");
        let is_gpu = device.name != "cpu";
        let sizes = warm_up::sizes(inner.info(), options, is_gpu);
        let info = engine_info(inner.as_ref(), &reports, &device, &sizes, options.max_batch)?;
        if !sizes.is_empty() && !how.skips_warm_up {
            warm_up::run(inner.as_ref(), &sizes, options, is_gpu)?;
            loading.phase("warm-up");
        }
        let info = EngineInfo { loading: loading.finish(), compute_paths: inner.compute_paths(), ..info };
        let (tokens, memory) = (inner.tokens(), inner.memory_probe());
        let adapters = inner.adapters();
        let model = Box::new(GuardedModel::new(inner, device.device, info.clone()));
        Ok(OpenModel { model, info, tokens, memory, adapters })
    }

    fn folder(&self) -> Result<PathBuf, OpenError> {
        match &self.options.model {
            Some(folder) => Ok(folder.clone()),
            None => embedded_folder(self.options.embedded, self.options.cache_dir.as_deref()),
        }
    }

    /// How the files at `path` are loaded. What was kept of other files is dropped first.
    fn load_options(
        &self,
        path: &Path,
        device: OpenDevice,
        weights: impl FnOnce(&mut Kept) -> WeightSource,
    ) -> LoadOptions {
        let refiner = self.options.refiner.clone();
        let stamps = [Some(path), refiner.as_deref()].map(|path| path.map(FileStamps::of));
        let mut kept = self.kept();
        if kept.stamps != stamps {
            *kept = Kept { stamps, ..Kept::default() };
        }
        LoadOptions {
            device,
            loras: self.options.loras.clone(),
            refiner,
            controlnets: self.options.controlnets.clone(),
            offload_text_encoder: self.options.offload_text_encoder,
            weights: weights(&mut kept),
            facts: Arc::clone(&kept.facts),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// The copy in host memory, or the files on a device that has no `allocator`.
    fn source(&mut self, allocator: impl FnOnce() -> Option<Box<dyn HostAllocator>>) -> WeightSource {
        if self.copy.is_none() {
            self.copy = allocator().map(|allocator| Arc::new(HostCopy::new(allocator)));
        }
        self.copy.clone().map_or(WeightSource::Files, WeightSource::HostCopy)
    }
}

/// Page-locked memory for weights; `None` on a device that does not copy from it. On the CPU host memory is the device's.
#[cfg(feature = "cuda")]
fn pinned(device: &OpenDevice) -> Option<Box<dyn HostAllocator>> {
    let gpu = crate::cuda::of(&device.device)?;
    Some(Box::new(crate::cuda::pinned_allocator::PinnedAllocator(gpu)))
}

#[cfg(not(feature = "cuda"))]
fn pinned(_: &OpenDevice) -> Option<Box<dyn HostAllocator>> {
    None
}

/// The description of a loaded model, without the history of its loading.
fn engine_info(
    model: &dyn FamilyModel,
    reports: &[LoadReport],
    device: &OpenDevice,
    warm_up_sizes: &[(u32, u32)],
    batch_max: u32,
) -> Result<EngineInfo, OpenError> {
    let mut info = model.info().clone();
    add_adapters(&mut info, &adapters(reports)?)?;
    Ok(EngineInfo {
        kind: "burn",
        device: device.name.clone(),
        precision: device.precision.to_string(),
        model: info,
        memory: memory_need(model, device, batch_max),
        pixels_max: warm_up::pixels(warm_up_sizes),
        loading: Vec::new(),
        compute_paths: Vec::new(),
    })
}

fn memory_need(model: &dyn FamilyModel, device: &OpenDevice, batch_max: u32) -> MemoryNeed {
    let value_bytes = match device.precision {
        Precision::F32 => 4,
        Precision::Bf16 | Precision::Fp8 => 2,
    };
    MemoryNeed { fixed_bytes: model.weight_bytes(), pixel_bytes: model.pixel_values() * value_bytes, batch_max }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::ops::ControlFlow;

    use sakuga_model_core::{DeviceChoice, GenerationSpec, Outcome, Rgb8, Sampling};

    use super::*;
    use crate::checkpoint::testing::HeapAllocator;
    use crate::families::newbie::synthetic::{self, Preset};

    fn checkpoint(seed: u64) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        synthetic::write(folder.path(), &Preset::tiny(), seed).expect("a checkpoint");
        folder
    }

    fn files(folder: &Path, precision: Option<Precision>) -> ModelFiles {
        let model = Some(folder.to_owned());
        ModelFiles::new(ModelOptions { device: DeviceChoice::Cpu, precision, model, ..ModelOptions::default() })
    }

    /// On a device that copies from host memory.
    fn files_with_copy(folder: &Path, precision: Option<Precision>) -> ModelFiles {
        ModelFiles { allocator: |_| Some(Box::new(HeapAllocator::default())), ..files(folder, precision) }
    }

    const COPY: OpenOptions = OpenOptions { keeps_host_copy: true, skips_warm_up: false };

    fn draw(mut open: OpenModel) -> (Vec<Rgb8>, EngineInfo) {
        let sampling = Sampling { steps: 2, ..open.info.model.sampling };
        let spec = GenerationSpec::new("a girl with blue hair", 32, 32, sampling);
        match open.model.generate(&spec, &mut |_| ControlFlow::Continue(())) {
            Ok(Outcome::Finished { images, .. }) => (images, EngineInfo { loading: Vec::new(), ..open.info }),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_description_is_that_of_the_open_model() {
        let folder = checkpoint(1);
        for precision in [None, Some(Precision::Bf16)] {
            let files = files(folder.path(), precision);
            let described = files.describe().expect("described");
            let open = files.open(COPY).expect("opened");
            let without_history =
                |info: EngineInfo| EngineInfo { loading: Vec::new(), compute_paths: Vec::new(), ..info };
            assert_eq!(described.info, without_history(open.info));
            let text = "a girl with blue hair ".repeat(200);
            assert_eq!(described.tokens.count("system", &text), open.tokens.count("system", &text));
            assert!(described.info.memory.fixed_bytes > 0);
            assert_eq!((described.host_copy_bytes, files.host_copy_bytes()), (0, 0), "the CPU has no use for a copy");
        }
    }

    #[test]
    fn a_description_finds_the_faults_of_headers() {
        let folder = checkpoint(1);
        let config = folder.path().join("transformer/config.json");
        let text = fs::read_to_string(&config).expect("a configuration");
        let mut fields: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        fields["n_layers"] = 100.into();
        fs::write(&config, fields.to_string()).expect("writable");
        let files = files(folder.path(), None);
        let described = files.describe().err().expect("layers are missing").to_string();
        let opened = files.open(OpenOptions::default()).err().expect("layers are missing").to_string();
        assert_eq!(described, opened);
        assert!(described.contains("transformer"), "{described}");
    }

    #[test]
    fn a_model_from_the_host_copy_equals_one_from_the_files() {
        let folder = checkpoint(1);
        let files = files_with_copy(folder.path(), None);
        let described = files.describe().expect("described");
        let from_files = draw(files.open(OpenOptions::default()).expect("opened"));
        assert_eq!(files.host_copy_bytes(), 0, "no copy was asked for");
        let filling = draw(files.open(COPY).expect("opened"));
        assert_eq!(files.host_copy_bytes(), described.host_copy_bytes);
        // Weights that change on disk without a trace show from where they are read.
        let weights = folder.path().join("vae/diffusion_pytorch_model.safetensors");
        let modified = fs::metadata(&weights).and_then(|data| data.modified()).expect("a time");
        let mut bytes = fs::read(&weights).expect("readable");
        let header = u64::from_le_bytes(*bytes.first_chunk().expect("a header's length"));
        bytes[8 + header as usize..].fill(0);
        fs::write(&weights, bytes).expect("writable");
        let file = fs::File::options().write(true).open(&weights).expect("writable");
        file.set_modified(modified).expect("a time");
        let from_copy = draw(files.open(COPY).expect("opened"));
        let from_changed_files = draw(files.open(OpenOptions::default()).expect("opened"));
        assert_eq!(filling, from_files);
        assert_eq!(from_copy, from_files);
        assert_ne!(from_changed_files.0, from_files.0);
        files.drop_host_copy();
        assert_eq!(files.host_copy_bytes(), 0);
    }

    #[test]
    fn the_size_of_a_copy_is_known_before_it_is_made() {
        let folder = checkpoint(1);
        for precision in [Precision::F32, Precision::Bf16] {
            let files = files_with_copy(folder.path(), Some(precision));
            let described = files.describe().expect("described");
            assert_eq!(files.host_copy_bytes(), 0);
            files.open(COPY).expect("opened");
            assert_eq!(files.host_copy_bytes(), described.host_copy_bytes, "{precision}");
            // Jina's adapters are merged in f32.
            let is_larger = described.host_copy_bytes > described.info.memory.fixed_bytes;
            assert_eq!(is_larger, precision == Precision::Bf16, "{described:?}", described = described.host_copy_bytes);
        }
    }

    #[test]
    fn what_is_kept_of_files_that_changed_is_dropped() {
        let (folder, other) = (checkpoint(1), checkpoint(2));
        let files = files_with_copy(folder.path(), None);
        let first = draw(files.open(COPY).expect("opened"));
        let bytes = files.host_copy_bytes();
        for part in ["transformer/diffusion_pytorch_model", "vae/diffusion_pytorch_model"] {
            let file = format!("{part}.safetensors");
            fs::copy(other.path().join(&file), folder.path().join(&file)).expect("copied");
        }
        let second = draw(files.open(COPY).expect("opened"));
        assert_ne!(second.0, first.0);
        assert_ne!(second.1.model.fingerprint, first.1.model.fingerprint);
        assert_eq!(files.host_copy_bytes(), bytes, "the first copy is gone");
        assert_eq!(second, draw(files_with_copy(folder.path(), None).open(OpenOptions::default()).expect("opened")));
    }
}
