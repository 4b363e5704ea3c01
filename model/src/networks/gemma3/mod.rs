//! The text tower of Gemma 3 as caption encoder: token ids to the hidden states before the last layer.
//!
//! ```text
//! ids -> embedding * sqrt(width) -> [ norm, attention, norm, + | norm, MLP, norm, + ] x (layers - 1) -> caption features
//! ```
//!
//! The image model was trained on `hidden_states[-2]`, so the last layer and the final norm are neither loaded nor run.
//! Reference: transformers, `modeling_gemma3.py` (Gemma 3 Technical Report, <https://arxiv.org/abs/2503.19786>).

mod block;
mod config;
#[cfg(feature = "cuda")]
mod fast;
#[cfg(feature = "cuda")]
mod offload;
#[cfg(feature = "cuda")]
mod pin;
mod rope;

use burn::tensor::module::embedding;
use burn::tensor::{DType, Tensor, bf16};

pub use self::config::{Gemma3Config, LayerKind};
use self::rope::AllPositions;
use crate::checkpoint::TensorReader;
use crate::checkpoint::adapters::Alias;
use crate::error::TokenError;
use crate::networks::text_passes::{FastTextPass, TextPasses};
use crate::networks::token_lru::TextCounts;
use crate::nn::adaptable::{self, AdaptableWeight};
use crate::nn::block::Block;
use crate::nn::ops;
use crate::tokens::TokenBatch;

/// Prefixes of the text tower, longest first: the published layout, transformers' in-memory layout, a text-only causal
/// model. The bare tower has none.
const PREFIXES: [&str; 4] = ["language_model.model.", "model.language_model.", "language_model.", "model."];

/// Further tensors of multi-modal and generative checkpoints, and the SentencePiece model in repacked files.
const TOLERATED: [&str; 4] = ["vision_tower.*", "multi_modal_projector.*", "lm_head.weight", "spiece_model"];

/// Size of the cache of features: a dozen batches at full size and length.
const KEPT_BYTES: usize = 64 << 20;

/// The text tower of Gemma 3 with its weights.
#[derive(Debug)]
pub struct Gemma3 {
    config: Gemma3Config,
    embed_tokens: Tensor<2>,
    blocks: Vec<Block>,
    /// Only if every layer was loaded.
    norm: Option<Tensor<1>>,
    /// On an NVIDIA GPU they include one on the weights above.
    passes: TextPasses<3>,
}

impl Gemma3 {
    /// Reads every layer but the last, as caption features need. Call [`TensorReader::finish`] before using the result.
    pub fn load(config: &Gemma3Config, weights: &TensorReader) -> Self {
        Self::read(config, weights, all_but_the_last(config, weights), false)
    }

    /// [`load`](Self::load) with the weights in host memory, from where those of a layer are copied to the device when
    /// a pass reaches it. Such a tower has only the fast path. Call [`TensorReader::finish`] before using the result.
    ///
    /// # Errors
    ///
    /// The device does not support it, or the host cannot pin that much memory.
    #[cfg(feature = "cuda")]
    pub fn load_offloaded(config: &Gemma3Config, weights: &TensorReader) -> Result<Self, OffloadError> {
        let count = all_but_the_last(config, weights);
        let embed_tokens: Tensor<2> = weights.tensor("embed_tokens.weight", [config.vocab_size, config.hidden_size]);
        let (device, dtype) = (embed_tokens.device(), embed_tokens.dtype());
        if dtype != DType::BF16 {
            return Err(OffloadError("the precision is f32, and weights in host memory need bf16".into()));
        }
        let blocks = (0..count).map(|i| block::load(config, &weights.at(format!("layers.{i}"))));
        let fast = fast::FastGemma3::offloaded(config, &device, embed_tokens, blocks)
            .map_err(|error| OffloadError(error.to_string()))?;
        // Frees the memory that layers took while they were moved.
        device.memory_cleanup();
        Ok(Self {
            config: config.clone(),
            embed_tokens: Tensor::empty([1, config.hidden_size], (&device, dtype)),
            blocks: Vec::new(),
            norm: None,
            passes: TextPasses::new(KEPT_BYTES).with_fast(Box::new(fast)),
        })
    }

