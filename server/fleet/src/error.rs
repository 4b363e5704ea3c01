//! [`FleetError`]: why an operation on the fleet failed.

use std::error::Error;
use std::fmt::Write as _;

/// Why an operation on the fleet failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    /// The settings cannot be used.
    #[error("{0}")]
    Settings(String),
    /// There is no connection to NATS.
    #[error(
        "cannot connect to NATS at {servers}: {reason}; check the address, the credentials and that JetStream is enabled"
    )]
    Connect {
        /// The addresses without passwords.
        servers: String,
        /// What the client reports.
        reason: String,
    },
    /// A stream or bucket exists with settings that lose what this program needs.
    #[error(
        "the stream `{stream}` has {found} where the fleet needs {needed}; change it with the `nats` program, or use another --fleet"
    )]
    Layout {
        /// The stream.
        stream: String,
        /// The setting as it is.
        found: String,
        /// The setting as it must be.
        needed: String,
    },
    /// NATS refused or did not answer. Trying again may help.
    #[error("NATS could not {action}: {reason}")]
    Nats {
        /// What was attempted.
        action: &'static str,
        /// What the client reports.
        reason: String,
    },
    /// Another writer changed the value first.
    #[error("{0} was changed by another writer")]
    Conflict(String),
    /// The attempt was superseded: another worker has the job, or it has ended. Nothing was changed.
    #[error("attempt {attempt} of job {job} was superseded; its results are dropped")]
    Superseded {
        /// The job.
        job: String,
        /// The attempt that is too late.
        attempt: u32,
    },
    /// A message is larger than the server of NATS takes.
    #[error("{what} has {bytes} bytes, and NATS takes {limit} at most; raise `max_payload` of the server, up to 8 MiB")]
    TooLarge {
        /// The message.
        what: String,
        /// Its size.
        bytes: usize,
        /// The largest size.
        limit: usize,
    },
    /// What was read is not what was written.
    #[error("the fleet's data is damaged: {0}")]
    Damaged(String),
    /// The object store failed.
    #[error("the object store failed: {0}")]
    Objects(String),
}

impl FleetError {
    /// A failed call of the client, with the causes of its error.
    pub(crate) fn nats(action: &'static str, error: &dyn Error) -> Self {
        Self::Nats { action, reason: causes(error) }
    }
}

/// An error and its causes in one line, each once.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            // A String takes everything.
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}
