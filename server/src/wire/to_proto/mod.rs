//! Domain types to messages: events and requests here, others in the files of this folder.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sakuga_model_core::{AdapterChoice, PreviewMethod, Refiner, Stage, StepReport};
use sakuga_proto::generation::v1::{self as generation, generate_event, generate_request};
use sakuga_proto::prompt::v1 as prompt;
use sakuga_schema::Strictness;

use crate::event::{CancelReason, Event, EventBody, FinishedImage, JobTimings, Preview};
use crate::job_id::JobId;
use crate::preview::PreviewFormat;
use crate::request::{Request, default_negative_system_prompt};
use crate::wire::{images, sampling, scene, status, step_cache};

mod adapters;
mod device_state;
mod estimate;
mod findings;
mod models;
mod observe;
mod system;
mod telemetry;
mod tokens;

pub(crate) use adapters::{adapter_status, adapters, unusable_adapter};
pub(crate) use estimate::{estimate, part, part_kind};
pub(crate) use findings::diagnostics;
pub(crate) use models::model_status;
pub(crate) use observe::{activity, compute_path, loading_phase, profile};
pub(crate) use system::{device, gpu_stats, model, server_info};
pub(crate) use telemetry::telemetry;
pub(crate) use tokens::token_count;

/// Facts about a job that its event messages contain.
#[derive(Clone, Debug)]
pub(crate) struct JobContext {
    pub job_id: JobId,
    /// The request, complete.
    pub resolved: generation::GenerateRequest,
    /// The full name of the device that draws it; before its start, of the first one.
    pub device: String,
    /// What a user must know about the model.
    pub model_notice: String,
    /// The text chunks of the file of each picture that is drawn.
    pub metadata: Vec<generation::ImageMetadata>,
}

impl JobContext {
    /// Sets the device that draws the job.
    pub(crate) fn set_device(&mut self, device: &str) {
        device.clone_into(&mut self.device);
        self.metadata.iter_mut().for_each(|metadata| device.clone_into(&mut metadata.device));
    }
}

pub(crate) fn event(context: &JobContext, event: Event) -> generation::GenerateEvent {
    let body = match event.body {
        EventBody::Accepted { diagnostics } => generate_event::Event::Accepted(generation::Accepted {
            request_id: context.resolved.request_id.clone(),
            diagnostics: self::diagnostics(&diagnostics),
        }),
        EventBody::Queued { position, eta } => generate_event::Event::Queued(generation::Queued {
            position: saturate(position),
            eta: eta.and_then(duration),
        }),
        EventBody::Requeued { attempt } => generate_event::Event::Requeued(generation::Requeued { attempt }),
        EventBody::Started { .. } => generate_event::Event::Started(started(context)),
        EventBody::Stage { stage, pass } => {
            generate_event::Event::Stage(generation::StageBegun { stage: self::stage(stage).into(), pass_number: pass })
        }
        EventBody::Step { report, eta } => generate_event::Event::Step(step(&report, eta)),
        EventBody::Profile(measured) => generate_event::Event::Profile(profile(measured)),
        EventBody::Preview(shown) => generate_event::Event::Preview(preview(shown)),
        EventBody::GpuStats(sample) => generate_event::Event::GpuStats(gpu_stats(&sample)),
        // The piece itself is put in when the event is sent.
        EventBody::ImageChunk { image_index, offset, total_size, .. } => {
            generate_event::Event::ImageChunk(generation::ImageChunk {
                image_index,
                format: generation::ImageFormat::Png.into(),
                offset,
                total_size,
                data: Bytes::new(),
            })
        }
        EventBody::Completed { images, timings, .. } => {
            generate_event::Event::Completed(completed(context, images, &timings))
        }
        EventBody::Failed(error) => generate_event::Event::Failed(status::to_rpc(&error)),
        EventBody::Cancelled { at_step, reason } => {
            let reason = cancel_reason(reason).into();
            generate_event::Event::Cancelled(generation::Cancelled { at_step, reason })
        }
    };
    generation::GenerateEvent {
        sequence: event.sequence,
        time: Some(timestamp(event.time)),
        job_id: context.job_id.as_str().to_owned(),
        event: Some(body),
    }
}

fn started(context: &JobContext) -> generation::Started {
    generation::Started {
        resolved: Some(context.resolved.clone()),
        seeds: context.metadata.iter().map(|metadata| metadata.seed).collect(),
        device: context.device.clone(),
        model_notice: context.model_notice.clone(),
        // All pictures of a request have the same quality.
        quality: context.metadata.first().and_then(|metadata| metadata.quality.clone()),
    }
}

/// A part of the pipeline.
fn stage(stage: Stage) -> generation::Stage {
    match stage {
        Stage::LoadModel => generation::Stage::LoadModel,
        Stage::LoadAdapters => generation::Stage::LoadAdapters,
        Stage::TextEncode => generation::Stage::TextEncode,
        Stage::VaeEncode => generation::Stage::VaeEncode,
        Stage::Denoise => generation::Stage::Denoise,
        Stage::Decode => generation::Stage::Decode,
        Stage::EncodeImage => generation::Stage::EncodeImage,
    }
}

fn step(report: &StepReport, eta: Option<Duration>) -> generation::Step {
    generation::Step {
        index: report.index,
        total: report.total,
        t: report.t as f32,
        sigma: report.sigma as f32,
        step_ms: (report.duration.as_secs_f64() * 1e3) as f32,
        eta: eta.and_then(duration),
        guidance_active: report.guidance_active,
        evaluations: report.evaluations,
        pass_number: report.pass,
        reused_share: report.reused_share,
    }
}

