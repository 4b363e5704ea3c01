//! The engine that runs the model. Nothing outside this folder names the model crate.

mod observe;
mod warm_up;

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sakuga_model::checkpoint::adapters::LoraSpec;
use sakuga_model::checkpoint::embedded;
use sakuga_model::checkpoint::synthetic::{self, Preset};
use sakuga_model::checkpoint::{LoadReport, LoraReport};
use sakuga_model::device::{self, DeviceSpec, Precision};
use sakuga_model::error::DeviceError;
use sakuga_model::pipeline::{LoadOptions, Pipeline, PipelineError, PipelineInfo};
use sakuga_model::progress::{self, Progress};
use sakuga_model::sampler;
use sakuga_model::spec::GenerateSpec;
use sakuga_model::text::Tokenizers;

use super::{
    Engine, EngineError, EngineEvent, EngineInfo, EngineOpener, EngineTimings, JobSpec, MemoryNeed, MemoryProbe,
    ModelInfo, Observer, OpenEngine, Outcome, PreviewMethod, Rgb8, SamplingDefaults, Solver, Stage, StepDone,
    StepReport, TokenCount, TokenCounter, cache, out_of_memory,
};
use crate::config::{BurnConfig, DeviceChoice, PrecisionChoice};
use crate::picture::sha256_hex;
use crate::scheduler::worker::panic_text;

/// Seed of the random weights that stand in where no checkpoint was built in.
const RANDOM_SEED: u64 = 1;

/// An opener of this engine.
pub fn opener(config: BurnConfig) -> EngineOpener {
    Arc::new(move || open(&config))
}

fn open(config: &BurnConfig) -> Result<OpenEngine, EngineError> {
    let spec = match config.device {
        DeviceChoice::Auto => DeviceSpec::Auto,
        DeviceChoice::Cpu => DeviceSpec::Cpu,
        DeviceChoice::Cuda(index) => DeviceSpec::Cuda(index),
    };
    let mut loading = observe::Loading::begin();
    let precision = config.precision.map(|precision| match precision {
        PrecisionChoice::Bf16 => Precision::Bf16,
        PrecisionChoice::F32 => Precision::F32,
        PrecisionChoice::Fp8 => Precision::Fp8,
    });
    // The remedy by the name that it has here.
    let device = device::open(spec, precision).map_err(|error| {
        EngineError::Device(match error {
            DeviceError::NoFp8 { .. } => format!("{error} (--precision fp8 was asked for)"),
            _ => format!("{error} (--device {} was asked for; --device cpu always works)", config.device),
        })
    })?;
    loading.phase("device");
    let folder = match &config.model {
        Some(folder) => folder.clone(),
        None => embedded_folder(config.cache_dir.as_deref())?,
    };
    let loras = config.loras.iter().map(|lora| LoraSpec { path: lora.path.clone(), strength: lora.scale }).collect();
    let is_gpu = device.name != "cpu";
    let offload_text_encoder = config.offload_text_encoder;
    let options = LoadOptions { loras, offload_text_encoder, ..LoadOptions::new(device) };
    let (pipeline, reports) = Pipeline::load(&folder, options)
        .map_err(|error| EngineError::Model(format!("cannot load the model: {error}")))?;
    log_reports(&reports);
    let adapters = adapters(&reports)?;
    let load = loading.parts(&reports);
    tracing::info!(folder = %folder.display(), load_ms = load.as_millis() as u64, "model loaded");
    let ready_pixels = warm_up::draw(&pipeline, config, is_gpu)?;
    if ready_pixels.is_some() {
        loading.phase("warm-up");
    }
    let mut info = info(pipeline.info(), config.max_batch);
    info.pixels_max = ready_pixels;
    info.loading = loading.finish();
    info.compute_paths = observe::paths(&pipeline);
    add_adapters(&mut info.model, &adapters)?;
    let tokens = Arc::new(Counter(pipeline.text()));
    let memory_probe = pipeline.networks().memory_probe();
    let memory: MemoryProbe = Arc::new(move || observe::pools(&memory_probe));
    let engine = Box::new(BurnEngine { pipeline, max_batch: config.max_batch as usize, ready_pixels });
    Ok(OpenEngine { engine, info, tokens, memory })
}

