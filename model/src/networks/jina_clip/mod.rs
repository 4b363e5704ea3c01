//! The text tower of Jina CLIP v2: token ids to one vector, the mean of the last hidden states.
//!
//! ```text
//! ids -> embedding + token type -> norm -> [ + attention, norm | + MLP, norm ] x layers -> mean over tokens
//! ```
//!
//! An XLM-R with rotary positions and norms after the residual sum. The vector is *not* normalised to unit length, and
//! the retrieval adapter that the published weights carry as parametrisations is merged while loading. Reference:
//! jinaai/jina-clip-v2 and `modeling_jina_embeddings_v3.py` of transformers (<https://arxiv.org/abs/2409.10173>).

mod config;
mod encoder;
#[cfg(feature = "cuda")]
mod fast;
mod merged;

use burn::tensor::module::embedding;
use burn::tensor::{DType, Tensor, TensorData};

pub use self::config::{JinaClipConfig, TaskAdapter};
use self::encoder::{Layer, norm, rotary};
use self::merged::Merged;
use crate::checkpoint::TensorReader;
use crate::error::TokenError;
use crate::networks::text_passes::{FastTextPass, TextPasses};
use crate::networks::token_lru::TextCounts;
use crate::nn::layer_norm::LayerNorm;
use crate::tokens::TokenBatch;

/// Prefixes of the text tower: the published layout, the tower saved alone, a repacked file with merged adapters.
const PREFIXES: [&str; 3] = ["text_model.transformer.roberta.", "roberta.", "model."];

/// The image tower, CLIP's temperature, and the SentencePiece model that repacked files carry.
const TOLERATED: [&str; 3] = ["vision_model.*", "logit_scale", "spiece_model"];

/// Size of the cache of pooled vectors: hundreds at full size.
const KEPT_BYTES: usize = 1 << 20;

/// The text tower of Jina CLIP v2 with its weights.
#[derive(Debug)]
pub struct JinaClip {
    config: JinaClipConfig,
    word_embeddings: Tensor<2>,
    token_type: Tensor<3>,
    emb_ln: LayerNorm,
    layers: Vec<Layer>,
    /// On an NVIDIA GPU they include one on the weights above.
    passes: TextPasses<2>,
}

impl JinaClip {
    /// Reads the weights, merging the adapter that `config` selects. Call [`TensorReader::finish`] before using the
    /// result.
    pub fn load(config: &JinaClipConfig, weights: &TensorReader) -> Self {
        weights.read_part(&PREFIXES, &TOLERATED);
        let merged = Merged::new(config, weights);
        let hidden = config.hidden_size;
        let token_types = merged.embedding("embeddings.token_type_embeddings", [config.type_vocab_size, hidden]);
        Self {
            config: config.clone(),
            word_embeddings: merged.embedding("embeddings.word_embeddings", [config.vocab_size, hidden]),
            token_type: token_types.narrow(0, 0, 1).unsqueeze_dim(0),
            emb_ln: norm(config, &weights.at("emb_ln")),
            layers: (0..config.layers)
                .map(|i| Layer::load(config, &merged.at(format!("encoder.layers.{i}"))))
                .collect(),
            passes: TextPasses::new(KEPT_BYTES),
        }
    }

