//! Prompts of Stable Diffusion: weighted parts of a text, cut into chunks of as many tokens as an encoder reads.
//!
//! Two grammars are in use, each with its own way of applying the weights to the outputs of the encoders. A prompt is
//! written for one of them, and the other reads it differently. [`PromptRules`] names them.

mod a1111;
mod chunk;
mod comfyui;
mod plain;
pub(crate) mod weighting;

use std::fmt;
use std::str::FromStr;

pub use self::chunk::{Chunk, Place, PromptChunks};
use super::embedding::Embeddings;
use crate::tokenizer::TextTokenizer;

/// A part of a prompt and its weight.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The text, without the markup of the grammar.
    pub text: String,
    /// 1 changes nothing.
    pub weight: f64,
}

/// How a prompt is read and its weights are applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum PromptRules {
    /// AUTOMATIC1111's: `(x)`, `[x]`, `(x:1.3)`, BREAK, chunks that end at a comma. Weights multiply the states, whose mean is
    /// restored afterwards.
    #[default]
    A1111,
    /// As `A1111`, without restoring the mean.
    A1111NoNorm,
    /// ComfyUI's: `(x)` and `(x:1.3)`. Weights move the states away from those of the empty prompt.
    ComfyUi,
    /// The text as it is, in one chunk; the rest is cut off.
    Plain,
}

impl PromptRules {
    /// All, with their names.
    pub const ALL: [(&'static str, Self); 4] = [
        ("a1111", Self::A1111),
        ("a1111_no_norm", Self::A1111NoNorm),
        ("comfyui", Self::ComfyUi),
        ("plain", Self::Plain),
    ];

    /// The parts of a prompt, in its order.
    pub fn parts(self, text: &str) -> Vec<Part> {
        match self {
            Self::A1111 | Self::A1111NoNorm => a1111::parts(text),
            Self::ComfyUi => comfyui::parts(text),
            Self::Plain => vec![Part { text: text.to_owned(), weight: 1.0 }],
        }
    }

    /// The tokens of a prompt in chunks of `length`, start and end included. `tokenizers` are those of CLIP-L and CLIP-G, which
    /// differ in their padding only.
    pub fn chunks(
        self,
        tokenizers: [&TextTokenizer; 2],
        embeddings: &Embeddings,
        text: &str,
        length: usize,
    ) -> PromptChunks {
        match self {
            Self::A1111 | Self::A1111NoNorm => a1111::chunks(tokenizers, embeddings, text, length),
            Self::ComfyUi => comfyui::chunks(tokenizers, embeddings, text, length),
            Self::Plain => plain::chunks(tokenizers, embeddings, text, length),
        }
    }
}

impl fmt::Display for PromptRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, rules)| rules == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// The text names none of the rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown prompt rules `{0}`: use a1111, a1111_no_norm, comfyui or plain")]
pub struct UnknownRules(String);

impl FromStr for PromptRules {
    type Err = UnknownRules;

    fn from_str(text: &str) -> Result<Self, UnknownRules> {
        let found = Self::ALL.into_iter().find(|(name, _)| *name == text);
        found.map(|(_, rules)| rules).ok_or_else(|| UnknownRules(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for (name, rules) in PromptRules::ALL {
            assert_eq!((name.parse(), rules.to_string()), (Ok(rules), name.to_owned()));
        }
        assert!("A1111".parse::<PromptRules>().is_err());
    }
}
