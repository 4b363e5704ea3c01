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
    /// Event streams that may be open, those of finished jobs with a slow reader included.
    pub streams_max: usize,
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
    /// Bytes of one piece of a picture.
    pub const CHUNK_BYTES_MAX: usize = 1024 * 1024;
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
        }
    }
}
