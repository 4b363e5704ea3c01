//! The metadata in a picture's file: protobuf JSON for programs and a few lines for people.

use std::fmt::Write as _;

use sakuga_model_core::{AdapterChoice, ControlChoice, EngineInfo, EvaluationReuse, NoiseSchedule, Sampling};
use sakuga_proto::generation::v1::{AppliedAdapter, AppliedControl, AppliedScene, GenerateRequest, ImageMetadata};
use sakuga_proto::json::{self, JsonError};

use super::step_cache;
use crate::picture::{DESCRIPTION_KEYWORD, METADATA_KEYWORD, PARAMETERS_KEYWORD, REUSE_KEYWORD, TextChunk};
use crate::request::Request;
use crate::request::images::{Images, SecondPassFacts};

/// Version of the record.
const VERSION: u32 = 1;
const SOFTWARE: &str = concat!("sakuga-server ", env!("CARGO_PKG_VERSION"));

/// The record in the file of one picture. `request_id`, `profile` and `image_indices` are left out: they change no pixel, and
/// without them the same picture has the same file. `scene` is what draws the pass of its scene.
pub(crate) fn image_metadata(
    request: &Request,
    resolved: &GenerateRequest,
    engine: &EngineInfo,
    scene: Option<&EngineInfo>,
    image_index: u32,
) -> ImageMetadata {
    ImageMetadata {
        version: VERSION,
        software: SOFTWARE.into(),
        request: Some(GenerateRequest {
            request_id: String::new(),
            profile: false,
            image_indices: Vec::new(),
            ..resolved.clone()
        }),
        image_index,
        seed: request.spec().seed,
        device: engine.device.clone(),
        model: fingerprinted(engine),
        model_text: request.spec().text.clone(),
        adapters: request.spec().adapters.iter().map(applied).collect(),
        quality: step_cache::promise(&engine.model, &request.spec().sampling),
        controls: request.spec().controls.iter().map(|choice| applied_control(choice, engine)).collect(),
        refiner: request.spec().refiner.and(engine.model.refiner.clone()).unwrap_or_default(),
        scene: request.scene().zip(scene).map(|(request, engine)| applied_scene(request, engine)),
    }
}

fn fingerprinted(engine: &EngineInfo) -> String {
    format!("{}@{}", engine.model.name, engine.model.fingerprint)
}

fn applied_scene(request: &Request, engine: &EngineInfo) -> AppliedScene {
    let spec = request.spec();
    AppliedScene {
        model: fingerprinted(engine),
        model_text: spec.text.clone(),
        adapters: spec.adapters.iter().map(applied).collect(),
        quality: step_cache::promise(&engine.model, &spec.sampling),
        refiner: spec.refiner.and(engine.model.refiner.clone()).unwrap_or_default(),
    }
}

fn applied(choice: &AdapterChoice) -> AppliedAdapter {
    let AdapterChoice { name, sha256, scale, text_scale, .. } = choice.clone();
    AppliedAdapter { name, sha256, scale, text_scale }
}

fn applied_control(choice: &ControlChoice, engine: &EngineInfo) -> AppliedControl {
    let network = engine.model.control(&choice.network);
    let fingerprint = network.map(|network| network.fingerprint.clone()).unwrap_or_default();
    AppliedControl { network: choice.network.clone(), fingerprint }
}

/// The text chunks of one picture's file.
///
/// # Errors
///
/// [`JsonError`] if the descriptor set is broken.
pub(crate) fn text_chunks(metadata: &ImageMetadata, request: &Request) -> Result<Vec<TextChunk>, JsonError> {
    Ok(vec![
        TextChunk { keyword: METADATA_KEYWORD, text: json::to_string(metadata)? },
        TextChunk { keyword: DESCRIPTION_KEYWORD, text: description(metadata, request) },
        TextChunk { keyword: PARAMETERS_KEYWORD, text: parameters(metadata, request) },
    ])
}

/// The text chunk of a picture that reused evaluations.
///
/// # Errors
///
/// [`JsonError`] if the descriptor set is broken.
pub(crate) fn reuse_chunk(reused: &EvaluationReuse) -> Result<TextChunk, JsonError> {
    Ok(TextChunk { keyword: REUSE_KEYWORD, text: json::to_string(&step_cache::reuse(reused))? })
}

