//! What a job tells its caller, with the wire's optional and numeric forms resolved.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sakuga_proto::generation::v1 as wire;
use sakuga_proto::generation::v1::generate_event::Event as WireEvent;
use sakuga_proto::prompt::v1::Diagnostic;
use sakuga_proto::system::v1::GpuStats;

use crate::assemble::Picture;

/// One thing that happened to a job.
#[derive(Clone, Debug)]
pub struct Event {
    /// Position in the job's events, from 0.
    pub sequence: u64,
    /// When it happened, by the server's clock.
    pub time: Option<SystemTime>,
    /// The job.
    pub job_id: String,
    /// How many events the server left out just before this one, because this side read too slowly or was away. Only
    /// previews, statistics and places in the queue are ever left out.
    pub missed_before: u64,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// The request is valid and has a job.
    Accepted {
        /// The request's name.
        request_id: String,
        /// What was repaired in the prompt, and what is worth knowing about it.
        diagnostics: Vec<Diagnostic>,
    },
    /// The job waits.
    Queued {
        /// Jobs before this one, the running one included.
        position: u32,
        /// When it will probably start.
        eta: Option<Duration>,
    },
    /// The server was stopped while the job ran; it is drawn again from the start, under the same seed.
    Requeued {
        /// The attempt that comes.
        attempt: u32,
    },
    /// The job has the device.
    Started(Box<Started>),
    /// A part of the pipeline begins.
    Stage(Stage),
    /// A step is done.
    Step(Step),
    /// Where the time of a part of the pipeline went, for a job that asked for it.
    Profile(Box<wire::Profile>),
    /// A look at what is being drawn.
    Preview(Preview),
    /// A sample of the device.
    GpuStats(Box<GpuStats>),
    /// A piece of a finished picture arrived.
    Receiving {
        /// Which picture of the request.
        image_index: u32,
        /// Bytes of it that are here.
        received_bytes: u64,
        /// Bytes of the whole picture.
        total_bytes: u64,
    },
    /// Terminal: the pictures are here, complete and with the checksums that the server named.
    Completed(Box<Completed>),
    /// Terminal: the job was given up.
    Cancelled(Cancelled),
    /// A kind of event that a newer server sends and this client does not know.
    Unknown,
}

/// The job has the device.
#[derive(Clone, Debug)]
pub struct Started {
    /// The request with every default filled in.
    pub resolved: wire::GenerateRequest,
    /// The seed of each picture's noise.
    pub seeds: Vec<u64>,
    /// The device, such as `cpu`.
    pub device: String,
    /// What a user must know about the model. Empty: nothing.
    pub model_notice: String,
}

/// A part of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Gemma and Jina CLIP read the text.
    TextEncode,
    /// The Next-DiT integrates the latents.
    Denoise,
    /// The VAE turns latents into pixels.
    Decode,
    /// Pixels become PNG.
    EncodeImage,
    /// A part that this client does not know.
    Unknown(i32),
}

/// A step is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// From 1 to `total`.
    pub index: u32,
    /// Steps of the job.
    pub total: u32,
    /// Time reached: 0 is noise, 1 is the picture.
    pub t: f32,
    /// Share of noise left.
    pub sigma: f32,
    /// How long the step took, in milliseconds.
    pub step_ms: f32,
    /// Time left until the pictures.
    pub eta: Option<Duration>,
    /// Whether guidance was active.
    pub guidance_active: bool,
    /// Evaluations of the network so far.
    pub evaluations: u32,
}

/// A look at what is being drawn.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Which picture of the request.
    pub image_index: u32,
    /// The step after which it was made.
    pub step: u32,
    /// How it was made.
    pub method: wire::PreviewMethod,
    /// How it is encoded.
    pub format: wire::ImageFormat,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The encoded picture.
    pub bytes: Bytes,
}

/// The pictures and where their time went.
#[derive(Clone, Debug)]
pub struct Completed {
    /// The pictures, in the order of the request.
    pub pictures: Vec<Picture>,
    /// Where the time went.
    pub timings: Timings,
}

/// Where the time went. What the server did not say is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// In the queue.
    pub queued: Duration,
    /// Text encoders.
    pub text_encode: Duration,
    /// All steps.
    pub denoise: Duration,
    /// Latents to pixels.
    pub decode: Duration,
    /// Pixels to PNG.
    pub encode_image: Duration,
    /// From acceptance to the end.
    pub total: Duration,
}

/// The job was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled {
    /// Steps that were done.
    pub at_step: u32,
    /// Why.
    pub reason: CancelReason,
}

/// Why a job was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CancelReason {
    /// The stream was dropped.
    ClientGone,
    /// A call asked for it.
    Requested,
    /// The call's deadline passed.
    Deadline,
    /// The server is going down.
    Shutdown,
    /// A reason that this client does not know.
    Unknown(i32),
}

impl EventKind {
    /// Whether nothing comes after it.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Completed(_) | Self::Cancelled(_))
    }
}

impl Stage {
    /// The part in words: `denoise`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TextEncode => "encode text",
            Self::Denoise => "denoise",
            Self::Decode => "decode",
            Self::EncodeImage => "encode image",
            Self::Unknown(_) => "working",
        }
    }
}

impl CancelReason {
    /// The reason in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientGone => "the stream was dropped",
            Self::Requested => "somebody asked for it",
            Self::Deadline => "its deadline passed",
            Self::Shutdown => "the server is going down",
            Self::Unknown(_) => "the server did not say why",
        }
    }
}

