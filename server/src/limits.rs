//! The limits that an operator sets, and those of messages and streams. The bounds that hold for every server are in
//! [`sakuga_model_core::limits`].

use std::time::Duration;

use sakuga_model_core::limits;

/// What a request to this server may ask for, and how much is served at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of prompt text.
    pub prompt_bytes_max: usize,
    /// Pixels of one picture.
    pub pixels_max: u64,
    /// Pictures of one request.
    pub images_max: u32,
    /// Steps.
    pub steps_max: u32,
    /// Jobs that may wait.
    pub queued_max: usize,
    /// Event streams that may be open.
    pub streams_max: usize,
    /// Jobs that one client may have queued and running; 0: no limit.
    pub client_jobs_max: usize,
    /// Jobs that one client may ask for in a minute; 0: no limit.
    pub client_rate_max: u32,
    /// Bytes of device memory that a job may need; `None`: as many as the device has.
    pub job_memory_max: Option<u64>,
    /// How long the engine may report nothing of a running job before it is abandoned; `None`: for ever.
    pub silence_max: Option<Duration>,
    /// How often a job is started again after the server was stopped while it ran.
    pub attempts_max: u32,
}

impl Limits {
    /// Bytes of any message to the server. It is what gRPC libraries accept unless told otherwise.
    pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
    /// Bytes of a message to a service that is only asked short questions.
    pub const QUESTION_BYTES_MAX: usize = 64 * 1024;
    /// Bytes of any message from the server; a preview of the largest picture travels in one.
    pub const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
    /// Bytes of one piece of a picture: what a stream holds that nobody reads.
    pub const CHUNK_BYTES_MAX: usize = 256 * 1024;
    /// Bytes of a client's name.
    pub const CLIENT_ID_BYTES_MAX: usize = 128;
    /// Least time between two samples of the device.
    pub const STATS_INTERVAL_MIN: Duration = Duration::from_millis(100);
    /// Time between two samples of the device unless a request says otherwise.
    pub const STATS_INTERVAL_DEFAULT: Duration = Duration::from_millis(500);
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            prompt_bytes_max: limits::PROMPT_BYTES.max,
            pixels_max: 2048 * 2048,
            images_max: 8,
            steps_max: limits::STEPS.max,
            queued_max: 64,
            streams_max: 1024,
            client_jobs_max: 0,
            client_rate_max: 0,
            job_memory_max: None,
            silence_max: Some(Duration::from_secs(900)),
            attempts_max: 5,
        }
    }
}