fn description(metadata: &ImageMetadata, request: &Request) -> String {
    let spec = request.spec();
    let [width_px, height_px] = request.picture_size_px();
    let adapters = adapter_titles(&spec.adapters);
    let scene = request.scene().zip(metadata.scene.as_ref());
    let scene = scene.map(|(request, applied)| scene_description(request, applied)).unwrap_or_default();
    format!(
        "{}\n\n{}, {}x{}, picture {} of {}, seed {}, {} {} steps, guidance {}, shift {}, model {}{adapters}, device {}{scene}",
        spec.text,
        metadata.software,
        width_px,
        height_px,
        metadata.image_index + 1,
        spec.images,
        spec.seed,
        spec.sampling.steps,
        sampler_title(&spec.sampling),
        spec.sampling.guidance.scale,
        spec.sampling.shift,
        metadata.model,
        metadata.device,
    )
}

fn adapter_titles(adapters: &[AdapterChoice]) -> String {
    adapters.iter().map(|adapter| format!(", {} at {}", adapter.name, adapter.scale)).collect()
}

/// The part of [`description`] about the pass of a scene.
fn scene_description(request: &Request, applied: &AppliedScene) -> String {
    let spec = request.spec();
    let [width_px, height_px] = request.size_px();
    let strength = request.images().first_pass.as_ref().map_or(1.0, |first| first.strength);
    let adapters = adapter_titles(&spec.adapters);
    format!(
        "\n\n{}\n\nscene, {width_px}x{height_px}, strength {strength}, seed {}, {} {} steps, guidance {}, model {}{adapters}",
        spec.text,
        spec.seed,
        spec.sampling.steps,
        sampler_title(&spec.sampling),
        spec.sampling.guidance.scale,
        applied.model,
    )
}

/// The form that galleries and AUTOMATIC1111's web UI read: the prompt, the negative prompt, and one line of settings.
fn parameters(metadata: &ImageMetadata, request: &Request) -> String {
    let spec = request.spec();
    let negative = match spec.negative.trim() {
        "" => String::new(),
        text => format!("Negative prompt: {text}\n"),
    };
    let [width_px, height_px] = request.size_px();
    // The form in which these programs write adapters into the prompt.
    let adapters: String =
        spec.adapters.iter().map(|adapter| format!(" <lora:{}:{}>", adapter.name, adapter.scale)).collect();
    format!(
        "{}{adapters}\n{negative}Steps: {}, Sampler: {}, CFG scale: {}, Seed: {}, Size: {}x{}, Model: {}{}, Version: {}",
        spec.text.trim(),
        spec.sampling.steps,
        sampler_title(&spec.sampling),
        spec.sampling.guidance.scale,
        metadata.seed,
        width_px,
        height_px,
        metadata.model,
        passes(metadata, request),
        metadata.software,
    )
}

/// Solver and schedule, such as `DPM-Solver++ Karras`; the model's own schedule is not named.
fn sampler_title(sampling: &Sampling) -> String {
    let schedule = match sampling.schedule {
        NoiseSchedule::Native => "",
        NoiseSchedule::Karras => " Karras",
        NoiseSchedule::Exponential => " Exponential",
    };
    format!("{}{schedule}", sampling.solver.title())
}

/// The part of [`parameters`] about control images, a refiner, an initial image, a second pass and the model of a
/// scene: all but the last by the names of AUTOMATIC1111's web UI, which draws no scenes.
fn passes(metadata: &ImageMetadata, request: &Request) -> String {
    let Images { init, mask, second_pass, controls, .. } = request.images();
    let mut text = String::new();
    for (index, control) in controls.iter().enumerate() {
        let preprocessor = if control.canny.is_some() { "canny" } else { "none" };
        _ = write!(
            text,
            ", ControlNet {index}: \"Module: {preprocessor}, Model: {}, Weight: {}, Guidance Start: {}, Guidance End: {}\"",
            control.network, control.scale, control.start, control.end
        );
    }
    if let Some(refiner) = request.spec().refiner {
        _ = write!(text, ", Refiner: {}, Refiner switch at: {}", metadata.refiner, refiner.switch_at);
    }
    // Both strengths have the same name there; if there are two, it is that of the second pass.
    let strength = second_pass.map(|second| second.strength).or(init.as_ref().map(|init| init.strength));
    if let Some(strength) = strength {
        _ = write!(text, ", Denoising strength: {strength}");
    }
    if let Some(mask) = mask {
        _ = write!(text, ", Mask blur: {}", mask.feather_px);
    }
    if let Some(SecondPassFacts { factor, upscaler, steps, .. }) = second_pass {
        _ = write!(text, ", Hires upscale: {factor}, Hires steps: {steps}, Hires upscaler: {upscaler}");
    }
    if let Some(scene) = &metadata.scene {
        _ = write!(text, ", Scene model: {}", scene.model);
    }
    text
}
