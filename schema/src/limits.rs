//! Limits beyond which a prompt is refused unread.

/// Bounds on what a check reads and reports. They exist so that hostile text costs microseconds, not memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest text, in bytes. The prompt of the model's README has 2 KiB; the encoders read about 512 tokens.
    pub max_bytes: usize,
    /// Deepest nesting of elements and of JSON values. A prompt in its deepest envelope needs 4.
    pub max_depth: usize,
    /// Most findings reported; one more says how many were left out.
    pub max_diagnostics: usize,
    /// How many tokens the encoders read, for the estimate of `over-long`. Nothing is refused or cut by it.
    pub encoder_tokens: usize,
}

impl Limits {
    /// The limits that hold unless the caller says otherwise.
    pub const DEFAULT: Limits =
        Limits { max_bytes: 64 * 1024, max_depth: 16, max_diagnostics: 1000, encoder_tokens: 512 };
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}
