//! [`Report`]: what is expected of a request that is not submitted, and what would have to change for it to be accepted.

use std::time::Duration;

use sakuga_model_core::TokenCount;
use sakuga_schema::Diagnostic;

use super::{Interval, PartTime};

/// What is expected of a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report {
    /// The model that would draw it.
    pub model: String,
    /// The device.
    pub device: String,
    /// Jobs that the times are learnt from; 0: they are a guess.
    pub learned_jobs: u32,
    /// From its start to its pictures, in seconds, with the loads of its models.
    pub time: Interval,
    /// The parts of that time, without the loads.
    pub parts: Vec<PartTime>,
    /// The loads of its models, each with the pass before which it comes; none of a model that is on the device by then.
    pub loads: Vec<(u32, Load)>,
    /// Tokens of the prompt and of the negative prompt for each text encoder.
    pub tokens: [Vec<TokenCount>; 2],
    /// Steps of all passes and batches.
    pub steps: u32,
    /// Evaluations of the denoiser, and how many of them are guided.
    pub evaluations: [u32; 2],
    /// Bytes of the device's memory that it needs.
    pub memory_needed: u64,
    /// Bytes that there are for it, if known.
    pub memory_available: Option<u64>,
    /// Energy of the device, in joules.
    pub joules: Option<f64>,
    /// Jobs that would be before it.
    pub position: usize,
    /// Time until it would start.
    pub eta: Option<Duration>,
    /// Why it would be refused.
    pub obstacles: Vec<Obstacle>,
    /// Findings about its prompts.
    pub diagnostics: Vec<Diagnostic>,
}

/// The load of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Load {
    /// Seconds.
    pub seconds: f64,
    /// Whether it was measured; else it is a guess from the size of the weights.
    pub is_measured: bool,
}

/// Why a valid request would be refused now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Obstacle {
    /// What it does not fit.
    pub kind: ObstacleKind,
    /// What is missing.
    pub description: String,
    /// Changes of which each would remove this obstacle.
    pub changes: Vec<Change>,
}

/// What a request does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObstacleKind {
    /// The memory that there is for it.
    Memory,
    /// Its deadline.
    Deadline,
    /// The queue.
    Queue,
    /// The jobs of its client.
    ClientJobs,
}

/// A change of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Fields and their new values, as protobuf JSON writes them; an empty value: without the field.
    pub fields: Vec<(&'static str, String)>,
    /// The same as a sentence.
    pub description: String,
}
