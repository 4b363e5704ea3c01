//! Which engine runs, on which device, with which models.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
#[cfg(feature = "burn")]
use sakuga_model_core::{EmbeddedModel, ModelOptions};
use sakuga_model_core::{LoraChoice, Precision, WarmUp, limits};

use super::devices::DevicesChoice;
use crate::engine::scripted::Script;
use crate::gpu;
use crate::models::{MODEL_NAME_BYTES_MAX, MemoryBudget, has_name_letters};
#[cfg(feature = "burn")]
use crate::pull::{ModelsFolder, find};
use crate::settings::{Bound, memory, number, read};
#[cfg(feature = "burn")]
use crate::user_folder::BaseFolder;

/// The models, and what their weights may take.
#[derive(Clone, Debug)]
pub struct ModelsConfig {
    /// The models; the first is the default.
    pub models: Vec<ConfiguredModel>,
    /// Bytes of each device's memory that all weights may take; `None`: no limit.
    pub device_budget: Option<u64>,
    /// Bytes of host memory that copies of weights may take, for all devices; `None`: half of the host's memory.
    pub host_budget: Option<u64>,
    /// The folder of the adapters that requests may use.
    pub adapters: Option<PathBuf>,
    /// Devices to open. Each serves every model.
    pub devices: DevicesChoice,
}

/// A model, and the engine that runs it.
#[derive(Clone, Debug)]
pub struct ConfiguredModel {
    /// Its name; `None`: the one that the model itself has.
    pub name: Option<String>,
    /// How it is run.
    pub engine: EngineChoice,
}

impl From<EngineChoice> for ModelsConfig {
    /// One model, under its own name, without a budget, on the device that the engine names.
    fn from(engine: EngineChoice) -> Self {
        let devices = match &engine {
            EngineChoice::Scripted(_) => DevicesChoice::default(),
            #[cfg(feature = "burn")]
            EngineChoice::Burn(options) => DevicesChoice::List(vec![options.device]),
        };
        let models = vec![ConfiguredModel { name: None, engine }];
        Self { models, device_budget: None, host_budget: None, adapters: None, devices }
    }
}

impl ModelsConfig {
    /// The memory for weights on each of `devices` devices, and each device's share of host memory. Without a device budget no
    /// copies are kept in host memory.
    pub(crate) fn budget(&self, devices: usize) -> MemoryBudget {
        let host = || self.host_budget.or_else(|| gpu::host_memory_bytes().map(|bytes| bytes / 2)).unwrap_or(0);
        let host_bytes = if self.device_budget.is_some() { host() / devices.max(1) as u64 } else { 0 };
        MemoryBudget { device_bytes: self.device_budget, host_bytes }
    }
}

