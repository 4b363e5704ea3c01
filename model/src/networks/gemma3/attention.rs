//! Grouped-query attention with normalised queries and keys.

use burn::nn::Linear;
use burn::tensor::Tensor;

use super::rope::Positions;
use super::{Gemma3Config, LayerKind};
use crate::checkpoint::TensorReader;
use crate::nn::ops;

/// Causal self-attention of one layer.
#[derive(Debug)]
pub(super) struct Attention {
    pub(super) kind: LayerKind,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    eps: f64,
    /// Turns the 1/sqrt(head_dim) of the shared attention into the model's own scale.
    query_scale: f64,
    /// The rows of `q_proj`, `k_proj` and `v_proj`: one product instead of three.
    pub(super) qkv: Linear,
    pub(super) o_proj: Linear,
    pub(super) q_norm: Tensor<1>,
    pub(super) k_norm: Tensor<1>,
}

impl Attention {
    pub(super) fn load(config: &Gemma3Config, kind: LayerKind, weights: &TensorReader) -> Self {
        let Gemma3Config { hidden_size, heads, kv_heads, head_dim, .. } = *config;
        Self {
            kind,
            heads,
            kv_heads,
            head_dim,
            eps: config.rms_norm_eps,
            query_scale: (head_dim as f64 / config.query_pre_attn_scalar).sqrt(),
            qkv: weights.linear_stack(
                &[("q_proj", heads * head_dim), ("k_proj", kv_heads * head_dim), ("v_proj", kv_heads * head_dim)],
                hidden_size,
            ),
            o_proj: weights.linear("o_proj", heads * head_dim, hidden_size, false),
            q_norm: weights.vector("q_norm.weight", head_dim),
            k_norm: weights.vector("k_norm.weight", head_dim),
        }
    }

    /// `[B, L, hidden]` to the same. Padding lies on the right, so causality already hides it from every real query.
    pub(super) fn forward(&self, x: Tensor<3>, positions: &Positions) -> Tensor<3> {
        let [batch, len, _] = x.dims();
        let qkv = ops::linear(x, &self.qkv);
        let part = |first: usize, heads: usize| {
            let (start, width) = (first * self.head_dim, heads * self.head_dim);
            qkv.clone().narrow(2, start, width).reshape([batch, len, heads, self.head_dim])
        };
        let table = positions.table(self.kind);
        let place = |x: Tensor<4>, norm: &Tensor<1>| {
            let x = ops::rms_norm_plus_one(x, norm.clone(), self.eps);
            ops::rope_half(x, table.cos.clone(), table.sin.clone())
        };
        let mut q = place(part(0, self.heads), &self.q_norm);
        if self.query_scale != 1.0 {
            q = q.mul_scalar(self.query_scale);
        }
        let k = place(part(self.heads, self.kv_heads), &self.k_norm);
        let v = part(self.heads + self.kv_heads, self.kv_heads);
        let out = ops::attention(q, k, v, positions.mask(self.kind), true);
        ops::linear(out.reshape([batch, len, self.heads * self.head_dim]), &self.o_proj)
    }
}