fn preview(shown: Preview) -> generation::Preview {
    generation::Preview {
        image_index: shown.image_index,
        step: shown.step,
        method: preview_method(Some(shown.method)).into(),
        format: preview_format(shown.format).into(),
        width: shown.width_px,
        height: shown.height_px,
        data: shown.data,
    }
}

fn completed(context: &JobContext, images: Vec<FinishedImage>, timings: &JobTimings) -> generation::Completed {
    let images = images.into_iter().zip(&context.metadata);
    generation::Completed {
        images: images
            .map(|(image, metadata)| generation::ImageInfo {
                sha256: image.sha256,
                pixels_sha256: image.pixels_sha256,
                width: image.width_px,
                height: image.height_px,
                size: image.size,
                metadata: Some(metadata.clone()),
                reuse: image.reused.as_ref().map(step_cache::reuse),
            })
            .collect(),
        timings: Some(generation::Timings {
            queued: duration(timings.queued),
            text_encode: duration(timings.text_encode),
            denoise: duration(timings.denoise),
            decode: duration(timings.decode),
            encode_image: duration(timings.encode_image),
            total: duration(timings.total),
            load_model: timings.load_model.and_then(duration),
            vae_encode: timings.vae_encode.and_then(duration),
        }),
    }
}

fn cancel_reason(reason: CancelReason) -> generation::CancelReason {
    match reason {
        CancelReason::ClientGone => generation::CancelReason::ClientGone,
        CancelReason::Requested => generation::CancelReason::Requested,
        CancelReason::Deadline => generation::CancelReason::Deadline,
        CancelReason::Shutdown => generation::CancelReason::Shutdown,
    }
}

/// The request with every default filled in: sent again, it makes the same pictures.
pub(crate) fn resolved(request: &Request) -> generation::GenerateRequest {
    let spec = request.spec();
    let policy = request.preview();
    let default = default_negative_system_prompt(&spec.negative, &spec.system_prompt);
    let [width, height] = request.size_px();
    let mut resolved = generation::GenerateRequest {
        request_id: request.request_id().to_owned(),
        prompt: Some(generate_request::Prompt::Typed(request.prompt().into())),
        strictness: match request.strictness() {
            Strictness::Lenient => prompt::Strictness::Lenient.into(),
            Strictness::Strict => prompt::Strictness::Strict.into(),
        },
        negative: request.negative().map(|typed| generate_request::Negative::NegativePrompt(typed.into())),
        model: request.model().to_owned(),
        system_prompt: Some(spec.system_prompt.clone()),
        sampling: Some(sampling::to_proto(&spec.sampling)),
        width,
        height,
        images: spec.images,
        image_indices: spec.image_indices.clone(),
        seed: Some(spec.seed),
        preview: Some(generation::PreviewOptions {
            method: preview_method(policy.method).into(),
            format: preview_format(policy.format).into(),
            max_edge: policy.max_edge_px,
            every_steps: policy.every_steps,
            min_interval_ms: saturate(policy.min_interval.as_millis()),
        }),
        gpu_stats_interval_ms: saturate(request.stats_interval().as_millis()),
        profile: spec.profile,
        expansion: request.expansion().map(|expansion| generation::Expansion {
            template: expansion.template.clone(),
            negative_template: expansion.negative_template.clone(),
            seed: expansion.seed,
            variation: expansion.variation,
            choices: expansion.choices.clone(),
        }),
        // Left out where it is the default: the file of a request that gives none is the same as before the field existed.
        negative_system_prompt: Some(&spec.negative_system_prompt).filter(|own| *own != default).cloned(),
        adapters: spec.adapters.iter().map(adapter).collect(),
        refiner: spec.refiner.map(refiner),
        ..generation::GenerateRequest::default()
    };
    images::fill(&mut resolved, request.images());
    let scene = request.scene().and_then(|scene| Some((scene, scene.images().first_pass.as_ref()?)));
    resolved.scene = scene.map(|(request, first_pass)| scene::to_proto(self::resolved(request), first_pass));
    resolved
}

/// An adapter by its content, so that the same one is used again.
fn adapter(choice: &AdapterChoice) -> generation::Adapter {
    generation::Adapter {
        source: Some(generation::adapter::Source::Sha256(choice.sha256.clone())),
        scale: Some(choice.scale),
        text_scale: Some(choice.text_scale),
    }
}

fn refiner(refiner: Refiner) -> generation::Refiner {
    let Refiner { switch_at, aesthetic_score, negative_aesthetic_score } = refiner;
    generation::Refiner {
        switch_at: Some(switch_at),
        aesthetic_score: Some(aesthetic_score),
        negative_aesthetic_score: Some(negative_aesthetic_score),
    }
}

fn preview_method(method: Option<PreviewMethod>) -> generation::PreviewMethod {
    match method {
        None => generation::PreviewMethod::None,
        Some(PreviewMethod::Linear) => generation::PreviewMethod::Linear,
        Some(PreviewMethod::Decoder) => generation::PreviewMethod::Decoder,
    }
}

fn preview_format(format: PreviewFormat) -> generation::ImageFormat {
    match format {
        PreviewFormat::Jpeg => generation::ImageFormat::Jpeg,
        PreviewFormat::Png => generation::ImageFormat::Png,
        PreviewFormat::Webp => generation::ImageFormat::Webp,
    }
}

pub(crate) fn timestamp(time: SystemTime) -> prost_types::Timestamp {
    time.into()
}

/// `None` for durations of thousands of years, which no protobuf duration can hold.
pub(crate) fn duration(time: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(time).ok()
}

/// The number, or the largest that its type in the message holds.
pub(crate) fn saturate(number: impl TryInto<u32>) -> u32 {
    number.try_into().unwrap_or(u32::MAX)
}
