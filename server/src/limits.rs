//! What a request may ask for. Everything that a client can make larger has its bound here.

use std::time::Duration;

/// What a request may ask for, and how much is served at once.
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
    /// Jobs that one client may have queued and running; 0: as many as it likes.
    pub client_jobs_max: usize,
    /// Jobs that one client may ask for in a minute; 0: as many as it likes.
    pub client_rate_max: u32,
    /// Bytes of device memory that a job may need; `None`: as many as the device has.
    pub job_memory_max: Option<u64>,
    /// How long an engine may say nothing of a running job before it is given up; `None`: for ever.
    pub silence_max: Option<Duration>,
    /// How often a job is begun again after the server was stopped under it.
    pub attempts_max: u32,
}

impl Limits {
    /// Steps of any request, as the wire contract says.
    pub const STEPS_MAX: u32 = 200;
    /// Pictures of any request: `completed` repeats the request for each and has to fit into one message.
    pub const IMAGES_MAX: u32 = 16;
    /// Bytes of any prompt's text, for the same reason: typed, negative and as the encoders read it, three times this.
    pub const PROMPT_BYTES_MAX: usize = 64 * 1024;
    /// Bytes of a system prompt.
    pub const SYSTEM_PROMPT_BYTES_MAX: usize = 8 * 1024;
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
            prompt_bytes_max: Self::PROMPT_BYTES_MAX,
            pixels_max: 2048 * 2048,
            images_max: 8,
            steps_max: Self::STEPS_MAX,
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
