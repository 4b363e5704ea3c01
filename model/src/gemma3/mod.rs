//! The text tower of Gemma 3 as caption encoder: token ids to the hidden states before the last layer.
//!
//! ```text
//! ids -> embedding * sqrt(width) -> [ norm, attention, norm, + | norm, MLP, norm, + ] x (layers - 1) -> caption features
//! ```
//!
//! The image model was trained on `hidden_states[-2]`, so the last layer and the final norm are neither loaded nor run.
//! Reference: transformers, `modeling_gemma3.py` (Gemma 3 Technical Report, <https://arxiv.org/abs/2503.19786>).

mod attention;
mod block;
mod config;
mod key_map;
mod rope;

use burn::tensor::module::embedding;
use burn::tensor::{DType, Tensor, bf16};

use self::block::Block;
pub use self::config::{Gemma3Config, LayerKind};
use self::rope::Positions;
use crate::error::TokenError;
use crate::loader::TensorReader;
use crate::ops;
use crate::tokens::TokenBatch;

/// The network.
#[derive(Debug)]
pub struct Gemma3 {
    config: Gemma3Config,
    embed_tokens: Tensor<2>,
    blocks: Vec<Block>,
    /// Only there when every layer was loaded.
    norm: Option<Tensor<1>>,
}

impl Gemma3 {
    /// Reads what caption features need: every layer but the last. Ask [`TensorReader::finish`] before using the result.
    pub fn load(config: &Gemma3Config, weights: &TensorReader) -> Self {
        key_map::apply(weights);
        weights.tolerate(&format!("layers.{}.*", config.layers.len() - 1));
        weights.tolerate("norm.weight");
        Self::read(config, weights, config.layers.len() - 1, false)
    }

    /// Reads every layer and the final norm, for comparing all hidden states.
    pub fn load_whole(config: &Gemma3Config, weights: &TensorReader) -> Self {
        key_map::apply(weights);
        Self::read(config, weights, config.layers.len(), true)
    }

    fn read(config: &Gemma3Config, weights: &TensorReader, layers: usize, norm: bool) -> Self {
        Self {
            config: config.clone(),
            embed_tokens: weights.tensor("embed_tokens.weight", [config.vocab_size, config.hidden_size]),
            blocks: (0..layers)
                .map(|index| Block::load(config, config.layers[index], &weights.at(format!("layers.{index}"))))
                .collect(),
            norm: norm.then(|| weights.vector("norm.weight", config.hidden_size)),
        }
    }

    /// The configuration.
    pub fn config(&self) -> &Gemma3Config {
        &self.config
    }

    /// Caption features, `hidden_states[-2]`: `[B, L, hidden]`. Rows beyond a text's own length hold meaningless values.
    ///
    /// # Errors
    /// When an id is beyond the vocabulary.
    pub fn hidden_states(&self, tokens: &TokenBatch) -> Result<Tensor<3>, TokenError> {
        let wanted = self.config.layers.len() - 1;
        let mut features = None;
        self.each_hidden_state(tokens, |index, state| {
            if index == wanted {
                features = Some(state.clone());
            }
        })?;
        // There is always a state of every index up to the number of loaded layers, which is `wanted` or one more.
        features.ok_or(TokenError::Empty)
    }

    /// Shows `see` every hidden state that the loaded layers give, `[B, L, hidden]`: 0 is the scaled embedding, i the output
    /// of layer i - 1; the last one is normalised when every layer was loaded.
    ///
    /// # Errors
    /// When an id is beyond the vocabulary.
    pub fn each_hidden_state(
        &self,
        tokens: &TokenBatch,
        mut see: impl FnMut(usize, &Tensor<3>),
    ) -> Result<(), TokenError> {
        let device = self.embed_tokens.device();
        let ids = tokens.ids("Gemma", self.config.vocab_size, &device)?;
        let positions = Positions::new(&self.config, tokens.width(), &device);
        let mut state = embedding(self.embed_tokens.clone(), ids).mul_scalar(self.embedding_scale());
        see(0, &state);
        for (index, block) in self.blocks.iter().enumerate() {
            state = block.forward(state, &positions);
            match &self.norm {
                Some(norm) if index + 1 == self.blocks.len() => {
                    see(index + 1, &ops::rms_norm_plus_one(state.clone(), norm.clone(), self.config.rms_norm_eps));
                }
                _ => see(index + 1, &state),
            }
        }
        Ok(())
    }

    /// sqrt(width), rounded to the type of the weights as transformers does: 50.5 instead of 50.596 in bf16.
    fn embedding_scale(&self) -> f32 {
        let scale = (self.config.hidden_size as f32).sqrt();
        if self.embed_tokens.dtype() == DType::BF16 { bf16::from_f32(scale).to_f32() } else { scale }
    }
}
