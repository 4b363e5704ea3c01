//! The events of a job: the messages of the API, with finished pictures put together and gaps counted.

use std::time::SystemTime;

use sakuga_proto::generation::v1 as wire;
use sakuga_proto::generation::v1::generate_event::Event as WireEvent;
use sakuga_proto::system::v1::GpuStats;

use crate::assemble::Picture;

/// One event of a job.
#[derive(Clone, Debug)]
pub struct Event {
    /// Position in the job's events, from 0.
    pub sequence: u64,
    /// When it happened, by the server's clock.
    pub time: Option<SystemTime>,
    /// The identifier that the server gave the job.
    pub job_id: String,
    /// Events between the last one received and this one that the server dropped, because this side read too slowly or
    /// was disconnected. Only previews, statistics and queue positions are ever dropped.
    pub missed_before: u64,
    /// What happened.
    pub kind: EventKind,
}

/// What happened. The messages are documented in `event.proto`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// The request is valid and has a job.
    Accepted(wire::Accepted),
    /// The job waits in the queue.
    Queued(wire::Queued),
    /// The server was stopped while the job ran; the job is drawn again from the start with the same seed.
    Requeued(wire::Requeued),
    /// The job runs.
    Started(Box<wire::Started>),
    /// A stage of the pipeline begins. An unknown number is one of a newer server.
    Stage(wire::StageBegun),
    /// A step is done.
    Step(wire::Step),
    /// Device times of a stage, for a request with `profile`.
    Profile(Box<wire::Profile>),
    /// A preview of a picture.
    Preview(wire::Preview),
    /// A sample of the device.
    GpuStats(Box<GpuStats>),
    /// A piece of a finished picture arrived.
    Receiving {
        /// Index of the picture in the request.
        image_index: u32,
        /// Bytes received so far.
        received_bytes: u64,
        /// Bytes of the whole file.
        total_bytes: u64,
    },
    /// Terminal: the pictures, complete and with the checksums that the server named.
    Completed(Box<Completed>),
    /// Terminal: the job was cancelled.
    Cancelled(wire::Cancelled),
    /// An event of a newer server.
    Unknown,
}

/// The pictures of a completed job.
#[derive(Clone, Debug)]
pub struct Completed {
    /// The pictures, in the order of the request.
    pub pictures: Vec<Picture>,
    /// Time of each stage. [`sakuga_proto::time`] turns it into values of the standard library.
    pub timings: wire::Timings,
}

impl EventKind {
    /// Whether it is the last event of a job.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Completed(_) | Self::Cancelled(_))
    }

    /// The kind of an event that needs no state. `None` for pieces of pictures and terminal events, which
    /// [`Generation`](crate::Generation) handles.
    pub(crate) fn of(event: WireEvent) -> Option<Self> {
        Some(match event {
            WireEvent::Accepted(accepted) => Self::Accepted(accepted),
            WireEvent::Queued(queued) => Self::Queued(queued),
            WireEvent::Requeued(requeued) => Self::Requeued(requeued),
            WireEvent::Started(started) => Self::Started(Box::new(started)),
            WireEvent::Stage(stage) => Self::Stage(stage),
            WireEvent::Step(step) => Self::Step(step),
            WireEvent::Preview(preview) => Self::Preview(preview),
            WireEvent::GpuStats(stats) => Self::GpuStats(Box::new(stats)),
            WireEvent::Profile(profile) => Self::Profile(Box::new(profile)),
            WireEvent::ImageChunk(_) | WireEvent::Completed(_) | WireEvent::Failed(_) | WireEvent::Cancelled(_) => {
                return None;
            }
        })
    }
}

/// The name of a stage for people.
pub fn stage_name(stage: wire::Stage) -> &'static str {
    match stage {
        wire::Stage::TextEncode => "encode text",
        wire::Stage::VaeEncode => "encode pixels",
        wire::Stage::Denoise => "denoise",
        wire::Stage::Decode => "decode",
        wire::Stage::EncodeImage => "encode image",
        wire::Stage::LoadModel => "load model",
        wire::Stage::LoadAdapters => "load adapters",
        wire::Stage::Unspecified => "working",
    }
}

/// Why a job was cancelled, for people.
pub fn cancel_reason(reason: wire::CancelReason) -> &'static str {
    match reason {
        wire::CancelReason::ClientGone => "the client disconnected",
        wire::CancelReason::Requested => "a client cancelled it",
        wire::CancelReason::Deadline => "its deadline passed",
        wire::CancelReason::Shutdown => "the server is shutting down",
        wire::CancelReason::Unspecified => "the server gave no reason",
    }
}
