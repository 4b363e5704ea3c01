//! One layer: causal attention and a feed-forward, each after a norm and with a residual sum.

use burn::nn::Linear;
use burn::tensor::{Tensor, activation};

use super::config::{Activation, ClipTextConfig};
use crate::checkpoint::TensorReader;
use crate::nn::adaptable::{self, AdaptableWeight};
use crate::nn::layer_norm::LayerNorm;
use crate::nn::ops;

#[derive(Debug)]
pub(super) struct Layer {
    heads: usize,
    activation: Activation,
    pub(super) norm1: LayerNorm,
    pub(super) q: Linear,
    pub(super) k: Linear,
    pub(super) v: Linear,
    pub(super) out: Linear,
    pub(super) norm2: LayerNorm,
    pub(super) fc1: Linear,
    pub(super) fc2: Linear,
}

impl Layer {
    pub(super) fn load(config: &ClipTextConfig, weights: &TensorReader) -> Self {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let norm = |name: &str| LayerNorm::load(&weights.at(name), width, config.layer_norm_eps);
        let attention = weights.at("self_attn");
        let square = |name: &str| attention.linear(name, width, width, true);
        Self {
            heads: config.heads,
            activation: config.activation,
            norm1: norm("layer_norm1"),
            q: square("q_proj"),
            k: square("k_proj"),
            v: square("v_proj"),
            out: square("out_proj"),
            norm2: norm("layer_norm2"),
            fc1: weights.linear("mlp.fc1", width, inner, true),
            fc2: weights.linear("mlp.fc2", inner, width, true),
        }
    }

    /// The weights that adapters may change, with names that begin with `path`.
    pub(super) fn adaptable(&mut self, path: &str) -> Vec<AdaptableWeight<'_>> {
        let mut weights = adaptable::layer_norm(&format!("{path}.layer_norm1"), &mut self.norm1);
        weights.extend(adaptable::layer_norm(&format!("{path}.layer_norm2"), &mut self.norm2));
        let layers = [
            ("self_attn.q_proj", &mut self.q),
            ("self_attn.k_proj", &mut self.k),
            ("self_attn.v_proj", &mut self.v),
            ("self_attn.out_proj", &mut self.out),
            ("mlp.fc1", &mut self.fc1),
            ("mlp.fc2", &mut self.fc2),
        ];
        weights
            .extend(layers.into_iter().flat_map(|(name, layer)| adaptable::linear(&format!("{path}.{name}"), layer)));
        weights
    }

    /// `[B, L, hidden_size]` to the same.
    pub(super) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = x.clone() + self.attend(self.norm1.forward(x));
        let hidden = ops::linear(self.norm2.forward(x.clone()), &self.fc1);
        let hidden = match self.activation {
            Activation::Gelu => ops::gelu(hidden),
            Activation::QuickGelu => hidden.clone() * activation::sigmoid(hidden.mul_scalar(1.702)),
        };
        x + ops::linear(hidden, &self.fc2)
    }

    fn attend(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, length, width] = x.dims();
        let project =
            |layer: &Linear| ops::linear(x.clone(), layer).reshape([batch, length, self.heads, width / self.heads]);
        let out = ops::attention(project(&self.q), project(&self.k), project(&self.v), None, true);
        ops::linear(out.reshape([batch, length, width]), &self.out)
    }
}
