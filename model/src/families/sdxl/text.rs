//! Prompts to the inputs of the U-Net: features for its attention and a pooled vector.

use std::path::Path;

use burn::tensor::{DType, Tensor};
use sakuga_model_core::{TokenCount, TokenCounter};

use super::embedding::{Embeddings, Encoder};
use super::prompt::{Chunk, PromptChunks, PromptRules, weighting};
use crate::error::LoadError;
use crate::networks::clip_text::{ClipText, Encoded};
use crate::tokenizer::TextTokenizer;

/// The state that this family reads, counted from the last layer's: the penultimate one. "Clip skip 2" of other programs is
/// this one too, so for this family it changes nothing.
pub const STATE_FROM_END: usize = 2;

/// The most chunks of a prompt; what is beyond them is cut off.
pub const CHUNKS_MAX: usize = 16;
/// Tokens of a chunk, start and end included, of every published model.
const CHUNK_TOKENS: usize = 77;

/// The tokenizers of CLIP-L and CLIP-G, which differ in their padding. They need no device.
#[derive(Debug, Clone)]
pub struct TokenizerPair {
    /// Of CLIP-L and of CLIP-G.
    pub tokenizers: [TextTokenizer; 2],
}

impl TokenizerPair {
    /// The tokenizers in `tokenizer/` and `tokenizer_2/` of a checkpoint, or the built-in ones where it has none.
    ///
    /// # Errors
    ///
    /// A folder is there but its files cannot be read or are malformed.
    pub fn open(dir: &Path) -> Result<Self, LoadError> {
        let open = |name: &str, built_in: fn() -> TextTokenizer| {
            let folder = dir.join(name);
            if folder.is_dir() { TextTokenizer::clip(&folder) } else { Ok(built_in()) }
        };
        let tokenizers = [open("tokenizer", TextTokenizer::clip_l)?, open("tokenizer_2", TextTokenizer::clip_g)?];
        Ok(Self { tokenizers })
    }
}

impl TokenCounter for TokenizerPair {
    /// The tokens of all chunks without start, end and padding.
    fn count(&self, _system_prompt: &str, text: &str) -> Vec<TokenCount> {
        let [l, g] = &self.tokenizers;
        let chunks = PromptRules::default().chunks([l, g], &Embeddings::default(), text, CHUNK_TOKENS);
        let count = |encoder, chunks: &[Chunk]| TokenCount {
            encoder,
            tokens: chunks.iter().map(|chunk| chunk.end - 1).sum::<usize>() as u32,
            limit: (CHUNKS_MAX * (CHUNK_TOKENS - 2)) as u32,
            first_lost: None,
        };
        vec![count("clip_l", &chunks.l), count("clip_g", &chunks.g)]
    }
}

/// The features of one prompt.
#[derive(Debug, Clone)]
pub struct TextFeatures {
    /// `[1, T, width]`: the states of all chunks, one after the other, features of CLIP-L and then of CLIP-G.
    pub context: Tensor<3>,
    /// `[1, pooled_dim]`: of CLIP-G, for the first chunk.
    pub pooled: Tensor<2>,
}

impl TextFeatures {
    /// Zeros of the same shapes, which the base model reads in place of an empty negative prompt.
    #[must_use]
    pub fn zeros(&self) -> Self {
        Self { context: self.context.zeros_like(), pooled: self.pooled.zeros_like() }
    }
}

/// The text encoders of a model with their tokenizers and embeddings.
#[derive(Debug)]
pub struct TextEncoders {
    /// CLIP-L; the refiner has none.
    pub l: Option<ClipText>,
    /// CLIP-G, which also gives the pooled text embedding.
    pub g: ClipText,
    /// The tokenizers of CLIP-L and CLIP-G. They differ in their padding.
    pub tokenizers: [TextTokenizer; 2],
    /// Textual inversion.
    pub embeddings: Embeddings,
}

impl TextEncoders {
    /// The tokens of a prompt.
    pub fn chunks(&self, rules: PromptRules, text: &str) -> PromptChunks {
        let [l, g] = &self.tokenizers;
        let mut chunks = rules.chunks([l, g], &self.embeddings, text, self.g.config().tokens);
        chunks.l.truncate(CHUNKS_MAX);
        chunks.g.truncate(CHUNKS_MAX);
        chunks
    }

    /// The features of a prompt. `state` counts from the last layer's: [`STATE_FROM_END`].
    pub fn encode(&self, rules: PromptRules, text: &str, state: usize) -> TextFeatures {
        let chunks = self.chunks(rules, text);
        let (context_g, pooled) = self.read(&self.g, Encoder::G, &chunks.g, rules, state);
        let context = match &self.l {
            Some(l) => {
                let (context_l, _) = self.read(l, Encoder::L, &chunks.l, rules, state);
                // With embeddings of one encoder only, one may have more chunks than the other.
                let length = context_l.dims()[1].min(context_g.dims()[1]);
                let cut = |context: Tensor<3>| context.narrow(1, 0, length);
                Tensor::cat(vec![cut(context_l), cut(context_g)], 2)
            }
            None => context_g,
        };
        TextFeatures { context, pooled: pooled.expect("CLIP-G has a projection") }
    }

