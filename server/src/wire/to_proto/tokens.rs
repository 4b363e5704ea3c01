//! Token counts.

use sakuga_model_core::TokenCount;
use sakuga_proto::prompt::v1 as prompt;

/// Most characters of the text that a token limit would cut.
const FIRST_LOST_CHARS_MAX: usize = 80;

/// How many tokens a text has for one text encoder, and where its limit cuts.
pub(crate) fn token_count(count: &TokenCount) -> prompt::TokenCount {
    let first_lost = count.first_lost.as_deref().unwrap_or_default();
    prompt::TokenCount {
        encoder: count.encoder.to_owned(),
        tokens: count.tokens,
        limit: count.limit,
        truncated: count.is_truncated(),
        first_lost: first_lost.chars().take(FIRST_LOST_CHARS_MAX).collect(),
    }
}