/// The folder of the model that this program brings: the checkpoint that was built in, or else one of random weights.
fn embedded_folder(cache_dir: Option<&Path>) -> Result<PathBuf, EngineError> {
    let cache = match cache_dir {
        Some(cache) => cache.to_owned(),
        None => cache::default_cache(|name| std::env::var_os(name).map(PathBuf::from))?,
    };
    // Other contents are another folder, so that an upgrade never reads an old one's.
    let folder = |digest: &str| format!("embedded-{}-{}", env!("CARGO_PKG_VERSION"), &digest[..12]);
    if embedded::is_present() {
        return cache::complete_folder(&cache, &folder(&embedded::digest()), embedded::write);
    }
    let preset = Preset::tiny();
    let identity = format!("{} {RANDOM_SEED} {preset:?}", env!("CARGO_PKG_VERSION"));
    let name = folder(&sha256_hex(identity.as_bytes()));
    cache::complete_folder(&cache, &name, |draft| synthetic::write(draft, &preset, RANDOM_SEED))
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

/// The adapters that were merged. One that changes nothing is a mistake, not a wish.
fn adapters(reports: &[LoadReport]) -> Result<Vec<&LoraReport>, EngineError> {
    let adapters: Vec<&LoraReport> = reports.iter().flat_map(|report| &report.lora).collect();
    for adapter in &adapters {
        let path = adapter.path.display();
        if adapter.modules == 0 {
            let text = format!("the adapter {path} changes no module of this model; leave it out");
            return Err(EngineError::Model(text));
        }
        let LoraReport { strength: scale, format, modules, .. } = adapter;
        tracing::info!(%path, %scale, format, modules, "adapter merged");
    }
    Ok(adapters)
}

/// Says in the model's notice what was merged, and tells its pictures from those of the model alone: with other weights
/// it is another model.
fn add_adapters(model: &mut ModelInfo, adapters: &[&LoraReport]) -> Result<(), EngineError> {
    for adapter in adapters {
        let LoraReport { path, strength, format, modules, .. } = adapter;
        let file = if path.is_dir() { path.join("adapter_model.safetensors") } else { path.clone() };
        let content = std::fs::read(&file)
            .map_err(|error| EngineError::Model(format!("cannot read the adapter {}: {error}", file.display())))?;
        let identity = format!("{} {strength} {}", model.fingerprint, sha256_hex(&content));
        model.fingerprint = sha256_hex(identity.as_bytes());
        let separator = if model.notice.is_empty() { "" } else { "; " };
        let name = path.file_name().unwrap_or(path.as_os_str()).display();
        model.notice += &format!("{separator}with {format} {name} at {strength} (modules: {modules})");
    }
    Ok(())
}

/// Bytes of working memory for each pixel of a batch, about: the decoder's widest layers, a few copies of 128 channels at
/// full size, outweigh everything else.
const PIXEL_VALUES: u64 = 512;

fn info(info: &PipelineInfo, batch_max: u32) -> EngineInfo {
    let value_bytes = match info.precision {
        Precision::F32 => 4,
        Precision::Bf16 | Precision::Fp8 => 2,
    };
    EngineInfo {
        memory: MemoryNeed { fixed_bytes: info.weight_bytes, pixel_bytes: PIXEL_VALUES * value_bytes, batch_max },
        loading: Vec::new(),
        compute_paths: Vec::new(),
        kind: "burn",
        pixels_max: None,
        device: info.device_name.clone(),
        precision: info.precision.to_string(),
        model: ModelInfo {
            name: info.name.clone(),
            parameters: info.parameters.clone(),
            default_size_px: info.default_size_px,
            size_multiple_px: info.limits.size_multiple_px,
            edge_max_px: info.limits.edge_max_px,
            has_preview_decoder: info.has_preview_decoder,
            notice: info.notice.clone(),
            fingerprint: info.fingerprint.clone(),
            default_system_prompt: info.default_system_prompt.clone(),
            default_plain_system_prompt: info.default_plain_system_prompt.clone(),
            sampling: SamplingDefaults {
                solver: from_model(info.sampling.solver),
                steps: info.sampling.steps as u32,
                guidance_scale: info.sampling.guidance_scale,
                guidance_until: info.sampling.guidance_until,
                guidance_renorm: info.sampling.guidance_renorm,
                shift: info.sampling.shift,
            },
        },
    }
}

fn from_model(solver: sampler::Solver) -> Solver {
    match solver {
        sampler::Solver::Euler => Solver::Euler,
        sampler::Solver::Midpoint => Solver::Midpoint,
        sampler::Solver::Rk4 => Solver::Rk4,
        sampler::Solver::Dpm => Solver::Dpm,
    }
}

struct BurnEngine {
    pipeline: Pipeline,
    max_batch: usize,
    /// Pixels that the device's memory was taken for.
    ready_pixels: Option<u64>,
}

impl Engine for BurnEngine {
    fn generate(&mut self, spec: &JobSpec, observer: &mut Observer<'_>) -> Result<Outcome, EngineError> {
        let pixels = u64::from(spec.width_px) * u64::from(spec.height_px);
        let spec = generate_spec(spec, warm_up::batch(self.max_batch, self.ready_pixels, pixels));
        let drawn = catch_unwind(AssertUnwindSafe(|| {
            self.pipeline.generate(&spec, &mut |progress| observe(progress, observer))
        }));
        let outcome = match drawn {
            Ok(drawn) => drawn.map_err(engine_error)?,
            // Some of the tensor library's failures come as panics; those that are none of ours go on as such.
            Err(panic) => match exhausted(&panic_text(panic.as_ref())) {
                Some(error) => return Err(error),
                None => resume_unwind(panic),
            },
        };
        Ok(match outcome {
            progress::Outcome::Finished { images, timings } => Outcome::Finished {
                images: images.into_iter().map(picture).collect(),
                timings: EngineTimings {
                    text_encode: milliseconds(timings.text_encode_ms),
                    denoise: milliseconds(timings.denoise_ms()),
                    decode: milliseconds(timings.decode_ms),
                },
            },
            progress::Outcome::Stopped { .. } => Outcome::Stopped,
        })
    }
}

fn generate_spec(spec: &JobSpec, max_batch: usize) -> GenerateSpec {
    GenerateSpec {
        text: spec.text.clone(),
        system_prompt: spec.system_prompt.clone(),
        negative: spec.negative.clone(),
        width_px: spec.width_px,
        height_px: spec.height_px,
        images: spec.images as usize,
        seed: spec.seed,
        solver: match spec.solver {
            Solver::Euler => sampler::Solver::Euler,
            Solver::Midpoint => sampler::Solver::Midpoint,
            Solver::Rk4 => sampler::Solver::Rk4,
            Solver::Dpm => sampler::Solver::Dpm,
        },
        steps: spec.steps as usize,
        guidance_scale: spec.guidance_scale,
        guidance_until: spec.guidance_until,
        guidance_renorm: spec.guidance_renorm,
        shift: spec.shift,
        max_batch,
        profile: spec.profile,
    }
}

fn observe(progress: Progress<'_>, observer: &mut Observer<'_>) -> ControlFlow<()> {
    match progress {
        Progress::Stage(reached) => observer(EngineEvent::Stage(stage(reached))),
        Progress::TextEncoded(counts) => {
            for count in counts.iter().filter(|count| count.is_truncated()) {
                tracing::warn!(
                    encoder = count.encoder,
                    tokens = count.total,
                    limit = count.limit,
                    "the prompt was cut"
                );
            }
            ControlFlow::Continue(())
        }
        Progress::Profile(profile) => observer(EngineEvent::Profile(observe::profile(&profile))),
        Progress::Step(step) => {
            let report = StepReport {
                index: step.index as u32,
                total: step.total as u32,
                t: step.t as f32,
                sigma: step.sigma as f32,
                step_ms: step.step_ms as f32,
                guidance_active: step.guidance_active,
                evaluations: step.evaluations as u32,
            };
            let previews = |method| {
                let method = match method {
                    PreviewMethod::Linear => progress::PreviewMethod::Linear,
                    PreviewMethod::Decoder => progress::PreviewMethod::Decoder,
                };
                step.preview(method).into_iter().map(picture).collect()
            };
            observer(EngineEvent::Step(StepDone { report, first_image: step.first_image as u32, previews: &previews }))
        }
    }
}

fn stage(stage: progress::Stage) -> Stage {
    match stage {
        progress::Stage::TextEncode => Stage::TextEncode,
        progress::Stage::Denoise => Stage::Denoise,
        progress::Stage::Decode => Stage::Decode,
    }
}

fn picture(picture: progress::Rgb8) -> Rgb8 {
    Rgb8 { width_px: picture.width_px, height_px: picture.height_px, pixels: picture.pixels }
}

/// The error of a device that had no memory left, if that is what the text says.
fn exhausted(text: &str) -> Option<EngineError> {
    let shortage = out_of_memory::shortage(text)?;
    Some(EngineError::OutOfMemory { allocation: shortage.allocation, reason: out_of_memory::first_words(text) })
}

fn engine_error(error: PipelineError) -> EngineError {
    let text = error.to_string();
    match error {
        PipelineError::Device { reason, .. } => exhausted(&reason).unwrap_or(EngineError::DeviceLost(text)),
        PipelineError::NotFinite { .. } => EngineError::NotFinite(text),
        PipelineError::Spec(_) | PipelineError::Tokens(_) => EngineError::Failed(text),
    }
}

fn milliseconds(time_ms: f64) -> Duration {
    Duration::try_from_secs_f64(time_ms / 1000.0).unwrap_or_default()
}

struct Counter(Arc<Tokenizers>);

impl TokenCounter for Counter {
    fn count(&self, system_prompt: &str, text: &str) -> Vec<TokenCount> {
        let counts = self.0.count(system_prompt, text).into_iter().map(|count| TokenCount {
            encoder: count.encoder,
            tokens: count.total,
            limit: count.limit,
            first_lost: count.first_lost,
        });
        counts.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_refuses_fp8_and_says_what_to_choose() {
        let config =
            BurnConfig { device: DeviceChoice::Cpu, precision: Some(PrecisionChoice::Fp8), ..BurnConfig::default() };
        let Err(EngineError::Device(error)) = open(&config) else { panic!("it was opened, or refused otherwise") };
        for part in ["NVIDIA GPU", "choose bf16", "--precision fp8 was asked for"] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }
}
