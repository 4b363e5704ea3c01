//! [`JobRequest`]: a checked request with everything that the scheduler, the engine and the encoder need.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sakuga_model_core::GenerationSpec;

use super::held_images::HeldRoom;
use crate::error::ServerError;
use crate::estimate::JobWork;
use crate::models::ModelId;
use crate::picture::TextChunk;
use crate::preview::PreviewPolicy;

/// A checked request with everything that the scheduler, the engine and the encoder need.
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
    /// The request for the engine.
    pub spec: GenerationSpec,
    /// The amount of work in each of its parts, for estimates.
    pub work: JobWork,
    /// The memory reserved for the images of `spec`, until the request is dropped.
    #[allow(dead_code, reason = "kept for its Drop")]
    pub held_images: Option<HeldRoom>,
    /// Which previews are sent.
    pub preview: PreviewPolicy,
    /// Least time between two samples of the device.
    pub stats_interval: Duration,
    /// What the files of the pictures that are drawn record.
    pub texts: PictureTexts,
}

/// The text chunks of the files of a job's pictures, in the order of the pictures that are drawn. They name the device, which is
/// not known before the job starts.
#[derive(Clone)]
pub(crate) struct PictureTexts(Arc<TextsOn>);

/// Returns the text chunks of each picture on the device of this full name.
type TextsOn = dyn Fn(&str) -> Result<Vec<Vec<TextChunk>>, ServerError> + Send + Sync;

impl PictureTexts {
    /// Those that `texts` returns for a device.
    pub(crate) fn new(
        texts: impl Fn(&str) -> Result<Vec<Vec<TextChunk>>, ServerError> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(texts))
    }

    /// The text chunks of each picture that this device has drawn.
    ///
    /// # Errors
    ///
    /// [`ServerError::Internal`].
    pub(crate) fn on(&self, device: &str) -> Result<Vec<Vec<TextChunk>>, ServerError> {
        (self.0)(device)
    }
}

impl fmt::Debug for PictureTexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PictureTexts")
    }
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