/// What draws the jobs of a model.
#[derive(Clone, Debug)]
pub enum EngineChoice {
    /// Draws gradients at set times; see [`crate::engine::scripted`].
    Scripted(Script),
    /// The model. Its device is the one of [`ModelsConfig::devices`].
    #[cfg(feature = "burn")]
    Burn(ModelOptions),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EngineKind {
    Burn,
    Scripted,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Engine and model")]
pub(super) struct EngineSettings {
    /// The engine. `burn` runs the model; `scripted` generates gradients on a timetable, for tests and for writing
    /// clients.
    #[arg(long, value_name = "burn|scripted", hide_possible_values = true, value_enum, default_value = if cfg!(feature = "burn") { "burn" } else { "scripted" })]
    engine: EngineKind,
    /// The devices that jobs are drawn on: one, or a list separated by commas, such as `cuda:0,cuda:1`. Each has an engine
    /// with all models, and all take jobs from one queue. `auto` is the first GPU if this program was built with GPU code,
    /// else the CPU; `all` is every GPU, else the CPU. If a program with GPU code finds no GPU, both are an error; there is
    /// no fallback to the CPU. `cpu,cpu` are two engines on the CPU with half of its cores each.
    #[arg(long, value_name = "auto|all|cpu|cuda:N,cuda:N", default_value = "auto", value_parser = str::parse::<DevicesChoice>)]
    device: DevicesChoice,
    /// How tensors are computed. `auto` is bf16 on a GPU and f32 on the CPU. `fp8` computes the denoiser's matrix products
    /// in 8 bits (e4m3, a scale for each token and each output) and everything else in bf16; it needs an NVIDIA GPU of compute
    /// capability 9.0 (H100, H200) and cuBLASLt 12.9 or newer, and the server says at its start what is missing.
    #[arg(long, value_name = "auto|bf16|f32|fp8", default_value = "auto", value_parser = precision)]
    precision: Bound<Precision>,
    /// A model of the NewBie or Stable Diffusion XL family: the name of one that `sakuga-server models pull` downloaded, a
    /// folder in the layout of diffusers (model_index.json and a folder for each network), a single .safetensors file of
    /// Stable Diffusion XL, or one of the small models within this program: `embedded` of the NewBie family,
    /// `embedded-sd-anime` of the Stable Diffusion XL family. A value that exists as a path is that path, and not the name of
    /// a pulled model. Requests choose it by NAME; the default is the name in the checkpoint. Write `./`
    /// or `/` in front of a path that contains `=`. Can be given several times, and the first is the default; a list in the
    /// file, and in the environment separated like the folders of PATH. With `--engine scripted` checkpoints are not read.
    #[arg(long = "model", value_name = "[NAME=]MODEL|PATH|embedded", default_value = "embedded", value_parser = model)]
    models: Vec<NamedCheckpoint>,
    /// The folder in which the names of pulled models are looked up, and to which `sakuga-server models pull` writes. By
    /// default $XDG_DATA_HOME/sakuga/models, or ~/.local/share/sakuga/models.
    #[arg(long = "models", value_name = "FOLDER")]
    models_folder: Option<PathBuf>,
    /// Memory of each device that the weights of all models may take together, such as 24GiB. If a job needs a model that has no
    /// room, the models that have not been used for the longest time are evicted to host memory or, if that is full,
    /// dropped, to be read from their files again. Only weights count: leave room for what jobs need. At the start models are
    /// loaded in order, as far as there is room. By default there is no limit, and all models stay loaded.
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    memory_budget: Option<u64>,
    /// Host memory that copies of weights may take together with --memory-budget, such as 64GiB; each device has an equal part of
    /// it. A copy is made when a model is loaded, is page-locked, and stays until the model is unloaded. By default half of the host's memory; 0MiB: no
    /// copies. On the CPU none are made.
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    host_memory_budget: Option<u64>,
    /// An adapter to merge into the first model for all requests: a .safetensors file or a PEFT folder, with a factor on its
    /// effect (1 is as trained). Adapters that each request chooses are in the folder --adapters. Can be given
    /// several times; a list in the file, and in the environment separated like the folders of PATH.
    #[arg(long = "lora", value_name = "PATH[=SCALE]", value_parser = lora)]
    loras: Vec<LoraChoice>,
    /// The refiner of a Stable Diffusion XL model, for requests with `refiner`: the name of a pulled model, a folder, or a single
    /// .safetensors file. MODEL is the NAME of a --model; by default it is the first. A refiner is loaded with its model and takes device
    /// memory next to it. Can be given once for each model; a list in the file, and in the environment separated like the folders of
    /// PATH.
    #[arg(long = "refiner", value_name = "[MODEL=]REFINER|PATH", value_parser = model)]
    refiners: Vec<NamedCheckpoint>,
    /// A folder of control networks (ControlNet) for Stable Diffusion XL: .safetensors files, and folders with config.json and
    /// weights. It is read at the start, and a network is put on the device when a request first uses it. Files of other kinds
    /// (Control-LoRA, Union, T2I-Adapter, LLLite) are listed with the reason why they cannot be used.
    #[arg(long, value_name = "FOLDER")]
    controlnets: Option<PathBuf>,
    /// A folder of adapters that requests may use by their names: .safetensors files (LoRA, LoHa, LoKr, DoRA) and PEFT folders.
    /// It is watched: a file is offered a moment after it was copied there. While a job with adapters runs, the weights
    /// that they change take device memory twice.
    #[arg(long, value_name = "FOLDER")]
    adapters: Option<PathBuf>,
    /// Where the embedded model is unpacked. By default $XDG_CACHE_HOME/sakuga, or ~/.cache/sakuga.
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// Most images of one request that are computed at once; more are computed one batch after the other. 0: all.
    #[arg(long, value_name = "N", default_value = "0", value_parser = number::<u32>(0..=limits::IMAGES.max.into()))]
    max_batch: u32,
    /// Sizes in pixels that are generated once before the server is ready, so that the device's memory is allocated and
    /// kernels are chosen before the first job. Larger sizes are refused. `auto`: on a GPU, the model's default size and the
    /// largest that `max-pixels` allows; on the CPU, none.
    #[arg(long, value_name = "auto|none|WxH,WxH", default_value = "auto", value_parser = warm_up)]
    warm_up: WarmUp,
    /// Keep the weights of the large text encoder in the host's memory, 7.6 GB for NewBie; a prompt
    /// that was not seen before then takes some tenths of a second longer. For GPUs with less memory.
    #[arg(long = "offload-text-encoders", value_name = "true|false", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", action = clap::ArgAction::Set)]
    offload_text_encoder: bool,
    /// With `--engine scripted`: how long a step takes, and at most the encoders and the decoder.
    #[arg(long, value_name = "MS", default_value = "50", value_parser = number::<u64>(0..=60_000))]
    scripted_step_ms: u64,
}

/// A checkpoint and the name that requests give.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NamedCheckpoint {
    name: Option<String>,
    path: PathBuf,
}

/// Reads `NAME=PATH` or `PATH`. What stands before the first `=` is a name if it has only letters, digits, `.`, `_` and `-`.
fn model(text: &str) -> Result<NamedCheckpoint, String> {
    let (name, path) = match text.split_once('=') {
        Some((name, path)) if has_name_letters(name) => (Some(name), path),
        _ => (None, text),
    };
    if path.is_empty() || name.is_some_and(|name| name.len() > MODEL_NAME_BYTES_MAX) {
        return Err(format!(
            "is not a model; write a folder, `embedded`, `embedded-sd-anime`, or `=` and one of them after a name of at most \
             {MODEL_NAME_BYTES_MAX} letters, digits, `.`, `_` and `-`"
        ));
    }
    Ok(NamedCheckpoint { name: name.map(str::to_owned), path: path.into() })
}

fn precision(text: &str) -> Result<Bound<Precision>, String> {
    match text.trim() {
        "auto" => Ok(None),
        "bf16" => Ok(Some(Precision::Bf16)),
        "f32" => Ok(Some(Precision::F32)),
        "fp8" => Ok(Some(Precision::Fp8)),
        _ => Err("is not one of `auto`, `bf16`, `f32`, `fp8`".into()),
    }
}

fn lora(text: &str) -> Result<LoraChoice, String> {
    if let Some(hint) = misplaced_scale(text) {
        return Err(hint);
    }
    // A path is taken as it is, blanks included.
    text.parse()
        .map_err(|_| "is not an adapter; write a path, or a path, `=` and a finite number other than 0".to_owned())
}

/// What is wrong with a scale that is not `=NUMBER`, if there is no file of the whole name.
fn misplaced_scale(text: &str) -> Option<String> {
    if Path::new(text).exists() {
        return None;
    }
    let is_number = |text: &str| text.trim().parse::<f32>().is_ok_and(f32::is_finite);
    let (path, scale) = text.rsplit_once(['=', ':', '@', '*'])?;
    let is_separate = text.as_bytes().get(path.len()) == Some(&b'=');
    let with_point = scale.trim().replace(',', ".");
    if path.is_empty() || (is_separate && is_number(scale)) {
        return None;
    }
    if is_number(&with_point) {
        return Some(format!("has its factor in another form; write `{path}={with_point}`"));
    }
    let is_file = path.ends_with(".safetensors") && is_separate;
    is_file.then(|| format!("has `{scale}` in place of a factor; write a number, as in `{path}=0.8`"))
}

fn warm_up(text: &str) -> Result<WarmUp, String> {
    read(text, "is not a list of sizes; write `auto`, `none`, or sizes in pixels such as `1024x1024,832x1216`")
}

impl EngineSettings {
    /// An engine that this program was built without, or models that are not there. `environment` says where the user's folders
    /// are.
    #[cfg(feature = "burn")]
    pub(super) fn problems(&self, environment: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
        if self.engine == EngineKind::Scripted {
            return Vec::new();
        }
        let checkpoint = |option: &str, named: &NamedCheckpoint| {
            self.checkpoint(&named.path, environment).err().map(|why| format!("{option}: {why}"))
        };
        let models = self.models.iter().filter_map(|model| checkpoint("--model", model));
        let refiners = self.refiners.iter().filter_map(|refiner| checkpoint("--refiner", refiner));
        models.chain(refiners).chain(self.refiner_problems()).collect()
    }

