//! Reading the weights of a layer.

use super::Gemma3Config;
use crate::checkpoint::TensorReader;
use crate::nn::adaptable::BlockNames;
use crate::nn::block::{Block, BlockKind, Gate, Heads, Norm, Pairing, Projection};

/// Reads one decoder layer.
pub(super) fn load(config: &Gemma3Config, weights: &TensorReader) -> Block {
    let &Gemma3Config { hidden_size, intermediate_size, head_dim, rms_norm_eps: eps, .. } = config;
    let heads = heads(config);
    let attention = weights.at("self_attn");
    let norm = |weights: &TensorReader, name: &str, width: usize| Norm {
        weight: weights.vector(&format!("{name}.weight"), width),
        eps,
        plus_one: true,
    };
    let stream_norm = |name: &str| norm(weights, name, hidden_size);
    let head_norm = |name: &str| norm(&attention, name, head_dim);
    let (qkv, gate_up) = (qkv(config), gate_up(config));
    Block {
        kind: BlockKind {
            heads,
            pairing: Pairing::Halves,
            gate: Gate::GeluTanh,
            query_scale: (head_dim as f64 / config.query_pre_attn_scalar).sqrt(),
        },
        qkv: Projection::Loaded(attention.linear_stack(&qkv, hidden_size)),
        out: Projection::Loaded(attention.linear("o_proj", heads.query * head_dim, hidden_size, false)),
        gate_up: Projection::Loaded(weights.linear_stack(&gate_up, hidden_size)),
        down: Projection::Loaded(weights.linear("mlp.down_proj", intermediate_size, hidden_size, false)),
        attention_norm: [stream_norm("input_layernorm"), stream_norm("post_attention_layernorm")],
        ffn_norm: [stream_norm("pre_feedforward_layernorm"), stream_norm("post_feedforward_layernorm")],
        head_norm: Some([head_norm("q_norm"), head_norm("k_norm")]),
        modulation: None,
    }
}

/// The modules of the attention's input, and their outputs.
fn qkv(config: &Gemma3Config) -> [(&'static str, usize); 3] {
    let Heads { query, kv, dim } = heads(config);
    [("q_proj", query * dim), ("k_proj", kv * dim), ("v_proj", kv * dim)]
}

/// The modules of the feed-forward's input, and their outputs.
fn gate_up(config: &Gemma3Config) -> [(&'static str, usize); 2] {
    [("mlp.gate_proj", config.intermediate_size), ("mlp.up_proj", config.intermediate_size)]
}

/// The names that [`load`] reads for layer `index`.
pub(super) fn names(config: &Gemma3Config, index: usize) -> BlockNames {
    let path = |name: &str| format!("layers.{index}.{name}");
    let attention = |name: &str| path(&format!("self_attn.{name}"));
    BlockNames {
        qkv: qkv(config).map(|(name, rows)| (attention(name), rows)).into(),
        out: (attention("o_proj"), config.hidden_size),
        gate_up: gate_up(config).map(|(name, rows)| (path(name), rows)).into(),
        down: (path("mlp.down_proj"), config.hidden_size),
        norms: [
            "input_layernorm",
            "post_attention_layernorm",
            "pre_feedforward_layernorm",
            "post_feedforward_layernorm",
        ]
        .map(path),
        head_norms: ["q_norm", "k_norm"].map(attention),
        modulation: String::new(),
    }
}

/// The heads of every layer.
pub(super) fn heads(config: &Gemma3Config) -> Heads {
    Heads { query: config.heads, kv: config.kv_heads, dim: config.head_dim }
}