    /// Reads every layer and the final norm, for comparing all hidden states.
    #[doc(hidden)]
    pub fn load_whole(config: &Gemma3Config, weights: &TensorReader) -> Self {
        weights.read_part(&PREFIXES, &TOLERATED);
        Self::read(config, weights, config.layers.len(), true)
    }

    fn read(config: &Gemma3Config, weights: &TensorReader, layers: usize, norm: bool) -> Self {
        Self {
            config: config.clone(),
            embed_tokens: weights.tensor("embed_tokens.weight", [config.vocab_size, config.hidden_size]),
            blocks: (0..layers).map(|index| block::load(config, &weights.at(format!("layers.{index}")))).collect(),
            norm: norm.then(|| weights.vector("norm.weight", config.hidden_size)),
            passes: TextPasses::new(KEPT_BYTES),
        }
    }

    #[cfg_attr(not(feature = "cuda"), expect(clippy::unused_self, reason = "the GPU's pass needs it"))]
    fn build_fast(&self) -> Option<Box<dyn FastTextPass<3>>> {
        #[cfg(feature = "cuda")]
        return fast::FastGemma3::of(self).map(|fast| -> Box<dyn FastTextPass<3>> { Box::new(fast) });
        #[cfg(not(feature = "cuda"))]
        return None;
    }

    /// Whether texts run on vendor libraries and our kernels instead of burn's operations.
    pub fn is_fast(&self) -> bool {
        self.passes.is_fast(|| self.build_fast())
    }

    /// The same network on burn's operations only, for comparison with the fast path.
    #[must_use]
    pub fn plain(self) -> Self {
        Self { passes: self.passes.plain(), ..self }
    }

    /// Other names by which adapters call a module: those with the prefixes of larger checkpoints.
    pub fn aliases(path: &str) -> Vec<Alias> {
        PREFIXES.iter().map(|prefix| format!("{prefix}{path}").into()).collect()
    }

    /// The weights of all loaded layers, under the names without a prefix. Call [`weights_changed`](Self::weights_changed) after
    /// a change.
    pub(crate) fn adaptable(&mut self) -> Vec<AdaptableWeight<'_>> {
        let config = &self.config;
        let layers = self.blocks.iter_mut().enumerate();
        layers.flat_map(|(index, block)| adaptable::block(block::names(config, index), block)).collect()
    }

    /// Drops what depends on the weights before a change.
    pub(crate) fn weights_changed(&mut self) {
        self.passes.weights_changed();
    }

    /// How often the cache saved work on a text since the network was loaded.
    pub fn text_counts(&self) -> TextCounts {
        self.passes.text_counts()
    }

    /// Clears the cache, so that the next text is computed completely.
    pub fn forget_texts(&self) {
        self.passes.forget_texts();
    }

    /// The configuration.
    pub fn config(&self) -> &Gemma3Config {
        &self.config
    }

    /// Caption features, `hidden_states[-2]`: `[B, L, hidden]`. Values beyond a text's own length are undefined.
    ///
    /// Repeated texts come from the cache. On the fast path a prefix that is shared with an earlier text does too, and
    /// a text has the same features in every batch.
    ///
    /// # Errors
    /// When an id is beyond the vocabulary.
    pub fn hidden_states(&self, tokens: &TokenBatch) -> Result<Tensor<3>, TokenError> {
        tokens.check("Gemma", self.config.vocab_size)?;
        self.passes.run(tokens, || self.build_fast(), || self.compute(tokens))
    }

    fn compute(&self, tokens: &TokenBatch) -> Result<Tensor<3>, TokenError> {
        let wanted = self.config.layers.len() - 1;
        let mut features = None;
        self.each_hidden_state(tokens, |index, state| {
            if index == wanted {
                features = Some(state.clone());
            }
        })?;
        // States 0 to the number of loaded layers exist, and that number is `wanted` or one more.
        features.ok_or(TokenError::Empty)
    }

    /// Shows `see` every hidden state that the loaded layers give, `[B, L, hidden]`: 0 is the scaled embedding, i the
    /// output of layer i - 1; the last one is normalised when every layer was loaded.
    ///
    /// # Errors
    /// When an id is beyond the vocabulary.
    #[doc(hidden)]
    pub fn each_hidden_state(
        &self,
        tokens: &TokenBatch,
        mut see: impl FnMut(usize, &Tensor<3>),
    ) -> Result<(), TokenError> {
        let device = self.embed_tokens.device();
        let ids = tokens.ids("Gemma", self.config.vocab_size, &device)?;
        let positions = AllPositions::new(&self.config, tokens.width(), &device);
        let scale = embedding_scale(&self.config, self.embed_tokens.dtype());
        let mut state = embedding(self.embed_tokens.clone(), ids).mul_scalar(scale);
        see(0, &state);
        for (index, block) in self.blocks.iter().enumerate() {
            state = block.forward(state, None, &positions.of(self.config.layers[index]));
            match &self.norm {
                Some(norm) if index + 1 == self.blocks.len() => {
                    see(index + 1, &ops::rms_norm_plus_one(state.clone(), norm.clone(), self.config.rms_norm_eps));
                }
                _ => see(index + 1, &state),
            }
        }
        Ok(())
    }
}

