//! The server, its models and its devices.

use std::time::{Duration, SystemTime};

use sakuga_model_core::{ControlNetwork, ModelVocabulary, PromptText};
use sakuga_proto::system::v1 as system;

use super::device_state::device_state;
use super::{compute_path, duration, loading_phase, saturate, timestamp};
use crate::devices::{DeviceState, DeviceStatus};
use crate::gpu::{DeviceSample, StatsSource};
use crate::job_id::JobId;
use crate::models::ServedModel;
use crate::wire::sampling;

/// The message of a sample; readings that the device does not give are absent.
pub(crate) fn gpu_stats(sample: &DeviceSample) -> system::GpuStats {
    system::GpuStats {
        time: Some(timestamp(sample.time)),
        source: match sample.source {
            StatsSource::Nvml => system::StatsSource::Nvml,
            StatsSource::Host => system::StatsSource::Host,
        }
        .into(),
        device_index: sample.device_index,
        name: sample.name.to_string(),
        utilization_percent: sample.utilization_percent,
        memory_utilization_percent: sample.memory_utilization_percent,
        memory_used_bytes: sample.memory_used_bytes,
        memory_total_bytes: sample.memory_total_bytes,
        process_memory_bytes: sample.process_memory_bytes,
        sm_clock_mhz: sample.sm_clock_mhz,
        memory_clock_mhz: sample.memory_clock_mhz,
        power_watts: sample.power_watts,
        temperature_celsius: sample.temperature_celsius,
        throttle_reasons: sample.throttle_reasons.iter().map(|reason| (*reason).to_owned()).collect(),
        energy_joules: sample.energy_joules,
        pcie_receive_bytes_per_second: sample.pcie.map(|pcie| pcie.receive_bytes_per_second),
        pcie_send_bytes_per_second: sample.pcie.map(|pcie| pcie.send_bytes_per_second),
        device: sample.device.to_string(),
    }
}

/// A device with its running job, if that may be shown.
pub(crate) fn device(status: &DeviceStatus, job: Option<&JobId>) -> system::Device {
    system::Device {
        name: status.info.name.to_string(),
        full_name: status.info.full_name.to_string(),
        state: device_state(&status.state).into(),
        failure: if let DeviceState::Lost(reason) = &status.state { reason.clone() } else { String::new() },
        models: status.models.iter().map(ToString::to_string).collect(),
        job_id: job.map(JobId::to_string).unwrap_or_default(),
        jobs: status.jobs,
        losses: status.losses,
    }
}

pub(crate) fn model(served: &ServedModel) -> system::Model {
    let info = &served.info.model;
    system::Model {
        name: info.name.clone(),
        parameters: info.parameters.iter().map(|(part, count)| (part.clone(), *count)).collect(),
        default_size: info.default_size_px,
        has_preview_decoder: info.has_preview_decoder,
        encodes_images: info.encodes_images,
        notice: info.notice.clone(),
        fingerprint: info.fingerprint.clone(),
        default_system_prompt: info.default_system_prompt.clone(),
        default_sampling: Some(sampling::defaults(&info.sampling)),
        text_encoders: info
            .encoders
            .iter()
            .map(|encoder| system::TextEncoder { name: encoder.name.into(), max_tokens: encoder.tokens_max })
            .collect(),
        stages: info.stages.iter().map(|stage| stage.name().into()).collect(),
        solvers: info.solvers.iter().map(|solver| solver.name().into()).collect(),
        schedules: info.schedules.iter().map(|schedule| schedule.name().into()).collect(),
        has_shift: info.has_shift,
        size_multiple: info.size.multiple_px,
        max_edge: info.size.edge_max_px,
        max_pixels: info.size.pixels_max.min(served.limits.pixels_max),
        prompt_text: match info.prompt_text {
            PromptText::Markup => system::PromptText::Markup,
            PromptText::Tags => system::PromptText::Tags,
        }
        .into(),
        vocabulary: info.vocabulary.as_deref().map(vocabulary),
        refiner: info.refiner.clone().unwrap_or_default(),
        step_cache_blocks: info.step_cache.as_ref().map_or(0, |support| support.blocks),
        has_quality_profile: info.step_cache.as_ref().is_some_and(|support| support.profile.is_some()),
        control_networks: info.controls.iter().map(control_network).collect(),
    }
}

fn control_network(network: &ControlNetwork) -> system::ControlNetwork {
    let ControlNetwork { name, fingerprint, device_bytes, problem } = network.clone();
    system::ControlNetwork { name, fingerprint, device_bytes, problem }
}

fn vocabulary(vocabulary: &ModelVocabulary) -> system::ModelVocabulary {
    let element =
        |(element, tags): (&String, &Vec<String>)| system::ElementTags { element: element.clone(), tags: tags.clone() };
    let size = |&[width, height]: &[u32; 2]| system::TrainedSize { width, height };
    system::ModelVocabulary {
        elements: vocabulary.tags.iter().map(element).collect(),
        sizes: vocabulary.sizes_px.iter().map(size).collect(),
        max_characters: vocabulary.characters_max,
    }
}

/// What the server is; engine and limits are those of its default model, on the first device.
pub(crate) fn server_info(
    model: &ServedModel,
    started: SystemTime,
    jobs: usize,
    step_time: Option<Duration>,
) -> system::GetServerInfoResponse {
    let ServedModel { info: engine, limits, .. } = model;
    system::GetServerInfoResponse {
        version: env!("CARGO_PKG_VERSION").into(),
        device: engine.device.clone(),
        precision: engine.precision.clone(),
        engine: engine.kind.into(),
        started: Some(timestamp(started)),
        limits: Some(system::Limits {
            max_prompt_bytes: saturate(limits.prompt_bytes_max),
            max_pixels: limits.pixels_max,
            max_images: limits.images_max,
            max_steps: limits.steps_max,
            max_queued: saturate(limits.queued_max),
            size_multiple: engine.model.size.multiple_px,
        }),
        jobs: saturate(jobs),
        step_time: step_time.and_then(duration),
        loading: engine.loading.iter().map(loading_phase).collect(),
        compute_paths: engine.compute_paths.iter().map(compute_path).collect(),
    }
}
