//! Errors of a measurement and of its page.

use std::io;
use std::path::{Path, PathBuf};

use sakuga_client::ClientError;
use sakuga_figures::oracle::OracleError;

/// Why a measurement or its page was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The call failed, or did not return pictures.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A job ended without pictures.
    #[error("the server cancelled a job at step {at_step}; run again to continue from here")]
    Cancelled {
        /// Steps that were done.
        at_step: u32,
    },
    /// The server sent another number of pictures.
    #[error("the server sent {sent} pictures where {asked} were asked for")]
    Pictures {
        /// Requested.
        asked: u32,
        /// Pictures that the server sent.
        sent: usize,
    },
    /// The server has no model of that name, or none at all.
    #[error("the server has no model `{name}`; it lists: {listed}")]
    Model {
        /// The requested name; empty for the default.
        name: String,
        /// The models that it lists.
        listed: String,
    },
    /// A picture is not a PNG.
    #[error("a picture cannot be decoded: {0}")]
    Decode(#[from] image::ImageError),
    /// A picture cannot be read by the oracle.
    #[error("the oracle cannot read a picture: {0}")]
    Oracle(#[from] OracleError),
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of results has wrong contents.
    #[error("{path}:{line}: {reason}; move the folder away and measure again")]
    Content {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The folder holds results that were measured in another way.
    #[error("the folder holds results with {what} {there}, not {here}; give the same, or another folder")]
    OtherRun {
        /// The setting that differs.
        what: &'static str,
        /// As in the folder.
        there: String,
        /// As requested now.
        here: String,
    },
    /// There is nothing to report on.
    #[error("{0} holds no results; `sakuga-eval run` writes them")]
    NoResults(PathBuf),
    /// The chart cannot be drawn.
    #[error("the chart cannot be drawn: {0}")]
    Chart(String),
    /// A thread of the oracle or the renderer panicked.
    #[error("a picture could not be worked on: {0}")]
    Worker(#[from] tokio::task::JoinError),
}

impl EvalError {
    /// Names the file that an error of the system is about.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}
