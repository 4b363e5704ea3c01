//! [`Finished`]: what an answer states about the pictures of a completed job.

use std::sync::Arc;

use sakuga_proto::generation::v1::{Completed, ImageInfo, ImageMetadata};
use serde_json::{Value, json};

use super::Api;
use super::drawing::quality_name;
use super::output::Output;
use super::pictures::Picture;
use crate::job_id::JobId;

/// The pictures of a job, and what holds for all of them.
pub(super) struct Finished {
    pub(super) pictures: Vec<Picture>,
    /// The index of each picture, and the seed of its noise.
    pub(super) seeds: Vec<(u32, u64)>,
    /// Width and height, `1024x1024`.
    pub(super) size: String,
    /// OpenAI's name for the quality of the request.
    pub(super) quality: &'static str,
    /// Tokens of the prompt.
    pub(super) usage: Value,
}

impl Finished {
    /// Counts the tokens of the prompt, on a thread that may block.
    pub(super) async fn of(api: &Arc<Api>, id: &JobId, completed: Completed, output: Output) -> Self {
        let images = completed.images;
        let size = images.first().map(|image| format!("{}x{}", image.width, image.height)).unwrap_or_default();
        let metadata = images.first().and_then(|image| image.metadata.clone()).unwrap_or_default();
        let indexed = || images.iter().enumerate().map(|(position, image)| (image.index_at(position), image));
        let seed = |metadata: &Option<ImageMetadata>| metadata.as_ref().map_or(0, |metadata| metadata.seed);
        let seeds = indexed().map(|(index, image)| (index, seed(&image.metadata))).collect();
        let picture = |(image_index, image): (u32, &ImageInfo)| {
            let (size, sha256) = (image.size, image.sha256.clone());
            Picture { api: api.clone(), id: id.clone(), image_index, size, sha256, output }
        };
        let pictures = indexed().map(picture).collect();
        let quality = quality_name(metadata.request.as_ref());
        let counting = api.clone();
        let tokens = tokio::task::spawn_blocking(move || tokens(&counting, &metadata)).await.unwrap_or(0);
        Self { pictures, seeds, size, quality, usage: usage(tokens) }
    }
}

/// Tokens of the prompt, over all text encoders of the model.
fn tokens(api: &Api, metadata: &ImageMetadata) -> u64 {
    let Some(request) = &metadata.request else { return 0 };
    let Ok(model) = api.context.models.find("model", &request.model) else { return 0 };
    let system_prompt = request.system_prompt.as_deref().unwrap_or_default();
    model.tokens.count(system_prompt, &metadata.model_text).iter().map(|count| u64::from(count.tokens)).sum()
}

/// Pictures have no tokens here, so only those of the prompt count.
fn usage(text_tokens: u64) -> Value {
    json!({
        "input_tokens": text_tokens,
        "input_tokens_details": { "image_tokens": 0, "text_tokens": text_tokens },
        "output_tokens": 0,
        "output_tokens_details": { "image_tokens": 0, "text_tokens": 0 },
        "total_tokens": text_tokens,
    })
}
