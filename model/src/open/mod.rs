//! Opens a model: the device, the checkpoint with its adapters, and the warm-up.

mod cache;
mod guarded;
mod loading;
mod warm_up;

use std::io;
use std::path::{Path, PathBuf};

use sakuga_model_core::{EngineError, EngineInfo, MemoryNeed, ModelInfo, ModelOptions, OpenModel, Precision};
use sha2::{Digest, Sha256};

use crate::checkpoint::embedded::{self, EmbeddedError};
use crate::checkpoint::synthetic::{self, Preset, SyntheticError};
use crate::checkpoint::{LoadReport, LoraReport};
use crate::device::{self, OpenDevice};
use crate::error::{DeviceError, LoadError};
use crate::families::{self, FamilyModel, LoadOptions};
use guarded::GuardedModel;
use loading::Loading;

/// Seed of the random weights that are used where no checkpoint was built in.
const RANDOM_SEED: u64 = 1;

/// Why a model could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The embedded model cannot be unpacked.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// There is no cache folder for the embedded model.
    #[error("there is no cache folder: neither XDG_CACHE_HOME nor HOME is set")]
    NoCache,
    /// The checkpoint or an adapter cannot be loaded.
    #[error("cannot load the model: {0}")]
    Load(#[from] LoadError),
    /// An adapter changes no module of the model: a mistake.
    #[error("the adapter {} changes no module of this model; leave it out", .path.display())]
    Adapter {
        /// Its file or folder.
        path: PathBuf,
    },
    /// The sizes of the warm-up cannot be generated.
    #[error("cannot warm up for {sizes:?}: {source}")]
    WarmUp {
        /// Width and height of each in pixels.
        sizes: Vec<(u32, u32)>,
        /// What failed.
        source: EngineError,
    },
}

/// Why the embedded model could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A folder cannot be written.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the embedded checkpoint cannot be written.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// A file of the random checkpoint cannot be written.
    #[error(transparent)]
    Synthetic(#[from] SyntheticError),
}

/// Opens the model that `options` name, on their device.
///
/// # Errors
///
/// The device, the checkpoint or an adapter cannot be used, or the warm-up fails.
pub fn open(options: &ModelOptions) -> Result<OpenModel, OpenError> {
    let mut loading = Loading::begin();
    let device = device::open(options.device, options.precision)?;
    loading.phase("device");
    let folder = match &options.model {
        Some(folder) => folder.clone(),
        None => embedded_folder(options.cache_dir.as_deref())?,
    };
    let load_options = LoadOptions {
        loras: options.loras.clone(),
        offload_text_encoder: options.offload_text_encoder,
        ..LoadOptions::new(device.clone())
    };
    let (inner, reports) = families::load(&folder, load_options)?;
    log_reports(&reports);
    let adapters = adapters(&reports)?;
    let load_ms = loading.parts(&reports).as_millis() as u64;
    tracing::info!(folder = %folder.display(), load_ms, "model loaded");
    let ready_pixels = warm_up::run(inner.as_ref(), options, device.name != "cpu")?;
    if ready_pixels.is_some() {
        loading.phase("warm-up");
    }
    let mut model = inner.info().clone();
    add_adapters(&mut model, &adapters)?;
    let info = EngineInfo {
        kind: "burn",
        device: device.name.clone(),
        precision: device.precision.to_string(),
        model,
        memory: memory_need(inner.as_ref(), &device, options.max_batch),
        pixels_max: ready_pixels,
        loading: loading.finish(),
        compute_paths: inner.compute_paths(),
    };
    let tokens = inner.tokens();
    let memory = inner.memory_probe();
    let model = Box::new(GuardedModel::new(inner, options.max_batch, ready_pixels));
    Ok(OpenModel { model, info, tokens, memory })
}

fn memory_need(model: &dyn FamilyModel, device: &OpenDevice, batch_max: u32) -> MemoryNeed {
    let value_bytes = match device.precision {
        Precision::F32 => 4,
        Precision::Bf16 | Precision::Fp8 => 2,
    };
    MemoryNeed { fixed_bytes: model.weight_bytes(), pixel_bytes: model.pixel_values() * value_bytes, batch_max }
}

/// The folder of the model that this program brings: the checkpoint that was built in, or else one of random weights.
fn embedded_folder(cache_dir: Option<&Path>) -> Result<PathBuf, OpenError> {
    let cache = match cache_dir {
        Some(cache) => cache.to_owned(),
        None => cache::default_folder(|name| std::env::var_os(name).map(PathBuf::from)).ok_or(OpenError::NoCache)?,
    };
    // The name depends on the contents, so that an upgrade never reads the folder of an older release.
    let folder = |digest: &str| format!("embedded-{}-{}", env!("CARGO_PKG_VERSION"), &digest[..12]);
    if embedded::is_present() {
        let unpack = |draft: &Path| embedded::write(draft).map_err(CacheError::from);
        return Ok(cache::complete_folder(&cache, &folder(&embedded::digest()), unpack)?);
    }
    let preset = Preset::tiny();
    let identity = format!("{} {RANDOM_SEED} {preset:?}", env!("CARGO_PKG_VERSION"));
    let write = |draft: &Path| synthetic::write(draft, &preset, RANDOM_SEED).map_err(CacheError::from);
    Ok(cache::complete_folder(&cache, &folder(&sha256_hex(identity.as_bytes())), write)?)
}

fn log_reports(reports: &[LoadReport]) {
    for report in reports {
        tracing::info!(
            component = report.component,
            tensors = report.tensors_used,
            parameters = report.parameters,
            bytes = report.bytes,
            dtypes = ?report.dtypes,
            tolerated = report.tolerated.len(),
            "component loaded"
        );
    }
}

/// The adapters that were merged. One that changes nothing is an error.
fn adapters(reports: &[LoadReport]) -> Result<Vec<&LoraReport>, OpenError> {
    let adapters: Vec<&LoraReport> = reports.iter().flat_map(|report| &report.lora).collect();
    for LoraReport { path, strength, format, modules, .. } in &adapters {
        if *modules == 0 {
            return Err(OpenError::Adapter { path: path.clone() });
        }
        tracing::info!(path = %path.display(), strength, format, modules, "adapter merged");
    }
    Ok(adapters)
}

/// Names the adapters in the model's notice, and makes them part of its fingerprint: with other weights it is another model.
fn add_adapters(model: &mut ModelInfo, adapters: &[&LoraReport]) -> Result<(), OpenError> {
    for LoraReport { path, strength, format, modules, .. } in adapters {
        let file = if path.is_dir() { path.join("adapter_model.safetensors") } else { path.clone() };
        let content = std::fs::read(&file).map_err(|source| LoadError::read(&file, source))?;
        let identity = format!("{} {strength} {}", model.fingerprint, sha256_hex(&content));
        model.fingerprint = sha256_hex(identity.as_bytes());
        let separator = if model.notice.is_empty() { "" } else { "; " };
        let name = path.file_name().unwrap_or(path.as_os_str()).display();
        model.notice += &format!("{separator}with {format} {name} at {strength} (modules: {modules})");
    }
    Ok(())
}

fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
