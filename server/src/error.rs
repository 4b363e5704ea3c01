//! What the service refuses or fails with. [`wire::status`](crate::wire::status) turns it into a gRPC status, once.

use std::time::Duration;

use crate::engine::EngineError;

/// Why a call was refused or a job failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ServerError {
    /// The request is wrong; every fault is listed.
    #[error("{}", summary(.0))]
    InvalidRequest(Vec<Violation>),
    /// There is no such model.
    #[error("there is no model `{name}`; this server has {}", .known.join(", "))]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// As many jobs wait as may.
    #[error("{waiting} jobs wait already; try again in {} s", .retry_after.as_secs_f32().ceil())]
    QueueFull {
        /// Jobs that wait.
        waiting: usize,
        /// When a place will probably be free.
        retry_after: Duration,
    },
    /// As many streams are open as may.
    #[error("{limit} streams are open already; read them to their end or drop them")]
    TooManyStreams {
        /// The limit.
        limit: usize,
    },
    /// The server is going down.
    #[error("the server is going down; try another one, or this one after its restart")]
    ShuttingDown,
    /// The engine was lost and could not be opened again.
    #[error("the engine is not available: {0}")]
    EngineUnavailable(String),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A promise within the server was broken.
    #[error("{0}; this is a bug, please report it with the server's log")]
    Internal(String),
}

/// One fault of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field, such as `sampling.steps`, or the place in the prompt, such as `character_2/appearance`.
    pub field: String,
    /// What is wrong, where, and how to mend it.
    pub description: String,
    /// Stable kebab-case name of the fault: the diagnostic's code, or one of [`Violation`]'s constants.
    pub reason: &'static str,
}

impl Violation {
    /// Something that has to be there is not.
    pub const REQUIRED: &'static str = "required";
    /// A number is out of its range.
    pub const OUT_OF_RANGE: &'static str = "out-of-range";
    /// A size is no multiple of what it must be.
    pub const NOT_A_MULTIPLE: &'static str = "not-a-multiple";
    /// An enumeration has no such value.
    pub const UNKNOWN_VALUE: &'static str = "unknown-value";
    /// A text is too long or holds what it may not.
    pub const BAD_TEXT: &'static str = "bad-text";
    /// Two fields say different things.
    pub const CONFLICT: &'static str = "conflict";

    /// A fault of `field`.
    pub fn new(field: impl Into<String>, reason: &'static str, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into(), reason }
    }
}

impl ServerError {
    /// The error of a request with a single fault.
    pub fn invalid(field: impl Into<String>, reason: &'static str, description: impl Into<String>) -> Self {
        Self::InvalidRequest(vec![Violation::new(field, reason, description)])
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
