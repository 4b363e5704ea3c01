//! One layer: attention and gated MLP, each between two norms.

use burn::nn::Linear;
use burn::tensor::Tensor;

use super::attention::Attention;
use super::rope::Positions;
use super::{Gemma3Config, LayerKind};
use crate::checkpoint::TensorReader;
use crate::nn::ops;

/// A decoder layer.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) input_layernorm: Tensor<1>,
    pub(super) self_attn: Attention,
    pub(super) post_attention_layernorm: Tensor<1>,
    pub(super) pre_feedforward_layernorm: Tensor<1>,
    /// The rows of `gate_proj` and then of `up_proj`: one product instead of two.
    pub(super) gate_up: Linear,
    pub(super) down_proj: Linear,
    pub(super) post_feedforward_layernorm: Tensor<1>,
    eps: f64,
}

impl Block {
    pub(super) fn load(config: &Gemma3Config, kind: LayerKind, weights: &TensorReader) -> Self {
        let Gemma3Config { hidden_size, intermediate_size, rms_norm_eps, .. } = *config;
        let norm = |name: &str| weights.vector(&format!("{name}.weight"), hidden_size);
        Self {
            input_layernorm: norm("input_layernorm"),
            self_attn: Attention::load(config, kind, &weights.at("self_attn")),
            post_attention_layernorm: norm("post_attention_layernorm"),
            pre_feedforward_layernorm: norm("pre_feedforward_layernorm"),
            gate_up: weights
                .linear_stack(&[("mlp.gate_proj", intermediate_size), ("mlp.up_proj", intermediate_size)], hidden_size),
            down_proj: weights.linear("mlp.down_proj", intermediate_size, hidden_size, false),
            post_feedforward_layernorm: norm("post_feedforward_layernorm"),
            eps: rms_norm_eps,
        }
    }

    /// `[B, L, hidden]` to the same.
    pub(super) fn forward(&self, x: Tensor<3>, positions: &Positions) -> Tensor<3> {
        let norm = |x: Tensor<3>, weight: &Tensor<1>| ops::rms_norm_plus_one(x, weight.clone(), self.eps);
        let attended = self.self_attn.forward(norm(x.clone(), &self.input_layernorm), positions);
        let x = x + norm(attended, &self.post_attention_layernorm);
        let fed = self.feed_forward(norm(x.clone(), &self.pre_feedforward_layernorm));
        x + norm(fed, &self.post_feedforward_layernorm)
    }

    fn feed_forward(&self, x: Tensor<3>) -> Tensor<3> {
        let gate_up = ops::linear(x, &self.gate_up);
        let width = gate_up.dims()[2] / 2;
        let up = gate_up.clone().narrow(2, width, width);
        ops::linear(ops::gelu_tanh(gate_up.narrow(2, 0, width)) * up, &self.down_proj)
    }
}
