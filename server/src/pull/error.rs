//! Why a model was not pulled.

use std::fmt::{self, Display};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sakuga_proto::text::{count, one_line};

/// The most characters of a server's text that are shown.
const SHOWN_CHARACTERS: usize = 300;

/// Why a request over HTTP failed.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The connection could not be made, broke, or was silent for too long.
    #[error("{0}")]
    Broken(String),
    /// The server refused.
    #[error("{0}")]
    Refused(Refusal),
    /// The redirect is not followed.
    #[error("it redirects {0}")]
    Redirect(&'static str),
    /// The answer exceeds the size limit.
    #[error("its answer has more than {0} bytes")]
    TooLong(u64),
    /// The answer does not match the request.
    #[error("{0}")]
    Unexpected(String),
}

/// An answer with an error status.
#[derive(Debug)]
pub struct Refusal {
    /// The HTTP status code.
    pub status: u16,
    /// What the hub calls the error, such as `GatedRepo`.
    pub code: Option<String>,
    /// The hub's message, if it has one.
    pub message: Option<String>,
    /// How long the hub asks to wait before the next request.
    pub retry_after: Option<Duration>,
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it answered {}", self.status)?;
        match &self.message {
            Some(message) => write!(f, ": {}", shown(message)),
            None => Ok(()),
        }
    }
}

impl HttpError {
    /// The wait before the same request is sent again: the next of `waits`, or the time that the server asks for if that is
    /// longer. `None`: the request cannot succeed later, or `waits` is at its end.
    pub(super) fn next_wait(&self, waits: &mut impl Iterator<Item = Duration>) -> Option<Duration> {
        let asked = match self {
            Self::Broken(_) => None,
            Self::Refused(refusal) if matches!(refusal.status, 408 | 425 | 429 | 500..=599) => refusal.retry_after,
            Self::Refused(_) | Self::Redirect(_) | Self::TooLong(_) | Self::Unexpected(_) => return None,
        };
        Some(waits.next()?.max(asked.unwrap_or_default()))
    }
}

/// Why a model was not pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The HTTP client cannot be created with these options.
    #[error("{0}")]
    Setup(String),
    /// The hub or the server of a file cannot be used.
    #[error("{what}: {error}{}", .remedy.as_ref().map(|remedy| format!("; {remedy}")).unwrap_or_default())]
    Http {
        /// What was requested, in words.
        what: String,
        /// What went wrong.
        error: HttpError,
        /// What the user can do, if anything is known.
        remedy: Option<String>,
    },
    /// The hub's answer cannot be used.
    #[error("the hub's answer about {what} cannot be used: {reason}")]
    Answer {
        /// What was requested, in words.
        what: String,
        /// Why it cannot be used.
        reason: String,
    },
    /// The files are not those of a model that the loader reads.
    #[error("{what} is not a model that this program loads: {reason}")]
    NotAModel {
        /// The source, as the command named it.
        what: String,
        /// What is missing or unknown.
        reason: String,
    },
    /// The licence was not accepted.
    #[error("the licence of {0} was not accepted; nothing was downloaded")]
    LicenceRefused(String),
    /// The licence must be accepted, and there is no terminal to ask.
    #[error(
        "the licence of {0} has to be accepted: run this on a terminal, or read the licence and add --accept-licence; nothing was downloaded"
    )]
    LicenceUnseen(String),
    /// A file has another checksum than it should have.
    #[error(
        "{file}: its {kind} is {found}, and {expected} is expected; the file was deleted. If it fails again, the server has a damaged or another file"
    )]
    Checksum {
        /// Its path in the model's folder.
        file: String,
        /// Name of the kind of checksum, for people.
        kind: &'static str,
        /// The checksum of the received bytes.
        found: String,
        /// The checksum that was stated.
        expected: String,
    },
    /// There is no room.
    #[error("the disk of {} {}: {missing} more are needed{}", .folder.display(), if *.is_partial { "is full" } else { "has too little room" },
        if *.is_partial { "; what came is kept. Free space, and run the same command again: it continues" } else { "; free space, or name a folder on another disk with --models" })]
    DiskFull {
        /// The folder of models.
        folder: PathBuf,
        /// How many bytes more are needed.
        missing: Bytes,
        /// Whether something was written before.
        is_partial: bool,
    },
    /// A file or folder cannot be read or written.
    #[error("{}: {error}", .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The path exists and was not written by this program.
    #[error("{} is a symbolic link or not a plain file or folder; remove it", .0.display())]
    NotPlain(PathBuf),
    /// Another pull of the same name is running.
    #[error("another `models pull` or `models remove` of {0} is running; wait until it ends")]
    Busy(String),
    /// There is a model of this name from another source.
    #[error(
        "there is a model `{name}` from {existing} already; choose another name with --name, or delete it with `sakuga-server models remove {name}`"
    )]
    NameTaken {
        /// The model's name on this server.
        name: String,
        /// Where that model is from.
        existing: String,
    },
    /// There is no model of this name.
    #[error("there is no pulled model `{name}`; there are {known}")]
    Unknown {
        /// The model's name on this server.
        name: String,
        /// Names of the pulled models, in words.
        known: String,
    },
    /// A text is not a name of a model.
    #[error("`{0}` is not a name for a model; write at most 64 letters, digits, `.`, `_` and `-`")]
    Name(String),
}

/// Bytes for people, as disks are sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as f64;
        match self.0 {
            0..1_000 => f.write_str(&count(self.0 as usize, "byte")),
            1_000..1_000_000 => write!(f, "{:.1} kB", bytes / 1e3),
            1_000_000..1_000_000_000 => write!(f, "{:.1} MB", bytes / 1e6),
            _ => write!(f, "{:.2} GB", bytes / 1e9),
        }
    }
}

/// An I/O error at a path.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> PullError {
    let path = path.to_owned();
    move |error| PullError::File { path, error }
}

/// A text from a server, on one line and of bounded length.
pub(super) fn shown(text: &str) -> String {
    let cut: String = text.chars().take(SHOWN_CHARACTERS).collect();
    one_line(cut.trim())
}
