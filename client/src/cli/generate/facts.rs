//! Facts about a running job.

use sakuga_client::proto::generation::v1::{Profile, Started};

/// Facts about the job so far, for the summary.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The job's identifier on the server.
    pub job_id: String,
    /// The request's identifier.
    pub request_id: String,
    /// The request with every default filled in, seeds and device.
    pub started: Option<Started>,
    /// Steps that are done.
    pub step: u32,
    /// Steps of the job, once they are known.
    pub total_steps: u32,
    /// Events that the server dropped.
    pub missed_events: u64,
    /// Previews that arrived.
    pub previews: usize,
    /// Device times of each stage, for `--profile`.
    pub profiles: Vec<Profile>,
}
