//! The text encoders of Stable Diffusion XL: CLIP-L (OpenAI) and CLIP-G (OpenCLIP), pre-norm transformers with causal
//! attention over texts of a fixed length (Radford et al. 2021, <https://arxiv.org/abs/2103.00020>).
//!
//! There is no mask besides the causal one: padding is read like any other token. Reference: transformers,
//! `modeling_clip.py`.

mod config;
#[cfg(feature = "cuda")]
mod fast;
mod key_map;
mod layer;

use burn::nn::Linear;
use burn::tensor::{Bool, Int, Tensor, TensorData};

pub use self::config::{Activation, ClipTextConfig};
use self::layer::Layer;
use crate::checkpoint::{TensorReader, linear_of};
use crate::nn::accelerated::Accelerated;
use crate::nn::adaptable::{self, AdaptableWeight};
use crate::nn::layer_norm::LayerNorm;
use crate::nn::ops;

/// One position of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextToken {
    /// An entry of the vocabulary.
    Id(u32),
    /// A vector that replaces the embedding of a token: textual inversion (Gal et al. 2022,
    /// <https://arxiv.org/abs/2208.01618>). Its index among the vectors given to [`ClipText::encode`].
    Vector(usize),
}

/// The output of an encoder for a batch of texts.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// The embeddings, then the output of each layer, none of them through the final norm: `[B, L, hidden_size]` each, one
    /// more than there are layers.
    pub hidden_states: Vec<Tensor<3>>,
    /// The last of them through the final norm, `[B, L, hidden_size]`.
    pub last: Tensor<3>,
}

impl Encoded {
    /// The state `n` layers before the end, `hidden_states[-n]` of the reference: 1 is the last layer's. Stable Diffusion XL
    /// reads 2. A larger `n` than there are states gives the embeddings.
    pub fn state_from_end(&self, n: usize) -> Tensor<3> {
        let index = self.hidden_states.len().saturating_sub(n.max(1));
        self.hidden_states[index].clone()
    }
}

/// The features of a batch of texts for a denoiser.
#[derive(Debug, Clone)]
pub struct TextFeatures {
    /// The state of a layer, `[B, L, hidden_size]`.
    pub state: Tensor<3>,
    /// The last state through the final norm, `[B, L, hidden_size]`.
    pub last: Tensor<3>,
}

/// The layers in an accelerated implementation. `None`: it does not support this batch.
trait Passes: Send + Sync {
    /// Embeddings `[B, L, hidden_size]` to the state after `layers` layers and the last one.
    fn run(&self, embedded: &Tensor<3>, layers: usize) -> Option<TextFeatures>;
}

/// A CLIP text encoder with its weights.
#[derive(Debug)]
pub struct ClipText {
    config: ClipTextConfig,
    /// `[vocab_size, hidden_size]`
    tokens: Tensor<2>,
    /// `[tokens, hidden_size]`
    positions: Tensor<2>,
    layers: Vec<Layer>,
    norm: LayerNorm,
    projection: Option<Linear>,
    /// The layers on an NVIDIA GPU. It holds addresses of the weights above.
    fast: Accelerated<dyn Passes>,
}

impl ClipText {
    /// Gives the tensors the names that [`load`](Self::load) reads, from those of transformers or OpenCLIP. Adapters are
    /// merged after it.
    pub fn rename(weights: &TensorReader) {
        key_map::apply(weights);
    }

    /// Reads the encoder, after [`rename`](Self::rename). Call [`TensorReader::finish`] before using the result.
    pub fn load(config: &ClipTextConfig, weights: &TensorReader) -> Self {
        let width = config.hidden_size;
        let layer = |i: usize| Layer::load(config, &weights.at(format!("encoder.layers.{i}")));
        let projection = config.projection_dim.map(|projected| {
            // OpenCLIP stores it as `[input, output]`.
            if weights.has("text_projection") {
                linear_of(weights.tensor("text_projection", [width, projected]).transpose(), None)
            } else {
                weights.linear("text_projection", width, projected, false)
            }
        });
        Self {
            tokens: weights.tensor("embeddings.token_embedding.weight", [config.vocab_size, width]),
            positions: weights.tensor("embeddings.position_embedding.weight", [config.tokens, width]),
            layers: (0..config.layers).map(layer).collect(),
            norm: LayerNorm::load(&weights.at("final_layer_norm"), width, config.layer_norm_eps),
            projection,
            config: config.clone(),
            fast: Accelerated::new(),
        }
    }

    fn fast(&self) -> Option<&dyn Passes> {
        self.fast.get_or_build(|| {
            #[cfg(feature = "cuda")]
            return fast::FastClipText::of(self).map(|fast| -> Box<dyn Passes> { Box::new(fast) });
            #[cfg(not(feature = "cuda"))]
            return None;
        })
    }

    /// Whether [`features`](Self::features) are computed by vendor libraries and our kernels instead of burn's operations.
    pub fn is_fast(&self) -> bool {
        self.fast().is_some()
    }

