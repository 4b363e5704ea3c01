//! [`Event`]: what happens to a job, as its readers see it. Events are numbered from 0, and exactly one terminal event ends them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sakuga_model_core::{EvaluationReuse, PreviewMethod, Stage, StageProfile, StepReport};
use sakuga_schema::Diagnostic;

use crate::error::ServerError;
use crate::estimate::JobMeasurements;
use crate::gpu::DeviceSample;
use crate::preview::PreviewFormat;

/// One event of a job, with its place and time.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Position in the job's events, from 0.
    pub sequence: u64,
    /// When it happened.
    pub time: SystemTime,
    /// What happened.
    pub body: EventBody,
}

/// What an event says.
#[derive(Clone, Debug)]
pub(crate) enum EventBody {
    /// The request has a job.
    Accepted {
        /// Findings about the prompt.
        diagnostics: Vec<Diagnostic>,
    },
    /// The job waits.
    Queued {
        /// Jobs before this one, the running ones included; 0: a device is free for it.
        position: usize,
        /// When it will probably start, if anything was measured.
        eta: Option<Duration>,
    },
    /// The server was stopped while the job ran; it waits again.
    Requeued {
        /// Number of the attempt that follows, from 2.
        attempt: u32,
    },
    /// The job has a device.
    Started {
        /// The device's full name.
        device: Arc<str>,
    },
    /// A part of the pipeline begins.
    Stage {
        /// The stage that begins.
        stage: Stage,
        /// The pass that it belongs to, from 1.
        pass: u32,
    },
    /// A step is done.
    Step {
        /// Its figures.
        report: StepReport,
        /// Time left until the pictures; `None` while too little was measured.
        eta: Option<Duration>,
    },
    /// The profile of a part of the pipeline.
    Profile(StageProfile),
    /// A preview of an unfinished picture.
    Preview(Preview),
    /// A sample of the device's sensors.
    GpuStats(DeviceSample),
    /// A piece of a finished picture, whose bytes are in the artifact store.
    ImageChunk {
        /// Index of the picture in the request, from 0.
        image_index: u32,
        /// Bytes before this piece.
        offset: u64,
        /// Bytes of the whole picture.
        total_size: u64,
        /// Bytes of this piece.
        len: u64,
    },
    /// Terminal: every picture was sent.
    Completed {
        /// One entry for each picture.
        images: Vec<FinishedImage>,
        /// Where the time went.
        timings: JobTimings,
        /// What was measured, for estimates. It is stored with the job and not sent.
        measured: Box<JobMeasurements>,
    },
    /// Terminal: what went wrong.
    Failed(ServerError),
    /// Terminal: the job was cancelled.
    Cancelled {
        /// Number of steps that were done.
        at_step: u32,
        /// Who or what cancelled it.
        reason: CancelReason,
    },
}

/// Whether a slow reader may miss an event, and whether it ends the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventClass {
    /// Every reader gets it.
    State,
    /// Dropped for newer ones.
    Lossy,
    /// Every reader gets it, and it is the last one.
    Terminal,
}

impl EventBody {
    /// Whether readers may miss this event, and whether it is the last one.
    pub(crate) fn class(&self) -> EventClass {
        match self {
            EventBody::Preview(_) | EventBody::GpuStats(_) => EventClass::Lossy,
            EventBody::Completed { .. } | EventBody::Failed(_) | EventBody::Cancelled { .. } => EventClass::Terminal,
            EventBody::Accepted { .. }
            | EventBody::Queued { .. }
            | EventBody::Requeued { .. }
            | EventBody::Started { .. }
            | EventBody::Stage { .. }
            | EventBody::Step { .. }
            | EventBody::Profile(_)
            | EventBody::ImageChunk { .. } => EventClass::State,
        }
    }
}

/// A preview of an unfinished picture.
#[derive(Clone, Debug)]
pub(crate) struct Preview {
    /// Which picture.
    pub image_index: u32,
    /// The step after which it was made.
    pub step: u32,
    /// How the pixels were computed from the latents.
    pub method: PreviewMethod,
    /// The file format of `data`.
    pub format: PreviewFormat,
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
    /// The encoded picture.
    pub data: Bytes,
}

/// Hashes and sizes of one finished picture; the artifact store has its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FinishedImage {
    /// SHA-256 of the file.
    pub sha256: String,
    pub pixels_sha256: String,
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
    /// Bytes of the file.
    pub size: u64,
    /// What it reused; `None`: nothing.
    pub reused: Option<EvaluationReuse>,
}

/// Where a job's time went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobTimings {
    pub queued: Duration,
    /// Loading the weights to the device; `None`: they were there.
    pub load_model: Option<Duration>,
    /// Tokenizers and text encoders.
    pub text_encode: Duration,
    /// All steps.
    pub denoise: Duration,
    /// Pixels to latents; `None`: nothing was encoded.
    pub vae_encode: Option<Duration>,
    /// Latents to pixels.
    pub decode: Duration,
    /// Pixels to PNG.
    pub encode_image: Duration,
    /// From `accepted` to `completed`.
    pub total: Duration,
}

/// Why a job was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum CancelReason {
    /// The stream was dropped.
    ClientGone = 1,
    /// A call asked for it.
    Requested = 2,
    /// The call's deadline passed.
    Deadline = 3,
    /// The server is shutting down.
    Shutdown = 4,
}
