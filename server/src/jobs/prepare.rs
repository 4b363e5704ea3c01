//! Checks a request and derives what its job needs.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use sakuga_model_core::{GenerationSpec, ModelInfo, TokenCount};
use sakuga_proto::generation::v1::{self as generation};
use sakuga_proto::text::count;
use sakuga_schema::Diagnostic;

use super::measurements::Setup;
use super::policy::JobPolicy;
use super::registry::Dependencies;
use super::scene::CheckedScene;
use super::uploads::OwnFiles;
use crate::assets::AssetOwner;
use crate::error::{ServerError, Violation};
use crate::estimate::JobWork;
use crate::job::{JobRequest, PictureTexts, Placement, ScenePass};
use crate::job_id::JobId;
use crate::limits::Limits;
use crate::request::{Request, RequestRules, notice};
use crate::wire::to_proto::JobContext;
use crate::wire::{from_proto, metadata, to_proto};

/// Bytes of the description of a picture without what it repeats.
const IMAGE_BYTES: usize = 256;

/// A checked request in the forms in which it is needed.
pub(super) struct Prepared {
    pub(super) context: JobContext,
    pub(super) request: JobRequest,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Tokens of the prompt and of the negative prompt.
    pub(super) tokens: [Vec<TokenCount>; 2],
    /// The setup that measurements of the job apply to.
    pub(super) setup: Setup,
    /// The files that came within the request. The resolved request has their SHA-256 instead.
    pub(super) inline_files: Vec<Bytes>,
}

/// Checks a request: parses its prompts, counts their tokens and fills in the defaults. The resolved request of an earlier
/// run is returned unchanged. It may name the assets of `owner` and the files that are kept for the job.
///
/// # Errors
///
/// [`ServerError::InvalidRequest`] or [`ServerError::UnknownModel`].
pub(super) fn prepare(
    dependencies: &Dependencies,
    job_id: JobId,
    (client, owner): (Arc<str>, &AssetOwner),
    mut message: generation::GenerateRequest,
    policy: JobPolicy,
) -> Result<Prepared, ServerError> {
    check_text(&message)?;
    let model = dependencies.models.find("model", &message.model)?;
    let adapters = from_proto::adapters(std::mem::take(&mut message.adapters));
    let scene = message.scene.take();
    let mut unchecked = from_proto::unchecked(message);
    let uploads = OwnFiles { assets: &dependencies.assets, owner, job: Some(&job_id) };
    unchecked.adapters = dependencies.adapters.choose(adapters, model, &uploads, &mut unchecked.faults);
    let mut inline_files = unchecked.images.inline_files();
    let checked = unchecked.check(RequestRules { uploads: &uploads, ..RequestRules::of(model) }, draw_seed);
    let scene = scene.map(|scene| super::scene::check(dependencies, &uploads, scene, checked.as_ref().ok()));
    let (checked, scene_model) = match both(checked, scene.transpose())? {
        (first, None) => (first, None),
        (first, Some(CheckedScene { request, model, inline_files: own })) => {
            inline_files.extend(own);
            (first.with_scene(request), Some(model))
        }
    };
    let resolved = to_proto::resolved(&checked);
    let drawn = checked.spec().drawn().into_iter();
    let scene_info = scene_model.map(|model| &model.info);
    let metadata: Vec<_> =
        drawn.map(|index| metadata::image_metadata(&checked, &resolved, &model.info, scene_info, index)).collect();
    check_size(&resolved, &metadata)?;
    let mut model_notice = notice::of_request(&model.info.model, &checked.spec().sampling);
    let scene = checked.scene().zip(scene_model);
    if let Some((scene, model)) = scene {
        notice::add_scene(&mut model_notice, &model.info.model, &scene.spec().sampling);
    }
    let scene = scene.and_then(|(scene, model)| ScenePass::new(scene, model.id, &model.info, &checked.preview()));
    let diagnostics = checked.diagnostics().to_vec();
    let tokens = checked.tokens().map(<[TokenCount]>::to_vec);
    let request = JobRequest {
        request_id: checked.request_id().to_owned(),
        client,
        model: model.id,
        priority: policy.priority,
        timeout: policy.timeout,
        placement: placement(policy.placement, &model.info.model, checked.spec()),
        is_kept: dependencies.is_durable && policy.grace.is_none_or(|grace| !grace.is_zero()),
        spec: checked.spec().clone(),
        work: JobWork::new(checked.spec(), &model.info, checked.tokens(), &checked.preview()),
        held_images: dependencies
            .held_images
            .hold(std::iter::once(checked.spec()).chain(scene.as_ref().map(ScenePass::spec)))?,
        scene,
        preview: checked.preview(),
        stats_interval: checked.stats_interval(),
        texts: texts(checked, metadata.clone()),
    };
    let device = model.info.device.clone();
    let context = JobContext { job_id, resolved, device, model_notice, metadata };
    Ok(Prepared { context, request, diagnostics, tokens, setup: Setup::of(&model.info), inline_files })
}

