//! Token counts.

/// Counts tokens, on any thread and without a device.
pub trait TokenCounter: Send + Sync {
    /// The count of each text encoder, in the order of [`ModelInfo::encoders`](crate::ModelInfo::encoders).
    fn count(&self, system_prompt: &str, text: &str) -> Vec<TokenCount>;
}

/// Number of tokens of a text for one text encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenCount {
    /// The encoder's name.
    pub encoder: &'static str,
    /// Tokens of the whole text, special tokens included.
    pub tokens: u32,
    /// The most that the encoder reads.
    pub limit: u32,
    /// The beginning of the text that the encoder does not read; `None` if it reads everything.
    pub first_lost: Option<String>,
}

impl TokenCount {
    /// Whether the encoder reads less than the whole text.
    pub fn is_truncated(&self) -> bool {
        self.tokens > self.limit
    }
}
