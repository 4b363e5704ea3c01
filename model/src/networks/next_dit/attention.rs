//! Self-attention with grouped key and value heads, normalised queries and keys, and rotary positions.

use burn::tensor::{Bool, Tensor};

use super::NextDitConfig;
use super::block_linear::BlockLinear;
use super::rope::RopeTable;
use crate::checkpoint::TensorReader;
use crate::nn::ops;

/// `attention`: fused `qkv`, norms over each head of q and k, rotation, attention, `out`.
#[derive(Debug)]
pub struct Attention {
    pub(super) qkv: BlockLinear,
    pub(super) out: BlockLinear,
    pub(super) norms: Option<(Tensor<1>, Tensor<1>)>,
    norm_eps: f64,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

impl Attention {
    /// Loads `{qkv,out}.weight` and, if the configuration has them, `{q_norm,k_norm}.weight`.
    pub fn load(config: &NextDitConfig, weights: &TensorReader) -> Self {
        let head_dim = config.head_dim();
        let rows = (config.n_heads + 2 * config.n_kv_heads) * head_dim;
        Self {
            qkv: BlockLinear::Loaded(weights.linear("qkv", config.dim, rows, false)),
            out: BlockLinear::Loaded(weights.linear("out", config.n_heads * head_dim, config.dim, false)),
            norms: config
                .qk_norm
                .then(|| (weights.tensor("q_norm.weight", [head_dim]), weights.tensor("k_norm.weight", [head_dim]))),
            norm_eps: config.qk_norm_eps,
            heads: config.n_heads,
            kv_heads: config.n_kv_heads,
            head_dim,
        }
    }

    /// # Shapes
    ///
    /// - x: `[batch, sequence, dim]`
    /// - mask: `[batch, 1, 1, sequence]`, true where a key is padding
    /// - output: `[batch, sequence, dim]`
    pub fn forward(&self, x: Tensor<3>, rope: &RopeTable, mask: Option<&Tensor<4, Bool>>) -> Tensor<3> {
        let [batch, sequence, _] = x.dims();
        let qkv = self.qkv.forward(x);
        let (q_width, kv_width) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let part = |start: usize, heads: usize| {
            qkv.clone().narrow(2, start, heads * self.head_dim).reshape([batch, sequence, heads, self.head_dim])
        };
        let mut q = part(0, self.heads);
        let mut k = part(q_width, self.kv_heads);
        let v = part(q_width + kv_width, self.kv_heads);
        if let Some((q_norm, k_norm)) = &self.norms {
            q = ops::rms_norm(q, q_norm.clone(), self.norm_eps);
            k = ops::rms_norm(k, k_norm.clone(), self.norm_eps);
        }
        let q = ops::rope_interleaved(q, rope.cos.clone(), rope.sin.clone());
        let k = ops::rope_interleaved(k, rope.cos.clone(), rope.sin.clone());
        let attended = ops::attention(q, k, v, mask.cloned(), false);
        self.out.forward(attended.reshape([batch, sequence, q_width]))
    }
}
