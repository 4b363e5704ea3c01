//! [`ServerError`]: why a call is refused or a job fails. Only [`wire::status`](crate::wire::status) converts it to a gRPC
//! status.

use std::fmt::Display;
use std::time::Duration;

use sakuga_model_core::{EngineError, Limit, MemoryShortage, SmallerRequest};
use sakuga_proto::text::count;

use crate::assets::AssetError;
use crate::store::StoreError;

/// Why a call was refused or a job failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum ServerError {
    /// The request is wrong; every fault is listed.
    #[error("{}", summary(.0))]
    InvalidRequest(Vec<Violation>),
    /// There is no such model.
    #[error("{field}: there is no model `{name}`; {}this server has {}", suggestion(.nearest.as_deref()), .known.join(", "))]
    UnknownModel {
        /// The field of the request that names it.
        field: &'static str,
        /// The requested name.
        name: String,
        /// Names of all models of the server.
        known: Vec<String>,
        /// The known name that is most like it, if one is.
        nearest: Option<String>,
    },
    /// The model could not be loaded.
    #[error("model `{model}` cannot be loaded: {reason}")]
    ModelUnusable {
        /// Name of the model.
        model: String,
        /// Why it cannot be loaded, as the engine says.
        reason: String,
    },
    #[error("{} waiting already; try again in {} s", count(*.waiting, "job"), .retry_after.as_secs_f32().ceil())]
    QueueFull {
        /// Number of jobs that wait.
        waiting: usize,
        /// When a place will probably be free.
        retry_after: Duration,
    },
    /// The images of waiting jobs have reached their memory limit.
    #[error("the images of the jobs that wait take as much memory as they may; try again in a few seconds")]
    ImagesFull,
    /// The limit of open streams is reached.
    #[error("{} open already; read them to their end or drop them", count(*.limit, "stream"))]
    TooManyStreams { limit: usize },
    /// A client has reached its limit of jobs.
    #[error("`{client}` has {} queued or running, as many as one client may; wait for one to end", count(*.jobs, "job"))]
    ClientJobs {
        client: String,
        jobs: usize,
        /// When to try again.
        retry_after: Duration,
    },
    /// A client exceeds its rate.
    #[error("`{client}` asks for more than {} a minute; try again in {} s", count(*.rate as usize, "job"), .retry_after.as_secs_f32().ceil())]
    ClientRate {
        client: String,
        /// Jobs that it may ask for in a minute.
        rate: u32,
        /// When to try again.
        retry_after: Duration,
    },
    /// The job needs more device memory than it may use.
    #[error(
        "the request needs about {needed} bytes of memory and the server has {limit} for it; ask for fewer or smaller pictures"
    )]
    Memory {
        /// Bytes that the job needs, by estimate.
        needed: u64,
        /// Bytes that a job may use.
        limit: u64,
    },
    /// The device ran out of memory during the job, although the estimate fitted.
    #[error("the device ran out of memory: {shortage}; {}", advice(.smaller.as_ref()))]
    OutOfMemory {
        /// The allocation that failed.
        shortage: MemoryShortage,
        /// Bytes that the whole job needs, by estimate.
        needed: u64,
        /// A smaller request that would probably fit; `None`: there is none.
        smaller: Option<SmallerRequest>,
    },
    /// The job would end after its deadline.
    #[error("by measured times the job needs {} and its deadline allows {}; allow more time, or ask for less", time(*.needed, true), time(*.given, false))]
    DeadlineTooShort {
        /// The time until its end, by estimate.
        needed: Duration,
        /// The time until its deadline.
        given: Duration,
    },
    /// The name belongs to another request.
    #[error("`{request_id}` is the name of another request, job {job_id}; choose a new request_id")]
    NameTaken {
        /// The name that the client gave the request.
        request_id: String,
        job_id: String,
    },
    /// There is no such device.
    #[error("there is no device `{name}`; there are {}", .known.join(", "))]
    UnknownDevice {
        /// The requested name.
        name: String,
        /// The devices of the server.
        known: Vec<String>,
    },
    /// There is no such job.
    #[error("there is no job `{0}`; it never existed, was deleted, or was too old to be kept")]
    UnknownJob(String),
    /// There is no such picture.
    #[error("job {job_id} has no picture {image_index}: {why}")]
    NoPicture {
        job_id: String,
        /// The requested index, from 0.
        image_index: u32,
        /// Why it has none.
        why: &'static str,
    },
    /// The telemetry of a job is not kept.
    #[error(
        "what was seen of the device during job {0} is not kept; only the newest jobs since the server's start are"
    )]
    NoTelemetry(String),
    /// The requested events are no longer kept, or do not exist.
    #[error(
        "event {asked} of job {job_id} is not there; the oldest that is kept is {oldest}, and {next} will come next"
    )]
    SequenceRange {
        job_id: String,
        /// The requested sequence number.
        asked: u64,
        /// Sequence number of the oldest event that is kept.
        oldest: u64,
        /// Sequence number that the next event will have.
        next: u64,
    },
    /// The job has not ended.
    #[error("job {0} has not ended; cancel it first")]
    NotEnded(String),
    /// The server was stopped too often while the job ran.
    #[error("the server was stopped {} during this job; if the job is the cause, ask for less", count(*.attempts as usize, "time"))]
    Interrupted {
        /// How often it was begun.
        attempts: u32,
    },
    /// A call on assets is refused. [`ServerError::Store`] and [`ServerError::InvalidRequest`] have the other reasons.
    #[error(transparent)]
    Asset(AssetError),
    /// The job ended without a picture because it was cancelled.
    #[error("the job was cancelled: {0}")]
    Cancelled(&'static str),
    /// The store of jobs or pictures fails.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The server is stopping.
    #[error("the server is stopping; try another one, or this one after its restart")]
    ShuttingDown,
    /// The engine was lost and could not be opened again.
    #[error("the engine is not available: {0}")]
    EngineUnavailable(String),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A fleet has no such thing yet.
    #[cfg(feature = "fleet")]
    #[error("{what} in a fleet yet; {instead}")]
    NotInFleet {
        /// What is asked for, such as `assets are not`.
        what: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// A bug: an invariant of the server does not hold.
    #[error("{0}; this is a bug, please report it with the server's log")]
    Internal(String),
}

/// One fault of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The field, such as `sampling.steps`, or the place in the prompt, such as `character_2/appearance`.
    pub field: String,
    /// What is wrong, where, and how to fix it.
    pub description: String,
    /// Stable kebab-case name of the fault: the diagnostic's code, or one of [`Violation`]'s constants.
    pub reason: &'static str,
}