    /// Features of a prompt and of a negative prompt, with contexts of equal length. Without a negative prompt they are zeros, or
    /// those of the empty text.
    pub fn pair(
        &self,
        rules: PromptRules,
        state: usize,
        [positive, negative]: [&str; 2],
        zeros_for_no_negative: bool,
    ) -> [TextFeatures; 2] {
        let positive = self.encode(rules, positive, state);
        let negative = match negative.is_empty() && zeros_for_no_negative {
            true => positive.zeros(),
            false => self.encode(rules, negative, state),
        };
        self.aligned(rules, state, [positive, negative])
    }

    /// Features of two prompts with contexts of equal length. The shorter one is filled as the rules' program does: with the empty
    /// prompt, or by repeating both up to a common multiple.
    pub fn aligned(&self, rules: PromptRules, state: usize, features: [TextFeatures; 2]) -> [TextFeatures; 2] {
        let lengths = [0, 1].map(|i: usize| features[i].context.dims()[1]);
        if lengths[0] == lengths[1] {
            return features;
        }
        let chunk = self.g.config().tokens;
        let [first, second] = features;
        match rules {
            PromptRules::ComfyUi => {
                let common = lcm(lengths[0], lengths[1]);
                [first, second].map(|features| {
                    let count = common / features.context.dims()[1];
                    TextFeatures { context: features.context.repeat_dim(1, count), ..features }
                })
            }
            PromptRules::A1111 | PromptRules::A1111NoNorm | PromptRules::Plain => {
                let empty = self.encode(PromptRules::Plain, "", state).context;
                let longest = lengths[0].max(lengths[1]);
                [first, second].map(|features| {
                    let missing = (longest - features.context.dims()[1]) / chunk;
                    let fill = std::iter::repeat_n(empty.clone(), missing);
                    let context = std::iter::once(features.context).chain(fill).collect();
                    TextFeatures { context: Tensor::cat(context, 1), ..features }
                })
            }
        }
    }

    /// The weighted states of all chunks, `[1, chunks * L, width]`, and the pooled vector of the first.
    fn read(
        &self,
        network: &ClipText,
        encoder: Encoder,
        chunks: &[Chunk],
        rules: PromptRules,
        state: usize,
    ) -> (Tensor<3>, Option<Tensor<2>>) {
        let vectors = self.embeddings.table(encoder);
        let texts: Vec<_> = chunks.iter().map(Chunk::tokens).collect();
        let features = network.features(&texts, vectors.as_ref(), state);
        // Weights and means in full precision.
        let states = features.state.cast(DType::F32);
        let is_weighted = chunks.iter().any(Chunk::is_weighted);
        let empty = (is_weighted && rules == PromptRules::ComfyUi).then(|| {
            let empty = self.empty(encoder);
            network.features(&[empty.tokens()], None, state).state.cast(DType::F32)
        });
        let weighted = chunks.iter().enumerate().map(|(i, chunk)| {
            let states = states.clone().narrow(0, i, 1);
            match (rules, &empty) {
                (PromptRules::Plain, _) | (PromptRules::ComfyUi, None) => states,
                (PromptRules::ComfyUi, Some(empty)) => weighting::interpolated(states, empty, &chunk.weights()),
                // Without weights the mean of the states is kept bit for bit.
                (PromptRules::A1111 | PromptRules::A1111NoNorm, _) if !chunk.is_weighted() => states,
                (PromptRules::A1111, _) => weighting::multiplied(states, &chunk.weights(), true),
                (PromptRules::A1111NoNorm, _) => weighting::multiplied(states, &chunk.weights(), false),
            }
        });
        let context = Tensor::cat(weighted.collect(), 1);
        let first = Encoded { hidden_states: Vec::new(), last: features.last.narrow(0, 0, 1) };
        (context, network.pool(&first, &[chunks[0].end]))
    }

    /// The empty prompt as an encoder reads it: start, end, padding.
    fn empty(&self, encoder: Encoder) -> Chunk {
        let [l, g] = &self.tokenizers;
        let none = Embeddings::default();
        let PromptChunks { l, g, .. } = PromptRules::ComfyUi.chunks([l, g], &none, "", self.g.config().tokens);
        let mut chunks = match encoder {
            Encoder::L => l,
            Encoder::G => g,
        };
        chunks.swap_remove(0)
    }
}

/// The least common multiple of two numbers above 0.
fn lcm(a: usize, b: usize) -> usize {
    let gcd = |mut a: usize, mut b: usize| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    a / gcd(a, b) * b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_multiples() {
        assert_eq!((lcm(77, 154), lcm(154, 231), lcm(77, 77)), (154, 462, 77));
    }
}
