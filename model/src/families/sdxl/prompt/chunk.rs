//! Chunks of tokens with weights.

use crate::networks::clip_text::TextToken;
use crate::tokenizer::TextTokenizer;

/// One position of a chunk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// What the encoder reads at this position.
    pub token: TextToken,
    /// Its weight; 1 for start, end and padding.
    pub weight: f32,
}

/// The tokens that an encoder reads at once, start, end and padding included.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// All positions.
    pub places: Vec<Place>,
    /// The position of the first end token.
    pub end: usize,
}

impl Chunk {
    /// A chunk of `length` positions: start, `inside`, end, and then `pad`. `inside` has at most `length - 2` places.
    pub(super) fn new(tokenizer: &TextTokenizer, inside: &[Place], length: usize, pad: u32) -> Self {
        let plain = |id: u32| Place { token: TextToken::Id(id), weight: 1.0 };
        let end = tokenizer.end_id().unwrap_or(pad);
        let mut places = vec![plain(tokenizer.begin_id())];
        places.extend_from_slice(inside);
        places.push(plain(end));
        places.resize(length.max(places.len()), plain(pad));
        Self { places, end: inside.len() + 1 }
    }

    /// The token of each position.
    pub fn tokens(&self) -> Vec<TextToken> {
        self.places.iter().map(|place| place.token).collect()
    }

    /// The weight of each position.
    pub fn weights(&self) -> Vec<f32> {
        self.places.iter().map(|place| place.weight).collect()
    }

    /// Whether a weight differs from 1.
    pub fn is_weighted(&self) -> bool {
        self.places.iter().any(|place| place.weight != 1.0)
    }
}

/// A prompt as each of the two encoders reads it; there is at least one chunk for each.
#[derive(Debug, Clone, PartialEq)]
pub struct PromptChunks {
    /// Of CLIP-L.
    pub l: Vec<Chunk>,
    /// Of CLIP-G.
    pub g: Vec<Chunk>,
    /// Tokens of the text that were cut off.
    pub lost: usize,
}