/// The placement of a job: one device if two cannot share its guidance.
fn placement(asked: Placement, model: &ModelInfo, spec: &GenerationSpec) -> Placement {
    let is_shareable = model.shares_guidance && spec.sampling.guidance.is_ever_active();
    if is_shareable { asked } else { Placement::Throughput }
}

/// A checked request and its checked scene, or the faults of both.
fn both<'a>(
    first: Result<Request, ServerError>,
    scene: Result<Option<CheckedScene<'a>>, ServerError>,
) -> Result<(Request, Option<CheckedScene<'a>>), ServerError> {
    match (first, scene) {
        (Err(ServerError::InvalidRequest(mut faults)), Err(ServerError::InvalidRequest(of_scene))) => {
            faults.extend(of_scene);
            Err(ServerError::InvalidRequest(faults))
        }
        (Err(error), _) | (_, Err(error)) => Err(error),
        (Ok(first), Ok(scene)) => Ok((first, scene)),
    }
}

/// What the files of the pictures record, once the device is known.
fn texts(request: Request, metadata: Vec<generation::ImageMetadata>) -> PictureTexts {
    PictureTexts::new(move |device| {
        let on_device = metadata.iter().map(|metadata| {
            let metadata = generation::ImageMetadata { device: device.to_owned(), ..metadata.clone() };
            metadata::text_chunks(&metadata, &request)
        });
        on_device.collect::<Result<_, _>>().map_err(|error| ServerError::Internal(error.to_string()))
    })
}

/// Refuses a request whose texts are larger than any prompt. The message limit is larger only because of images.
fn check_text(message: &generation::GenerateRequest) -> Result<(), ServerError> {
    let sources = [
        message.init.as_ref().and_then(|init| init.image.as_ref()),
        message.mask.as_ref().and_then(|mask| mask.image.as_ref()),
        message.scene.as_ref().and_then(|scene| scene.protection.as_ref()?.image.as_ref()),
    ];
    let controls = message.controls.iter().filter_map(|control| control.image.as_ref());
    let images: usize = sources.into_iter().flatten().chain(controls).map(prost::Message::encoded_len).sum();
    let (bytes, bytes_max) = (message.encoded_len().saturating_sub(images), Limits::PROMPT_MESSAGE_BYTES_MAX);
    if bytes <= bytes_max {
        return Ok(());
    }
    let text = format!("the request has {bytes} bytes besides its images; shorten the texts to {bytes_max} in all");
    Err(ServerError::invalid("prompt", Violation::OUT_OF_RANGE, text))
}

/// Refuses a job that would not fit into a message once it has completed: each of its pictures repeats the request.
fn check_size(
    resolved: &generation::GenerateRequest,
    metadata: &[generation::ImageMetadata],
) -> Result<(), ServerError> {
    let each = metadata.first().map_or(0, |first| first.encoded_len() + IMAGE_BYTES);
    let bytes = resolved.encoded_len() + metadata.len() * each;
    if bytes <= Limits::CONTENT_BYTES_MAX {
        return Ok(());
    }
    let fitting = (Limits::CONTENT_BYTES_MAX.saturating_sub(resolved.encoded_len()) / each.max(1)).max(1);
    let text = format!(
        "each picture repeats the request, and with prompts of this length a message does not hold {}; use at most \
         {fitting}, or shorter prompts",
        count(metadata.len(), "picture")
    );
    Err(ServerError::invalid("images", Violation::OUT_OF_RANGE, text))
}

/// A seed of 32 bits: short enough to be read out and typed again.
fn draw_seed() -> u64 {
    // If the system has no randomness, the clock is random enough for a picture.
    let clock = || std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.subsec_nanos());
    getrandom::u32().unwrap_or_else(|_| clock()).into()
}