    #[cfg_attr(not(feature = "cuda"), expect(clippy::unused_self, reason = "the GPU's pass needs it"))]
    fn build_fast(&self) -> Option<Box<dyn FastTextPass<2>>> {
        #[cfg(feature = "cuda")]
        return fast::FastJinaClip::of(self).map(|fast| -> Box<dyn FastTextPass<2>> { Box::new(fast) });
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

    /// How often the cache saved work on a text since the network was loaded.
    pub fn text_counts(&self) -> TextCounts {
        self.passes.text_counts()
    }

    /// Clears the cache, so that the next text is computed completely.
    pub fn forget_texts(&self) {
        self.passes.forget_texts();
    }

    /// The configuration.
    pub fn config(&self) -> &JinaClipConfig {
        &self.config
    }

    /// The pooled vectors, `[B, hidden]`: the mean over all tokens that are not padding, begin and end included.
    /// Repeated texts come from the cache.
    ///
    /// # Errors
    /// When an id is beyond the vocabulary.
    pub fn pooled(&self, tokens: &TokenBatch) -> Result<Tensor<2>, TokenError> {
        tokens.check("Jina CLIP", self.config.vocab_size)?;
        self.passes.run(tokens, || self.build_fast(), || self.pooled_with(tokens, |_, _| ()))
    }

    /// [`JinaClip::pooled`], showing `see` every hidden state `[B, L, hidden]`: 0 is the normalised embedding, i the
    /// output of layer i - 1.
    ///
    /// # Errors
    /// When an id is beyond the vocabulary.
    #[doc(hidden)]
    pub fn pooled_with(
        &self,
        tokens: &TokenBatch,
        mut see: impl FnMut(usize, &Tensor<3>),
    ) -> Result<Tensor<2>, TokenError> {
        let device = self.word_embeddings.device();
        let ids = tokens.ids("Jina CLIP", self.config.vocab_size, &device)?;
        let visible = tokens.differs_from(self.config.pad_token_id);
        let mask = tokens.key_mask(&visible, &device);
        let rotary = rotary(&self.config, tokens.width(), &device);
        let embedded = embedding(self.word_embeddings.clone(), ids);
        let mut state = self.emb_ln.forward(embedded + self.token_type.clone());
        see(0, &state);
        for (index, layer) in self.layers.iter().enumerate() {
            state = layer.forward(state, &rotary, mask.clone());
            see(index + 1, &state);
        }
        let weights = mean_weights(&visible, tokens.width());
        let shape = [tokens.batch(), tokens.width(), 1];
        let weights = Tensor::<3>::from_data(TensorData::new(weights, shape), (&device, DType::F32));
        let dtype = state.dtype();
        Ok((state.cast(DType::F32) * weights).sum_dim(1).squeeze_dim::<2>(1).cast(dtype))
    }
}

/// The weight of each position in the mean: 0 for padding, otherwise 1 / number of tokens of its row.
fn mean_weights(visible: &[bool], width: usize) -> Vec<f32> {
    visible
        .chunks(width)
        .flat_map(|row| {
            let count = row.iter().filter(|&&visible| visible).count().max(1) as f32;
            row.iter().map(move |&visible| if visible { 1.0 / count } else { 0.0 })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use serde_json::json;

    use super::*;
    use crate::checkpoint::testing::{Stored, write_file};

    #[test]
    fn layers_of_zeros_leave_the_mean_of_normalised_embeddings() {
        let dir = tempfile::tempdir().unwrap();
        let norm = |name: &str| Stored::f32(&format!("{name}.weight"), &[2], &[1.0, 1.0]);
        let stored = [
            // Normalised: (-1, 1), padding, (1, -1), (1, -1).
            Stored::f32("embeddings.word_embeddings.weight", &[4, 2], &[0.0, 20.0, 9.0, 0.0, 40.0, 0.0, 8.0, -8.0]),
            norm("emb_ln"),
            norm("encoder.layers.0.norm1"),
            norm("encoder.layers.0.norm2"),
        ];
        let path = write_file(dir.path(), "model.safetensors", &stored);
        let config = JinaClipConfig::from_json(&json!({"vocab_size": 4, "hidden_size": 2, "num_hidden_layers": 1,
            "num_attention_heads": 1, "intermediate_size": 2}))
        .unwrap();
        let reader = TensorReader::open("clip_model", &[path], &Device::flex(), DType::F32).unwrap();
        // The report would list the projections as missing; this test relies on their zeros.
        let tower = JinaClip::load(&config, &reader);
        let tokens = TokenBatch::padded(&[vec![0, 2, 3, 3], vec![0]], 1, 1).unwrap();
        let pooled: Vec<f32> = tower.pooled(&tokens).unwrap().try_into_vec_as().unwrap();
        for (found, expected) in pooled.iter().zip([0.5, -0.5, -1.0, 1.0]) {
            assert!((found - expected).abs() < 1e-4, "{pooled:?}");
        }
    }

    #[test]
    fn the_mean_ignores_padding() {
        assert_eq!(mean_weights(&[true, true, false, false, true, false], 3), [0.5, 0.5, 0.0, 0.0, 1.0, 0.0]);
    }
}
