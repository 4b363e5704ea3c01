//! [`JobRequest`]: what a checked request asks of the engine, the scheduler and the encoder.

use std::sync::Arc;
use std::time::Duration;

use sakuga_model_core::GenerationSpec;

use super::held_images::HeldRoom;
use crate::estimate::JobWork;
use crate::models::ModelId;
use crate::picture::TextChunk;
use crate::preview::PreviewPolicy;

/// What a checked request asks of the engine, the scheduler and the encoder.
#[derive(Clone, Debug)]
pub(crate) struct JobRequest {
    /// The caller's name for the request.
    pub request_id: String,
    /// The client, for shares of the device and limits per client.
    pub client: Arc<str>,
    /// The model that draws it.
    pub model: ModelId,
    /// The job's share of the device.
    pub priority: Priority,
    /// Whether the job survives a shutdown: it then waits for the next start instead of ending as cancelled.
    pub is_kept: bool,
    /// What the engine draws.
    pub spec: GenerationSpec,
    /// How much there is to do in each of its parts.
    pub work: JobWork,
    /// The room that the images of `spec` take; it is free again when the request is dropped.
    #[allow(dead_code, reason = "kept for its Drop")]
    pub held_images: Option<HeldRoom>,
    /// Which previews are sent.
    pub preview: PreviewPolicy,
    /// Least time between two samples of the device.
    pub stats_interval: Duration,
    /// The text chunks of the file of each picture that is drawn.
    pub texts: Vec<Vec<TextChunk>>,
}

/// A job's share of the device while other jobs wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Priority {
    /// A quarter of a normal job's.
    Low,
    /// One share.
    #[default]
    Normal,
    /// Four times a normal job's.
    High,
}
