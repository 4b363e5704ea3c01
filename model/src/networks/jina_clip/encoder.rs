//! One encoder layer: attention and MLP with norms after the residual sums, rotary positions.

use burn::nn::Linear;
use burn::tensor::{Bool, Device, Tensor};

use super::JinaClipConfig;
use super::merged::Merged;
use crate::checkpoint::TensorReader;
use crate::nn::layer_norm::LayerNorm;
use crate::nn::ops;
use crate::nn::rope::RopeTable;

/// A layer norm of this network.
pub(super) fn norm(config: &JinaClipConfig, weights: &TensorReader) -> LayerNorm {
    LayerNorm::load(weights, config.hidden_size, config.layer_norm_eps)
}

/// The rotary tables of positions 0 to `len - 1`.
pub(super) fn rotary(config: &JinaClipConfig, len: usize, device: &Device) -> RopeTable {
    let head_dim = config.hidden_size / config.heads;
    let frequency = |i: usize| config.rotary_emb_base.powf(-2.0 * i as f64 / head_dim as f64) as f32;
    let frequencies: Vec<f32> = (0..head_dim / 2).map(frequency).collect();
    RopeTable::of_frequencies(&frequencies, len, device)
}

/// An encoder layer.
#[derive(Debug)]
pub(super) struct Layer {
    heads: usize,
    pub(super) qkv: Linear,
    pub(super) out_proj: Linear,
    pub(super) norm1: LayerNorm,
    pub(super) fc1: Linear,
    pub(super) fc2: Linear,
    pub(super) norm2: LayerNorm,
}

impl Layer {
    pub(super) fn load(config: &JinaClipConfig, weights: &Merged) -> Self {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        Self {
            heads: config.heads,
            qkv: weights.linear("mixer.Wqkv", hidden, 3 * hidden),
            out_proj: weights.linear("mixer.out_proj", hidden, hidden),
            norm1: norm(config, &weights.plain().at("norm1")),
            fc1: weights.linear("mlp.fc1", hidden, inner),
            fc2: weights.linear("mlp.fc2", inner, hidden),
            norm2: norm(config, &weights.plain().at("norm2")),
        }
    }

    /// `x` `[B, L, hidden]`; `mask` `[B, 1, 1, L]`, true where a key is padding.
    pub(super) fn forward(&self, x: Tensor<3>, rotary: &RopeTable, mask: Option<Tensor<4, Bool>>) -> Tensor<3> {
        let x = self.norm1.forward(x.clone() + self.attend(x, rotary, mask));
        let fed = ops::linear(ops::gelu(ops::linear(x.clone(), &self.fc1)), &self.fc2);
        self.norm2.forward(x + fed)
    }

    fn attend(&self, x: Tensor<3>, rotary: &RopeTable, mask: Option<Tensor<4, Bool>>) -> Tensor<3> {
        let [batch, len, hidden] = x.dims();
        let qkv = ops::linear(x, &self.qkv);
        let part = |index: usize| {
            qkv.clone().narrow(2, index * hidden, hidden).reshape([batch, len, self.heads, hidden / self.heads])
        };
        let place = |x: Tensor<4>| ops::rope_half(x, rotary.cos.clone(), rotary.sin.clone());
        let out = ops::attention(place(part(0)), place(part(1)), part(2), mask, false);
        ops::linear(out.reshape([batch, len, hidden]), &self.out_proj)
    }
}