impl Violation {
    /// Something that has to be there is not.
    pub(crate) const REQUIRED: &'static str = "required";
    /// A number is out of its range.
    pub(crate) const OUT_OF_RANGE: &'static str = "out-of-range";
    /// A size is not a multiple of what it must be.
    pub(crate) const NOT_A_MULTIPLE: &'static str = "not-a-multiple";
    /// An enumeration has no such value.
    pub(crate) const UNKNOWN_VALUE: &'static str = "unknown-value";
    /// A text is too long or has characters that are not allowed.
    pub(crate) const BAD_TEXT: &'static str = "bad-text";
    /// A value is repeated that must be unique.
    pub(crate) const DUPLICATE: &'static str = "duplicate";
    /// A file is not an image, or one that cannot be read.
    pub(crate) const BAD_IMAGE: &'static str = "bad-image";
    /// The model cannot do what is asked for.
    pub(crate) const UNSUPPORTED: &'static str = "unsupported";
    /// An adapter is not for the model.
    pub(crate) const DOES_NOT_FIT: &'static str = "does-not-fit";
    /// Two fields say different things.
    pub(crate) const CONFLICT: &'static str = "conflict";

    /// A fault of `field`.
    pub(crate) fn new(field: impl Into<String>, reason: &'static str, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into(), reason }
    }

    /// A number of `field` that is not within its limit.
    pub(crate) fn out_of_range<T: Display>(field: impl Into<String>, limit: &Limit<T>, given: T) -> Self {
        Self::new(field, Self::OUT_OF_RANGE, format!("{given} is out of range; use {limit}"))
    }
}

impl From<AssetError> for ServerError {
    fn from(error: AssetError) -> Self {
        let text = error.to_string();
        match error {
            AssetError::Store(error) => Self::Store(error),
            AssetError::TooLong { .. } => Self::invalid("data", Violation::OUT_OF_RANGE, text),
            AssetError::OtherSize { .. } => Self::invalid("start.size", Violation::CONFLICT, text),
            error => Self::Asset(error),
        }
    }
}

impl ServerError {
    /// The error of a request with a single fault.
    pub(crate) fn invalid(field: impl Into<String>, reason: &'static str, description: impl Into<String>) -> Self {
        Self::InvalidRequest(vec![Violation::new(field, reason, description)])
    }
}

/// A time in tenths of a second, or in milliseconds below one tenth. Required times are rounded up and available ones down, so a
/// message about too little time never shows more available than required.
fn time(time: Duration, is_needed: bool) -> String {
    let (unit_s, name, digits) = if time < Duration::from_millis(100) { (0.001, "ms", 0) } else { (0.1, "s", 1) };
    let units = time.as_secs_f64() / unit_s;
    let units = if is_needed { units.ceil() } else { units.floor() };
    let value = if digits == 0 { units } else { units / 10.0 };
    format!("{value:.digits$} {name}")
}

/// The name that was probably meant.
fn suggestion(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default()
}

/// What to do about too large a job.
fn advice(smaller: Option<&SmallerRequest>) -> String {
    match smaller {
        Some(SmallerRequest { images: 1, width_px, height_px }) => {
            format!("ask for a smaller picture, such as {width_px}x{height_px}, which needs about half as much")
        }
        Some(SmallerRequest { images, width_px, height_px }) => {
            format!("ask for less, such as {images} pictures of {width_px}x{height_px}, which need about half as much")
        }
        None => "nothing smaller can be asked for; ask the operator for a larger device".into(),
    }
}

/// The first fault, and how many more there are.
fn summary(violations: &[Violation]) -> String {
    let Some(first) = violations.first() else { return "the request is not valid".into() };
    let head = format!("{}: {}", first.field, first.description);
    match violations.len() - 1 {
        0 => head,
        1 => format!("{head} (and one more fault)"),
        more => format!("{head} (and {more} more faults)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_short_deadline_shows_that_more_is_needed_than_given() {
        for (needed_ms, given_ms, shown) in [
            (260, 240, "needs 0.3 s and its deadline allows 0.2 s"),
            (2040, 2000, "needs 2.1 s and its deadline allows 2.0 s"),
            (50, 10, "needs 50 ms and its deadline allows 10 ms"),
            (1001, 99, "needs 1.1 s and its deadline allows 99 ms"),
        ] {
            let (needed, given) = (Duration::from_millis(needed_ms), Duration::from_millis(given_ms));
            let text = ServerError::DeadlineTooShort { needed, given }.to_string();
            assert!(text.contains(shown), "{text}");
        }
    }
}