/// The weights cannot be kept in host memory.
#[cfg(feature = "cuda")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Gemma 3 cannot be kept in host memory: {0}")]
pub struct OffloadError(String);

/// Prepares to read what caption features need; returns the number of layers.
fn all_but_the_last(config: &Gemma3Config, weights: &TensorReader) -> usize {
    let last = config.layers.len() - 1;
    weights.read_part(&PREFIXES, &TOLERATED);
    weights.tolerate(&format!("layers.{last}.*"));
    weights.tolerate("norm.weight");
    last
}

/// sqrt(width), rounded to the type of the weights as transformers does: 50.5 instead of 50.596 in bf16.
fn embedding_scale(config: &Gemma3Config, dtype: DType) -> f32 {
    let scale = (config.hidden_size as f32).sqrt();
    if dtype == DType::BF16 { bf16::from_f32(scale).to_f32() } else { scale }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use serde_json::json;

    use super::*;
    use crate::checkpoint::testing::{Stored, write_file};

    /// A tower with embeddings only: every projection is zero, so layers add nothing.
    fn embeddings_only(hidden: usize, values: &[f32], dtype: DType) -> Gemma3 {
        let dir = tempfile::tempdir().unwrap();
        let stored = [Stored::f32("model.embed_tokens.weight", &[values.len() / hidden, hidden], values)];
        let path = write_file(dir.path(), "model.safetensors", &stored);
        let config = Gemma3Config::from_json(&json!({"vocab_size": values.len() / hidden, "hidden_size": hidden,
            "intermediate_size": 4, "num_hidden_layers": 3, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 2}))
        .unwrap();
        let reader = TensorReader::open("text_encoder", &[path], &Device::flex(), dtype).unwrap();
        Gemma3::load(&config, &reader)
    }

    #[test]
    fn embeddings_are_scaled_by_the_root_of_the_width() {
        let tower = embeddings_only(4, &[0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, -4.0], DType::F32);
        let tokens = TokenBatch::padded(&[vec![1, 0, 1], vec![1]], 0, 2).unwrap();
        let features = tower.hidden_states(&tokens).unwrap();
        assert_eq!(features.dims(), [2, 4, 4]);
        let features: Vec<f32> = features.try_into_vec_as().unwrap();
        assert_eq!(features[..8], [2.0, 4.0, 6.0, -8.0, 0.0, 0.0, 0.0, 0.0]);
        let foreign = TokenBatch::padded(&[vec![1, 2]], 0, 1).unwrap();
        assert!(matches!(tower.hidden_states(&foreign), Err(TokenError::OutOfVocabulary { id: 2, position: 1, .. })));
    }

    #[test]
    fn longer_prefixes_come_first() {
        for (index, prefix) in PREFIXES.iter().enumerate() {
            assert!(PREFIXES[..index].iter().all(|earlier| !prefix.starts_with(earlier)), "{prefix} is never reached");
        }
    }

    #[test]
    fn the_scale_is_rounded_to_the_type_of_the_weights() {
        let config = embeddings_only(2560, &[0.0; 2560], DType::F32).config;
        assert_eq!(embedding_scale(&config, DType::BF16), 50.5);
        assert_eq!(embedding_scale(&config, DType::F32), 2560_f32.sqrt());
    }
}
