//! Opens the model, and states its errors in terms of this program's options. No file outside of this module names the model
//! crate.

mod check;
pub(crate) mod files;

use std::io::ErrorKind;
use std::path::{Component, Path};
use std::sync::Arc;

use sakuga_model::error::{DeviceError, LoadError};
use sakuga_model::open::{ModelFiles, OpenError};
use sakuga_model_core::{EngineError, ModelDescription, ModelOptions, ModelSource, OpenModel, OpenOptions};

pub(crate) use check::{Checked, check};

/// The model of these options.
pub(crate) fn source(options: ModelOptions) -> Arc<dyn ModelSource> {
    Arc::new(Source(ModelFiles::new(options)))
}

/// The number of GPUs; 0 in a program without GPU code.
pub(crate) fn gpu_count() -> usize {
    sakuga_model::device::gpu_count()
}

/// States errors in terms of this program's options.
struct Source(ModelFiles);

impl ModelSource for Source {
    fn describe(&self) -> Result<ModelDescription, EngineError> {
        self.0.describe().map_err(|error| with_flags(error, self.0.options()))
    }

    fn open(&self, options: OpenOptions) -> Result<OpenModel, EngineError> {
        self.0.open(options).map_err(|error| with_flags(error, self.0.options()))
    }

    fn host_copy_bytes(&self) -> u64 {
        self.0.host_copy_bytes()
    }

    fn drop_host_copy(&self) {
        self.0.drop_host_copy();
    }
}

/// The error, and which flag to change.
fn with_flags(error: OpenError, options: &ModelOptions) -> EngineError {
    match error {
        OpenError::Device(error @ DeviceError::NoFp8 { .. }) => {
            EngineError::Device(format!("{error} (--precision fp8 was asked for)"))
        }
        OpenError::Device(error) => {
            let device = options.device;
            EngineError::Device(format!("{error} (--device {device} was asked for; --device cpu always works)"))
        }
        OpenError::Cache(_) => EngineError::Model(format!("{error}; name another with --cache-dir")),
        OpenError::NoCache => EngineError::Model(format!(
            "{error}: neither XDG_CACHE_HOME nor HOME is set; name a folder with --cache-dir"
        )),
        OpenError::WarmUp { .. } => EngineError::Model(format!(
            "{error}; with less memory, allow only smaller pictures (--max-pixels), keep the text encoder in the host's \
             memory (--offload-text-encoders), or skip the warm-up (--warm-up none)"
        )),
        OpenError::Load(LoadError::Read { path, source })
            if source.kind() == ErrorKind::NotFound && options.model.as_ref() == Some(&path) =>
        {
            EngineError::Model(no_model(&path))
        }
        OpenError::Load(error) if let Some(problem) = no_adapter(&error, options) => EngineError::Model(problem),
        OpenError::Load(LoadError::Read { path, source }) if options.controlnets.as_ref() == Some(&path) => {
            EngineError::Model(format!(
                "--controlnets: cannot read the folder {}: {source}; name a folder that can be read",
                path.display()
            ))
        }
        OpenError::Load(_) | OpenError::Adapter { .. } => EngineError::Model(error.to_string()),
    }
}

/// Whether a path that does not exist may be the name of a model on a hub: `OWNER/NAME`, without a folder OWNER here.
fn is_hub_name(path: &Path) -> bool {
    path.components().count() == 2
        && path.components().all(|part| matches!(part, Component::Normal(_)))
        && path.parent().is_some_and(|owner| !owner.exists())
}

/// An adapter of `--lora` that is not there, perhaps because its name or its address on a hub was given.
fn no_adapter(error: &LoadError, options: &ModelOptions) -> Option<String> {
    let LoadError::Read { path, source } = error else { return None };
    let named = options.loras.iter().map(|adapter| &adapter.path).find(|adapter| path.starts_with(adapter))?;
    let shown = named.display().to_string();
    let is_source = shown.starts_with("hf:") || shown.contains("://");
    if source.kind() != ErrorKind::NotFound || !(is_source || is_hub_name(named)) {
        return None;
    }
    let hub = if is_source { "" } else { "hf:" };
    Some(format!(
        "--lora: there is no file or folder `{shown}` here; if this is an adapter's name on a hub, pull it first, with \
         `sakuga-server models pull {hub}{shown}`, and give --lora the path of the file that it prints"
    ))
}

/// A model that is not there, perhaps because its name on a hub was given.
fn no_model(path: &Path) -> String {
    let shown = path.display();
    match is_hub_name(path) {
        true => format!(
            "there is no folder `{shown}` here; if this is a model's name on a hub, pull it first, with `sakuga-server models \
             pull hf:{shown}`, and give --model the name that it then has"
        ),
        false => format!("there is no folder or file `{shown}`; give --model the folder of a model"),
    }
}

#[cfg(test)]
mod tests {
    use sakuga_model_core::{DeviceChoice, Precision};

    use super::*;

    #[test]
    fn the_cpu_refuses_fp8_and_says_what_to_choose() {
        let options =
            ModelOptions { device: DeviceChoice::Cpu, precision: Some(Precision::Fp8), ..ModelOptions::default() };
        let Err(EngineError::Device(error)) = source(options).open(OpenOptions::default()) else {
            panic!("it was opened, or refused otherwise")
        };
        for part in ["NVIDIA GPU", "choose bf16", "--precision fp8 was asked for"] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }

    #[test]
    fn a_cache_that_cannot_be_written_names_its_flag() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let options = ModelOptions {
            device: DeviceChoice::Cpu,
            cache_dir: Some(file.path().to_owned()),
            ..ModelOptions::default()
        };
        let Err(EngineError::Model(error)) = source(options).open(OpenOptions::default()) else {
            panic!("it was opened, or refused otherwise")
        };
        assert!(error.contains("cannot write") && error.contains("--cache-dir"), "{error}");
    }

    #[test]
    fn a_name_on_a_hub_is_to_be_pulled() {
        let open = |model: &str| {
            let options =
                ModelOptions { device: DeviceChoice::Cpu, model: Some(model.into()), ..ModelOptions::default() };
            match source(options).open(OpenOptions::default()) {
                Err(EngineError::Model(error)) => error,
                _ => panic!("it was opened, or refused otherwise"),
            }
        };
        let error = open("Some-Owner/some-model-1");
        assert!(
            error.contains("`Some-Owner/some-model-1`") && error.contains("models pull hf:Some-Owner/some-model-1"),
            "{error}"
        );
        let error = open("./no-such-folder");
        assert!(error.contains("give --model the folder") && !error.contains("models pull"), "{error}");
    }
}