/// The name of an event's kind, as the proto has it.
pub fn kind_name(event: &WireEvent) -> &'static str {
    match event {
        WireEvent::Accepted(_) => "accepted",
        WireEvent::Queued(_) => "queued",
        WireEvent::Started(_) => "started",
        WireEvent::Stage(_) => "stage",
        WireEvent::Step(_) => "step",
        WireEvent::Preview(_) => "preview",
        WireEvent::GpuStats(_) => "gpu_stats",
        WireEvent::ImageChunk(_) => "image_chunk",
        WireEvent::Completed(_) => "completed",
        WireEvent::Failed(_) => "failed",
        WireEvent::Cancelled(_) => "cancelled",
        WireEvent::Requeued(_) => "requeued",
        WireEvent::Profile(_) => "profile",
    }
}

/// Events that need nothing but themselves. Pieces of pictures and the terminal events belong to
/// [`Generation`](crate::Generation), which knows what came before.
pub(crate) fn plain_kind(event: WireEvent) -> EventKind {
    match event {
        WireEvent::Accepted(accepted) => {
            EventKind::Accepted { request_id: accepted.request_id, diagnostics: accepted.diagnostics }
        }
        WireEvent::Queued(queued) => EventKind::Queued { position: queued.position, eta: duration(queued.eta) },
        WireEvent::Requeued(requeued) => EventKind::Requeued { attempt: requeued.attempt },
        WireEvent::Started(started) => EventKind::Started(Box::new(Started {
            resolved: started.resolved.unwrap_or_default(),
            seeds: started.seeds,
            device: started.device,
            model_notice: started.model_notice,
        })),
        WireEvent::Stage(stage) => EventKind::Stage(Stage::from(stage.stage)),
        WireEvent::Step(step) => EventKind::Step(Step {
            index: step.index,
            total: step.total,
            t: step.t,
            sigma: step.sigma,
            step_ms: step.step_ms,
            eta: duration(step.eta),
            guidance_active: step.guidance_active,
            evaluations: step.evaluations,
        }),
        WireEvent::Preview(preview) => EventKind::Preview(Preview {
            image_index: preview.image_index,
            step: preview.step,
            method: preview.method(),
            format: preview.format(),
            width: preview.width,
            height: preview.height,
            bytes: preview.data,
        }),
        WireEvent::GpuStats(stats) => EventKind::GpuStats(Box::new(stats)),
        WireEvent::Profile(profile) => EventKind::Profile(Box::new(profile)),
        WireEvent::ImageChunk(_) | WireEvent::Completed(_) | WireEvent::Failed(_) | WireEvent::Cancelled(_) => {
            EventKind::Unknown
        }
    }
}

impl From<i32> for Stage {
    fn from(stage: i32) -> Self {
        match wire::Stage::try_from(stage) {
            Ok(wire::Stage::TextEncode) => Self::TextEncode,
            Ok(wire::Stage::Denoise) => Self::Denoise,
            Ok(wire::Stage::Decode) => Self::Decode,
            Ok(wire::Stage::EncodeImage) => Self::EncodeImage,
            Ok(wire::Stage::Unspecified) | Err(_) => Self::Unknown(stage),
        }
    }
}

impl From<wire::Cancelled> for Cancelled {
    fn from(cancelled: wire::Cancelled) -> Self {
        let reason = match cancelled.reason() {
            wire::CancelReason::ClientGone => CancelReason::ClientGone,
            wire::CancelReason::Requested => CancelReason::Requested,
            wire::CancelReason::Deadline => CancelReason::Deadline,
            wire::CancelReason::Shutdown => CancelReason::Shutdown,
            wire::CancelReason::Unspecified => CancelReason::Unknown(cancelled.reason),
        };
        Self { at_step: cancelled.at_step, reason }
    }
}

impl From<wire::Timings> for Timings {
    fn from(timings: wire::Timings) -> Self {
        let or_zero = |time| duration(time).unwrap_or_default();
        Self {
            queued: or_zero(timings.queued),
            text_encode: or_zero(timings.text_encode),
            denoise: or_zero(timings.denoise),
            decode: or_zero(timings.decode),
            encode_image: or_zero(timings.encode_image),
            total: or_zero(timings.total),
        }
    }
}

/// A duration of the wire; a negative one counts as zero, one that is not valid as absent.
fn duration(duration: Option<prost_types::Duration>) -> Option<Duration> {
    let duration = duration?;
    let (Ok(seconds), Ok(nanos)) = (u64::try_from(duration.seconds), u32::try_from(duration.nanos)) else {
        return Some(Duration::ZERO);
    };
    (nanos < 1_000_000_000).then(|| Duration::new(seconds, nanos))
}

/// A time of the wire; absent if it is not valid.
pub(crate) fn time(time: Option<prost_types::Timestamp>) -> Option<SystemTime> {
    let time = time?;
    let since_epoch = duration(Some(prost_types::Duration { seconds: time.seconds, nanos: time.nanos }))?;
    SystemTime::UNIX_EPOCH.checked_add(since_epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_make_no_sense_do_no_harm() {
        let of = |seconds, nanos| duration(Some(prost_types::Duration { seconds, nanos }));
        assert_eq!(of(1, 500_000_000), Some(Duration::from_millis(1500)));
        assert_eq!(of(-1, -1), Some(Duration::ZERO));
        assert_eq!(of(0, i32::MAX), None);
        let at = |seconds, nanos| time(Some(prost_types::Timestamp { seconds, nanos }));
        assert_eq!(at(0, 5), SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(5)));
        assert_eq!(at(0, i32::MAX), None);
        assert_eq!(at(i64::MIN, i32::MIN), Some(SystemTime::UNIX_EPOCH));
    }

    #[test]
    fn numbers_of_a_newer_server_are_kept() {
        assert_eq!(Stage::from(77), Stage::Unknown(77));
        let cancelled = Cancelled::from(wire::Cancelled { at_step: 3, reason: 99 });
        assert_eq!(cancelled.reason, CancelReason::Unknown(99));
    }
}
