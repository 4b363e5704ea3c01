//! [`JobRequest`]: a checked request with everything that the scheduler, the engine and the encoder need.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sakuga_model_core::GenerationSpec;

use super::held_images::HeldRoom;
use super::scene::ScenePass;
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
    /// On how many devices it is drawn.
    pub placement: Placement,
    /// How long after its acceptance it is cancelled; `None`: never.
    pub timeout: Option<Duration>,
    /// Whether the job survives a shutdown: it then waits for the next start instead of ending as cancelled.
    pub is_kept: bool,
    /// The request for the engine.
    pub spec: GenerationSpec,
    /// The amount of work in each of its parts, for estimates.
    pub work: JobWork,
    /// The pass of another model over its pictures.
    pub scene: Option<ScenePass>,
    /// The memory reserved for the images of `spec` and of its scene, until the request is dropped.
    #[allow(dead_code, reason = "kept for its Drop")]
    pub held_images: Option<HeldRoom>,
    /// Which previews are sent.
    pub preview: PreviewPolicy,
    /// Least time between two samples of the device.
    pub stats_interval: Duration,
    /// What the files of the pictures that are drawn record.
    pub texts: PictureTexts,
}

impl JobRequest {
    /// The models that draw it, in the order of their passes.
    pub(crate) fn models(&self) -> impl Iterator<Item = ModelId> + Clone {
        std::iter::once(self.model).chain(self.scene.as_ref().map(|scene| scene.model))
    }

    /// How often the pass of its scene is drawn: once for each picture.
    pub(crate) fn scene_draws(&self) -> u32 {
        if self.scene.is_some() { self.spec.drawn().len() as u32 } else { 0 }
    }

    /// Steps of all passes, batches and pictures.
    pub(crate) fn steps(&self) -> u32 {
        let scene = self.scene.as_ref().map_or(0, |scene| scene.work.steps());
        self.work.steps() + self.scene_draws() * scene
    }

    /// Evaluations of the denoisers, and how many of them are guided.
    pub(crate) fn evaluations(&self) -> [u32; 2] {
        let scene = self.scene.as_ref().map_or([0, 0], |scene| scene.work.evaluations());
        let [all, guided] = self.work.evaluations();
        [all + self.scene_draws() * scene[0], guided + self.scene_draws() * scene[1]]
    }

    /// The number of its last pass, from 1.
    pub(crate) fn passes(&self) -> u32 {
        self.spec.passes().count() as u32 + u32::from(self.scene.is_some())
    }
}

/// The text chunks of the files of a job's pictures, in the order of the pictures that are drawn. They name the device, which is
/// not known before the job starts.
#[derive(Clone)]
pub(crate) struct PictureTexts(Arc<TextsOn>);

/// Returns the text chunks of each picture that the device of this full name draws.
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

/// When a job gets a second device, which computes half of the guidance. It never waits for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Placement {
    /// If one is free and it would miss its deadline otherwise.
    #[default]
    Deadline,
    /// Never.
    Throughput,
    /// If one is free.
    Latency,
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