    /// Drops the fast path, which holds the addresses of the weights before a change. The next text builds it again.
    pub(crate) fn weights_changed(&mut self) {
        self.fast.rebuild();
    }

    /// All weights under the names that [`load`](Self::load) reads. Call [`weights_changed`](Self::weights_changed) after a
    /// change.
    pub(crate) fn adaptable(&mut self) -> Vec<AdaptableWeight<'_>> {
        let Self { tokens, positions, layers, norm, projection, .. } = self;
        let mut weights = vec![
            adaptable::table("embeddings.token_embedding", tokens),
            adaptable::table("embeddings.position_embedding", positions),
        ];
        for (index, layer) in layers.iter_mut().enumerate() {
            weights.extend(layer.adaptable(&format!("encoder.layers.{index}")));
        }
        weights.extend(adaptable::layer_norm("final_layer_norm", norm));
        weights.extend(projection.iter_mut().flat_map(|layer| adaptable::linear("text_projection", layer)));
        weights
    }

    /// The configuration.
    pub fn config(&self) -> &ClipTextConfig {
        &self.config
    }

    /// The state `n` layers before the end, as [`Encoded::state_from_end`], and the last one: on the fast path where there is
    /// one. The arguments are those of [`encode`](Self::encode).
    pub fn features(&self, texts: &[Vec<TextToken>], vectors: Option<&Tensor<2>>, n: usize) -> TextFeatures {
        let layers = (self.layers.len() + 1).saturating_sub(n.max(1));
        let fast = self.fast().and_then(|fast| fast.run(&self.embed(texts, vectors), layers));
        fast.unwrap_or_else(|| {
            let encoded = self.encode(texts, vectors);
            TextFeatures { state: encoded.state_from_end(n), last: encoded.last }
        })
    }

    /// Encodes texts of equal length in burn's operations.
    ///
    /// # Shapes
    ///
    /// - texts: B rows of L tokens, L at most [`ClipTextConfig::tokens`]. Ids beyond the vocabulary read its last entry.
    /// - vectors: `[vectors, hidden_size]`, what [`TextToken::Vector`] refers to
    pub fn encode(&self, texts: &[Vec<TextToken>], vectors: Option<&Tensor<2>>) -> Encoded {
        let mut states = vec![self.embed(texts, vectors)];
        for layer in &self.layers {
            let state = states.last().expect("there are the embeddings").clone();
            states.push(layer.forward(state));
        }
        let last = self.norm.forward(states.last().expect("there are the embeddings").clone());
        Encoded { hidden_states: states, last }
    }

    /// The pooled vectors, `[B, projection_dim]`: the projection of the last normed state at the position of each text's
    /// first end token. `None` for an encoder without projection.
    pub fn pool(&self, encoded: &Encoded, ends: &[usize]) -> Option<Tensor<2>> {
        let projection = self.projection.as_ref()?;
        let [batch, length, width] = encoded.last.dims();
        let rows = (0..batch).zip(ends).map(|(row, &end)| {
            encoded.last.clone().slice([row..row + 1, end.min(length - 1)..end.min(length - 1) + 1, 0..width])
        });
        let states = Tensor::cat(rows.collect(), 0).reshape([batch, width]);
        Some(ops::linear(states, projection))
    }

    /// `[B, L, hidden_size]`
    fn embed(&self, texts: &[Vec<TextToken>], vectors: Option<&Tensor<2>>) -> Tensor<3> {
        let (batch, length) = (texts.len(), texts.first().map_or(0, Vec::len));
        let width = self.config.hidden_size;
        let device = self.tokens.device();
        let select = |table: &Tensor<2>, index: &dyn Fn(TextToken) -> usize| {
            let rows = table.dims()[0];
            let indices = texts.iter().flatten().map(|&token| index(token).min(rows.saturating_sub(1)) as i64);
            let data = TensorData::new(indices.collect::<Vec<_>>(), [batch * length]);
            table.clone().select(0, Tensor::<1, Int>::from_data(data, &device))
        };
        let mut embedded = select(&self.tokens, &|token| match token {
            TextToken::Id(id) => id as usize,
            TextToken::Vector(_) => 0,
        });
        if let Some(vectors) = vectors {
            let inserted = select(&vectors.clone().cast(self.tokens.dtype()), &|token| match token {
                TextToken::Id(_) => 0,
                TextToken::Vector(vector) => vector,
            });
            let is_vector = texts.iter().flatten().map(|token| matches!(token, TextToken::Vector(_)));
            let mask = TensorData::new(is_vector.collect::<Vec<_>>(), [batch * length, 1]);
            let mask = Tensor::<2, Bool>::from_data(mask, &device).expand([batch * length, width]);
            embedded = embedded.mask_where(mask, inserted);
        }
        let positions = self.positions.clone().narrow(0, 0, length).unsqueeze::<3>();
        embedded.reshape([batch, length, width]) + positions
    }
}