    /// An engine that this program was built without.
    #[cfg(not(feature = "burn"))]
    pub(super) fn problems(&self, _: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
        let text = "this program was built without the engine `burn`; use `--engine scripted`";
        if self.engine == EngineKind::Burn { vec![text.to_owned()] } else { Vec::new() }
    }

    /// Refiners of models that are not configured, and second ones of a model.
    #[cfg(feature = "burn")]
    fn refiner_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut places = Vec::new();
        for refiner in &self.refiners {
            match (self.place_of(refiner), &refiner.name) {
                (Some(place), _) if places.contains(&place) => {
                    problems.push("--refiner: a model has one refiner; name another model before each".to_owned());
                }
                (Some(place), _) => places.push(place),
                (None, name) => {
                    let name = name.as_deref().unwrap_or_default();
                    problems.push(format!("--refiner {name}=: no --model has this NAME; write --model {name}=MODEL"));
                }
            }
        }
        problems
    }

    /// The place of the model that a refiner belongs to.
    #[cfg(feature = "burn")]
    fn place_of(&self, refiner: &NamedCheckpoint) -> Option<usize> {
        match &refiner.name {
            None => Some(0),
            name => self.models.iter().position(|model| model.name == *name),
        }
    }

    /// The folder or file of a model, which may be named.
    #[cfg(feature = "burn")]
    fn checkpoint(&self, path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<PathBuf, String> {
        let folder = ModelsFolder::chosen(self.models_folder.as_deref(), environment);
        find::checkpoint(path, folder.as_ref())
    }

    #[cfg(not(feature = "burn"))]
    fn checkpoint(&self, path: &Path, _: &dyn Fn(&str) -> Option<String>) -> Result<PathBuf, String> {
        Ok(path.to_owned())
    }

    /// `pixels_max` bounds the sizes of the warm-up, and `environment` says where the user's folders are.
    pub(super) fn into_models(self, pixels_max: u64, environment: &dyn Fn(&str) -> Option<String>) -> ModelsConfig {
        // A model that is not there is a problem already.
        let checkpoint = |path: &Path| self.checkpoint(path, environment).unwrap_or_else(|_| path.to_owned());
        let configured = |(place, model): (usize, &NamedCheckpoint)| ConfiguredModel {
            name: model.name.clone(),
            engine: self.choice(place, &checkpoint, pixels_max, environment),
        };
        let models = self.models.iter().enumerate().map(configured).collect();
        let (device_budget, host_budget) = (self.memory_budget, self.host_memory_budget);
        ModelsConfig { models, device_budget, host_budget, adapters: self.adapters, devices: self.device }
    }

    #[cfg_attr(not(feature = "burn"), expect(unused_variables, reason = "the scripted engine reads no checkpoint"))]
    fn choice(
        &self,
        place: usize,
        checkpoint: &dyn Fn(&Path) -> PathBuf,
        pixels_max: u64,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> EngineChoice {
        #[cfg(feature = "burn")]
        if self.engine == EngineKind::Burn {
            let path = checkpoint(&self.models[place].path);
            let embedded = path.to_str().and_then(EmbeddedModel::from_name);
            let model = Some(path).filter(|_| embedded.is_none());
            let refiner = self.refiners.iter().find(|refiner| self.place_of(refiner) == Some(place));
            let default_cache = || BaseFolder::Cache.of_sakuga(environment).filter(|_| model.is_none());
            return EngineChoice::Burn(ModelOptions {
                precision: self.precision,
                cache_dir: self.cache_dir.clone().or_else(default_cache),
                model,
                embedded: embedded.unwrap_or_default(),
                controlnets: self.controlnets.clone(),
                refiner: refiner.map(|refiner| checkpoint(&refiner.path)),
                loras: if place == 0 { self.loras.clone() } else { Vec::new() },
                max_batch: self.max_batch,
                warm_up: self.warm_up.clone(),
                pixels_max,
                offload_text_encoder: self.offload_text_encoder,
                ..ModelOptions::default()
            });
        }
        let default = Script::default();
        let step_ms = self.scripted_step_ms;
        EngineChoice::Scripted(Script {
            step_ms,
            text_encode_ms: default.text_encode_ms.min(step_ms),
            decode_ms: default.decode_ms.min(step_ms),
            ..default
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_in_another_form_gets_the_right_one() {
        for (text, right) in [
            ("x.safetensors:0.8", "x.safetensors=0.8"),
            ("x.safetensors=0,8", "x.safetensors=0.8"),
            ("x.safetensors@1", "x.safetensors=1"),
            ("x.safetensors=strong", "x.safetensors=0.8"),
        ] {
            assert!(lora(text).expect_err("not a factor").contains(&format!("`{right}`")), "{text}");
        }
        for text in ["x.safetensors", "x.safetensors=0.8", "a=b/x.safetensors", "C:/x.safetensors", "dir:1/x"] {
            assert!(lora(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_model_has_a_folder_and_perhaps_a_name() {
        let read =
            |name: Option<&str>, path: &str| Ok(NamedCheckpoint { name: name.map(str::to_owned), path: path.into() });
        for (text, expected) in [
            ("embedded", read(None, "embedded")),
            ("/models/newbie", read(None, "/models/newbie")),
            ("photo=/models/photo", read(Some("photo"), "/models/photo")),
            ("v1.2_a-b=embedded", read(Some("v1.2_a-b"), "embedded")),
            ("photo=a=b", read(Some("photo"), "a=b")),
            ("./photo=a", read(None, "./photo=a")),
            ("=a", read(None, "=a")),
            ("-x=a", read(None, "-x=a")),
        ] {
            assert_eq!(model(text), expected, "{text}");
        }
        for text in ["", "photo=", &format!("{}=a", "x".repeat(65))] {
            assert!(model(text).is_err_and(|reason| reason.contains("is not a model")), "{text}");
        }
    }

    #[test]
    fn copies_in_host_memory_need_a_budget_of_the_device() {
        let config = |device_budget, host_budget| {
            let config = ModelsConfig::from(EngineChoice::Scripted(Script::default()));
            ModelsConfig { device_budget, host_budget, ..config }.budget(1)
        };
        assert_eq!(config(None, Some(5)), MemoryBudget::default());
        assert_eq!(config(Some(9), Some(5)), MemoryBudget { device_bytes: Some(9), host_bytes: 5 });
        assert!(config(Some(9), None).host_bytes > 0, "half of what the host has");
    }
}
