//! The transformer of a level: self-attention, attention to the text and a gated feed-forward over all positions.

use burn::nn::Linear;
use burn::tensor::Tensor;

use super::tap::Scope;
use crate::checkpoint::TensorReader;
use crate::nn::adaptable::{self, AdaptableWeight};
use crate::nn::conv::{GroupNorm, GroupNormKind, pointwise};
use crate::nn::layer_norm::LayerNorm;
use crate::nn::ops;

/// Epsilon of the group norm before a transformer; not in the configuration of diffusers.
const NORM_EPS: f64 = 1e-6;
/// Epsilon of the layer norms.
pub(super) const LAYER_NORM_EPS: f64 = 1e-5;
/// Width of the feed-forward in widths of the transformer.
const FEED_FORWARD: usize = 4;

/// Sizes of a transformer.
#[derive(Debug, Clone, Copy)]
pub(super) struct TransformerKind {
    pub(super) channels: usize,
    pub(super) heads: usize,
    pub(super) depth: usize,
    pub(super) context_dim: usize,
    pub(super) groups: usize,
}

/// Group norm, linear, blocks, linear, with a residual sum (diffusers' `Transformer2DModel`).
#[derive(Debug)]
pub(super) struct Transformer {
    pub(super) norm: GroupNorm,
    pub(super) proj_in: Linear,
    pub(super) blocks: Vec<Block>,
    pub(super) proj_out: Linear,
}

impl Transformer {
    pub(super) fn load(weights: &TensorReader, kind: TransformerKind) -> Self {
        let channels = kind.channels;
        let norm = GroupNormKind { groups: kind.groups, eps: NORM_EPS };
        let block = |i: usize| Block::load(&weights.at(format!("transformer_blocks.{i}")), kind);
        Self {
            norm: GroupNorm::load(&weights.at("norm"), norm, channels),
            proj_in: pointwise(&weights.at("proj_in"), channels, channels),
            blocks: (0..kind.depth).map(block).collect(),
            proj_out: pointwise(&weights.at("proj_out"), channels, channels),
        }
    }

    /// # Shapes
    ///
    /// - x: `[B, channels, H, W]`
    /// - context: `[B, T, context_dim]`
    /// - output: `[B, channels, H, W]`
    pub(super) fn forward(&self, x: Tensor<4>, context: &Tensor<3>, scope: &mut Scope<'_, '_>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let tokens = self.norm.forward(x.clone()).reshape([batch, channels, height * width]).swap_dims(1, 2);
        let mut tokens = ops::linear(tokens, &self.proj_in);
        for (i, block) in self.blocks.iter().enumerate() {
            tokens = block.forward(tokens, context, &mut scope.at(&format!("transformer_blocks.{i}")));
        }
        let tokens = ops::linear(tokens, &self.proj_out);
        let out = x + tokens.swap_dims(1, 2).reshape([batch, channels, height, width]);
        scope.images("", &out);
        out
    }

    /// The weights that adapters may change, with names that begin with `path`.
    pub(super) fn adaptable(&mut self, path: &str) -> Vec<AdaptableWeight<'_>> {
        let mut weights = adaptable::group_norm(&format!("{path}.norm"), &mut self.norm);
        weights.extend(adaptable::linear(&format!("{path}.proj_in"), &mut self.proj_in));
        for (i, block) in self.blocks.iter_mut().enumerate() {
            weights.extend(block.adaptable(&format!("{path}.transformer_blocks.{i}")));
        }
        weights.extend(adaptable::linear(&format!("{path}.proj_out"), &mut self.proj_out));
        weights
    }
}

/// Attention of the tokens to each other.
#[derive(Debug)]
pub(super) struct SelfAttention {
    pub(super) heads: usize,
    /// Queries, keys and values in one product.
    pub(super) qkv: Linear,
    pub(super) out: Linear,
}

/// The names of the layers that make queries, keys and values.
const QKV: [&str; 3] = ["to_q", "to_k", "to_v"];

impl SelfAttention {
    fn load(weights: &TensorReader, channels: usize, heads: usize) -> Self {
        Self {
            heads,
            qkv: weights.linear_stack(&QKV.map(|name| (name, channels)), channels),
            out: weights.linear("to_out.0", channels, channels, true),
        }
    }

    fn adaptable(&mut self, path: &str) -> Vec<AdaptableWeight<'_>> {
        let mut weights = vec![adaptable::linear_stack(path, &QKV, &mut self.qkv)];
        weights.extend(adaptable::linear(&format!("{path}.to_out.0"), &mut self.out));
        weights
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let channels = x.dims()[2];
        let both = ops::linear(x, &self.qkv);
        let part = |i: usize| both.clone().narrow(2, i * channels, channels);
        attend([part(0), part(1), part(2)], self.heads, &self.out)
    }
}

