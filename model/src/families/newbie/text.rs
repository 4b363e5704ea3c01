//! From texts to the token ids of both encoders, without a device.
//!
//! The input of each encoder, as in the model's own demo and training:
//!
//! | row | Gemma | Jina CLIP |
//! |---|---|---|
//! | prompt | system prompt + text, joined without a separator | text |
//! | negative, not empty | system prompt + negative | negative |
//! | negative, empty | the empty text (one token, `<bos>`) | the empty text |

use std::path::Path;

use sakuga_model_core::{TokenCount, TokenCounter};

use crate::error::LoadError;
use crate::tokenizer::{Encoded, TextTokenizer};

/// Gemma's part pads to a multiple of this, as in training.
pub const GEMMA_PAD_MULTIPLE: usize = 8;
/// The most tokens that Gemma was given in training.
pub const GEMMA_TOKENS_DEFAULT: usize = 512;
/// The most tokens that Jina CLIP was given in training.
pub const JINA_TOKENS_DEFAULT: usize = 2048;

/// Both tokenisers with their limits. Can be shared between threads.
#[derive(Debug)]
pub struct Tokenizers {
    gemma: TextTokenizer,
    jina: TextTokenizer,
    limits: [usize; 2],
}

/// Token ids of the rows of one request: the prompt, and the negative if it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptTokens {
    /// What Gemma reads.
    pub gemma: Vec<Vec<u32>>,
    /// What Jina CLIP reads.
    pub jina: Vec<Vec<u32>>,
    /// Counts of the prompt: Gemma's, then Jina's.
    pub counts: [TokenCount; 2],
}

impl Tokenizers {
    /// Opens the `tokenizer.json` files of both encoders; `limits` are the most tokens of Gemma and of Jina CLIP.
    ///
    /// # Errors
    ///
    /// When a file is missing or malformed.
    pub fn open(gemma: &Path, jina: &Path, limits: [usize; 2]) -> Result<Self, LoadError> {
        Ok(Self { gemma: TextTokenizer::gemma(gemma)?, jina: TextTokenizer::jina(jina)?, limits })
    }

    /// The most tokens of Gemma and of Jina CLIP.
    pub fn limits(&self) -> [usize; 2] {
        self.limits
    }

    /// The ids of a request, each text with its system prompt before it; without `negative` there is only the prompt's row.
    pub fn encode(&self, [system_prompt, text]: [&str; 2], negative: Option<[&str; 2]>) -> PromptTokens {
        let (gemma, jina, counts) = self.prompt(system_prompt, text);
        let mut tokens = PromptTokens { gemma: vec![gemma], jina: vec![jina], counts };
        if let Some([system_prompt, negative]) = negative {
            let (gemma, jina, _) = self.prompt(system_prompt, negative);
            tokens.gemma.push(gemma);
            tokens.jina.push(jina);
        }
        tokens
    }

    fn prompt(&self, system_prompt: &str, text: &str) -> (Vec<u32>, Vec<u32>, [TokenCount; 2]) {
        let [gemma_limit, jina_limit] = self.limits;
        let gemma = self.gemma.encode(&format!("{system_prompt}{text}"), gemma_limit);
        let jina = self.jina.encode(text, jina_limit);
        let counts = [count("gemma3", gemma_limit, &gemma), count("jina_clip", jina_limit, &jina)];
        (gemma.ids, jina.ids, counts)
    }
}

impl TokenCounter for Tokenizers {
    fn count(&self, system_prompt: &str, text: &str) -> Vec<TokenCount> {
        let (_, _, counts) = self.prompt(system_prompt, text);
        counts.into()
    }
}

fn count(encoder: &'static str, limit: usize, encoded: &Encoded) -> TokenCount {
    TokenCount {
        encoder,
        tokens: u32::try_from(encoded.total).unwrap_or(u32::MAX),
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
        first_lost: encoded.first_lost.clone(),
    }
}
