//! Reading the weights of a block.

use super::NextDitConfig;
use crate::checkpoint::TensorReader;
use crate::nn::adaptable::BlockNames;
use crate::nn::block::{Block, BlockKind, Gate, Heads, Norm, Pairing, Projection};

/// Reads one block; `modulated` says whether it has `adaLN_modulation`.
pub(super) fn load(config: &NextDitConfig, weights: &TensorReader, modulated: bool) -> Block {
    let &NextDitConfig { dim, ffn_dim, norm_eps, qk_norm_eps, .. } = config;
    let heads = heads(config);
    let (attention, feed_forward) = (weights.at("attention"), weights.at("feed_forward"));
    let stream_norm = |name: &str| norm(weights, name, dim, norm_eps);
    let head_norm = |name: &str| norm(&attention, name, heads.dim, qk_norm_eps);
    Block {
        kind: BlockKind { heads, pairing: Pairing::Neighbours, gate: Gate::Silu, query_scale: 1.0 },
        qkv: Projection::Loaded(attention.linear("qkv", dim, heads.width(), false)),
        out: Projection::Loaded(attention.linear("out", heads.query * heads.dim, dim, false)),
        gate_up: Projection::Loaded(feed_forward.linear_stack(&[("w1", ffn_dim), ("w3", ffn_dim)], dim)),
        down: Projection::Loaded(feed_forward.linear("w2", ffn_dim, dim, false)),
        attention_norm: [stream_norm("attention_norm1"), stream_norm("attention_norm2")],
        ffn_norm: [stream_norm("ffn_norm1"), stream_norm("ffn_norm2")],
        head_norm: config.qk_norm.then(|| [head_norm("q_norm"), head_norm("k_norm")]),
        modulation: modulated.then(|| weights.linear("adaLN_modulation.1", config.adaln_dim, 4 * dim, true)),
    }
}

/// The names that [`load`] reads for the block at `path`.
pub(super) fn names(config: &NextDitConfig, path: &str) -> BlockNames {
    let path = |name: &str| format!("{path}.{name}");
    BlockNames {
        qkv: vec![(path("attention.qkv"), heads(config).width())],
        out: (path("attention.out"), config.dim),
        gate_up: ["w1", "w3"].map(|name| (path(&format!("feed_forward.{name}")), config.ffn_dim)).into(),
        down: (path("feed_forward.w2"), config.dim),
        norms: ["attention_norm1", "attention_norm2", "ffn_norm1", "ffn_norm2"].map(path),
        head_norms: ["attention.q_norm", "attention.k_norm"].map(path),
        modulation: path("adaLN_modulation.1"),
    }
}

/// The heads of every block.
pub(super) fn heads(config: &NextDitConfig) -> Heads {
    Heads { query: config.n_heads, kv: config.n_kv_heads, dim: config.head_dim() }
}

/// The RMS norm with the weight `{name}.weight`, `[width]`.
pub(super) fn norm(weights: &TensorReader, name: &str, width: usize, eps: f64) -> Norm {
    Norm { weight: weights.tensor(&format!("{name}.weight"), [width]), eps, plus_one: false }
}
