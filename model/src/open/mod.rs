//! Opens a model: the device, the checkpoint with its adapters, and the warm-up.

mod cache;
mod files;
mod guarded;
mod loading;
mod warm_up;

use std::io;
use std::path::{Path, PathBuf};

use sakuga_model_core::{EmbeddedModel, EngineError, ModelInfo};
use sha2::{Digest as _, Sha256};

use crate::checkpoint::embedded::{self, EmbeddedError};
use crate::checkpoint::synthetic::SyntheticError;
use crate::checkpoint::{LoadReport, LoraReport};
use crate::digest::{hash_file, hex, sha256_hex};
use crate::error::{DeviceError, LoadError};
use crate::families::newbie::synthetic::{self, Preset};
use crate::families::sdxl;

pub use files::ModelFiles;

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
    #[error("there is no cache folder for the embedded model")]
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

/// The folder of an embedded model: the checkpoint that was built in, or else one of random weights of its family. It is
/// written if it is not there.
fn embedded_folder(model: EmbeddedModel, cache_dir: Option<&Path>) -> Result<PathBuf, OpenError> {
    let cache = cache_dir.ok_or(OpenError::NoCache)?;
    let write = |draft: &Path| match (embedded::is_present(model), model) {
        (true, _) => embedded::write(model, draft).map_err(CacheError::from),
        (false, EmbeddedModel::Chibi) => {
            synthetic::write(draft, &Preset::tiny(), RANDOM_SEED).map_err(CacheError::from)
        }
        (false, EmbeddedModel::SdAnime) => sdxl::synthetic::write(draft, RANDOM_SEED).map_err(CacheError::from),
    };
    Ok(cache::complete_folder(cache, &embedded_name(model), write)?)
}

/// The name of that folder. It depends on the contents, so that an upgrade never reads the folder of an older release.
fn embedded_name(model: EmbeddedModel) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let digest = match embedded::is_present(model) {
        true => embedded::digest(model),
        false => sha256_hex(format!("{version} {RANDOM_SEED} {:?}", Preset::tiny()).as_bytes()),
    };
    format!("{}-{version}-{}", model.name(), &digest[..12])
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

/// The adapters that were merged, each with its modules of all parts. One that changes no part is an error.
fn adapters(reports: &[LoadReport]) -> Result<Vec<LoraReport>, OpenError> {
    let mut adapters: Vec<LoraReport> = Vec::new();
    for report in reports {
        // Each part reports all adapters, in the order of the options.
        for (index, found) in report.lora.iter().enumerate() {
            match adapters.get_mut(index) {
                Some(adapter) => adapter.modules += found.modules,
                None => adapters.push(found.clone()),
            }
        }
    }
    for LoraReport { path, strength, format, modules, .. } in &adapters {
        if *modules == 0 {
            return Err(OpenError::Adapter { path: path.clone() });
        }
        tracing::info!(path = %path.display(), strength, format, modules, "adapter merged");
    }
    Ok(adapters)
}

/// Names the adapters in the model's notice, and makes them part of its fingerprint: with other weights it is another model.
fn add_adapters(model: &mut ModelInfo, adapters: &[LoraReport]) -> Result<(), OpenError> {
    for LoraReport { path, strength, format, modules, .. } in adapters {
        let file = if path.is_dir() { path.join("adapter_model.safetensors") } else { path.clone() };
        let mut content = Sha256::new();
        hash_file(&mut content, &file).map_err(|source| LoadError::read(&file, source))?;
        let identity = format!("{} {strength} {}", model.fingerprint, hex(content));
        model.fingerprint = sha256_hex(identity.as_bytes());
        let separator = if model.notice.is_empty() { "" } else { "; " };
        let name = path.file_name().unwrap_or(path.as_os_str()).display();
        model.notice += &format!("{separator}with {format} {name} at {strength} (modules: {modules})");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