/// Attention of the tokens to the text.
#[derive(Debug)]
pub(super) struct CrossAttention {
    pub(super) heads: usize,
    pub(super) q: Linear,
    /// Keys and values of the text in one product.
    pub(super) kv: Linear,
    pub(super) out: Linear,
}

impl CrossAttention {
    fn load(weights: &TensorReader, channels: usize, heads: usize, context_dim: usize) -> Self {
        Self {
            heads,
            q: weights.linear(QKV[0], channels, channels, false),
            kv: weights.linear_stack(&[(QKV[1], channels), (QKV[2], channels)], context_dim),
            out: weights.linear("to_out.0", channels, channels, true),
        }
    }

    fn adaptable(&mut self, path: &str) -> Vec<AdaptableWeight<'_>> {
        let Self { q, kv, out, .. } = self;
        let mut weights = adaptable::linear(&format!("{path}.{}", QKV[0]), q);
        weights.push(adaptable::linear_stack(path, &QKV[1..], kv));
        weights.extend(adaptable::linear(&format!("{path}.to_out.0"), out));
        weights
    }

    fn forward(&self, x: Tensor<3>, context: Tensor<3>) -> Tensor<3> {
        let channels = x.dims()[2];
        let both = ops::linear(context, &self.kv);
        let part = |i: usize| both.clone().narrow(2, i * channels, channels);
        attend([ops::linear(x, &self.q), part(0), part(1)], self.heads, &self.out)
    }
}

/// Attention of queries `[B, S, channels]` over keys and values `[B, T, channels]`, and the layer after it.
fn attend(qkv: [Tensor<3>; 3], heads: usize, out: &Linear) -> Tensor<3> {
    let [batch, length, channels] = qkv[0].dims();
    let [q, k, v] = qkv.map(|x| {
        let [batch, length, channels] = x.dims();
        x.reshape([batch, length, heads, channels / heads])
    });
    ops::linear(ops::attention(q, k, v, None, false).reshape([batch, length, channels]), out)
}

/// One block: three branches, each after a norm and with a residual sum.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) norms: [LayerNorm; 3],
    pub(super) own: SelfAttention,
    pub(super) text: CrossAttention,
    /// To values and gates, values first (GEGLU, Shazeer 2020, <https://arxiv.org/abs/2002.05202>).
    pub(super) value_gate: Linear,
    pub(super) down: Linear,
}

impl Block {
    fn load(weights: &TensorReader, kind: TransformerKind) -> Self {
        let TransformerKind { channels, heads, context_dim, .. } = kind;
        let inner = FEED_FORWARD * channels;
        let norm = |name: &str| LayerNorm::load(&weights.at(name), channels, LAYER_NORM_EPS);
        Self {
            norms: [norm("norm1"), norm("norm2"), norm("norm3")],
            own: SelfAttention::load(&weights.at("attn1"), channels, heads),
            text: CrossAttention::load(&weights.at("attn2"), channels, heads, context_dim),
            value_gate: weights.linear("ff.net.0.proj", channels, 2 * inner, true),
            down: weights.linear("ff.net.2", inner, channels, true),
        }
    }

    fn adaptable(&mut self, path: &str) -> Vec<AdaptableWeight<'_>> {
        let Self { norms, own, text, value_gate, down } = self;
        let norms = (1..).zip(norms);
        let mut weights: Vec<_> =
            norms.flat_map(|(i, norm)| adaptable::layer_norm(&format!("{path}.norm{i}"), norm)).collect();
        weights.extend(own.adaptable(&format!("{path}.attn1")));
        weights.extend(text.adaptable(&format!("{path}.attn2")));
        weights.extend(adaptable::linear(&format!("{path}.ff.net.0.proj"), value_gate));
        weights.extend(adaptable::linear(&format!("{path}.ff.net.2"), down));
        weights
    }

    fn forward(&self, x: Tensor<3>, context: &Tensor<3>, scope: &mut Scope<'_, '_>) -> Tensor<3> {
        let out = self.own.forward(self.norms[0].forward(x.clone()));
        scope.tokens("attn1", &out);
        let x = x + out;
        let out = self.text.forward(self.norms[1].forward(x.clone()), context.clone());
        scope.tokens("attn2", &out);
        let x = x + out;
        let both = ops::linear(self.norms[2].forward(x.clone()), &self.value_gate);
        let inner = both.dims()[2] / 2;
        let (value, gate) = (both.clone().narrow(2, 0, inner), both.narrow(2, inner, inner));
        let out = ops::linear(value * ops::gelu(gate), &self.down);
        scope.tokens("ff", &out);
        let x = x + out;
        scope.tokens("", &x);
        x
    }
}
