//! [`Report`]: the answer of `Estimate`, for a request that is not submitted.

use std::sync::Arc;
use std::time::Duration;

use sakuga_model_core::{Quality, QualityProfile, TokenCount};
use sakuga_schema::Diagnostic;

use super::{Interval, PartTime};

/// Expected time, memory and energy of a request, and what would have to change for it to be accepted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report {
    /// Name of the model.
    pub model: String,
    /// Name of the device that would run it.
    pub device: String,
    /// Number of measured jobs behind the times; 0 if they are a guess.
    pub learned_jobs: u32,
    /// Seconds from the start of the job until its image files are ready, including the loads of its models.
    pub time: Interval,
    /// The parts of `time`, without the loads.
    pub parts: Vec<PartTime>,
    /// The loads of its models, each with the pass before which it runs; none for a model that will be on the device.
    pub loads: Vec<(u32, Load)>,
    /// Token counts of the prompt and of the negative prompt, for each text encoder.
    pub tokens: [Vec<TokenCount>; 2],
    /// Number of steps of all passes and batches.
    pub steps: u32,
    /// Number of evaluations of the denoiser, and how many of them are guided.
    pub evaluations: [u32; 2],
    /// Bytes of device memory that the job needs.
    pub memory_needed: u64,
    /// Bytes of device memory that it may use; `None` if unknown.
    pub memory_available: Option<u64>,
    /// Energy of the device, in joules.
    pub joules: Option<f64>,
    /// Number of jobs that would run before it.
    pub position: usize,
    /// Time until it would start; `None` if unknown.
    pub eta: Option<Duration>,
    /// Why it would be refused now; empty if it would be accepted.
    pub obstacles: Vec<Obstacle>,
    /// Findings about its prompts.
    pub diagnostics: Vec<Diagnostic>,
    /// Its quality level and the profile that measured it with the settings of the request; `None` without such a profile.
    pub quality: Option<(Quality, Arc<QualityProfile>)>,
}

/// The time to load a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Load {
    pub seconds: f64,
    /// Whether the time was measured. Otherwise it is a guess from the size of the weights.
    pub is_measured: bool,
}

/// Why a valid request would be refused now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Obstacle {
    pub kind: ObstacleKind,
    /// What is exceeded and by how much, as a sentence.
    pub description: String,
    /// Changes to the request; each of them alone would remove this obstacle.
    pub changes: Vec<Change>,
}

/// The limit that a request exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObstacleKind {
    /// It needs more device memory than it may use.
    Memory,
    /// It would end after its deadline.
    Deadline,
    /// The queue is full.
    Queue,
    /// Its client has the most jobs that one client may have.
    ClientJobs,
}

/// A change to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Paths of fields and their new values in protobuf JSON. An empty value removes the field.
    pub fields: Vec<(&'static str, String)>,
    /// The change as a sentence.
    pub description: String,
}
