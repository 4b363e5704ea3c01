//! Gemma 3's text tower in the names of the published 4B checkpoint, without its vision tower.

use serde_json::{Value, json};

use crate::checkpoint::synthetic::{Specs, TensorSpec};
use crate::families::newbie::synthetic::preset::GemmaSize;

/// `config.json` with the text tower's section.
pub(crate) fn config(gemma: &GemmaSize) -> Value {
    json!({
        "architectures": ["Gemma3ForConditionalGeneration"],
        "model_type": "gemma3",
        "text_config": {
            "model_type": "gemma3_text",
            "vocab_size": gemma.vocabulary,
            "hidden_size": gemma.hidden,
            "intermediate_size": gemma.ffn,
            "num_hidden_layers": gemma.layers,
            "num_attention_heads": gemma.heads,
            "num_key_value_heads": gemma.kv_heads,
            "head_dim": gemma.head_dim,
            "query_pre_attn_scalar": gemma.head_dim,
            "hidden_activation": "gelu_pytorch_tanh",
            "rms_norm_eps": 1e-6,
            "max_position_embeddings": 131_072,
            "rope_theta": 1_000_000.0,
            "rope_local_base_freq": 10_000.0,
            "rope_scaling": { "factor": 8.0, "rope_type": "linear" },
            "sliding_window": gemma.sliding_window,
            "sliding_window_pattern": 6,
        },
    })
}

/// All tensors. Norm weights are offsets from 1.
pub(crate) fn tensors(gemma: &GemmaSize) -> Vec<TensorSpec> {
    let GemmaSize { hidden, ffn, head_dim, .. } = *gemma;
    let (q_dim, kv_dim) = (gemma.heads * head_dim, gemma.kv_heads * head_dim);
    let mut specs = Specs::default();
    // The network multiplies its embeddings by the root of the width, which brings them to spread 1.
    specs.matrix("language_model.model.embed_tokens.weight", gemma.vocabulary, hidden, 1.0);
    for i in 0..gemma.layers {
        let name = |part: &str| format!("language_model.model.layers.{i}.{part}.weight");
        specs.matrix(name("self_attn.q_proj"), q_dim, hidden, 1.0);
        specs.matrix(name("self_attn.k_proj"), kv_dim, hidden, 1.0);
        specs.matrix(name("self_attn.v_proj"), kv_dim, hidden, 1.0);
        specs.matrix(name("self_attn.o_proj"), hidden, q_dim, 1.0);
        specs.vector(name("self_attn.q_norm"), head_dim, 0.3, 0.1);
        specs.vector(name("self_attn.k_norm"), head_dim, 0.3, 0.1);
        specs.matrix(name("mlp.gate_proj"), ffn, hidden, 1.0);
        specs.matrix(name("mlp.up_proj"), ffn, hidden, 1.0);
        specs.matrix(name("mlp.down_proj"), hidden, ffn, 1.0);
        for norm in ["input_layernorm", "pre_feedforward_layernorm"] {
            specs.vector(name(norm), hidden, 0.0, 0.1);
        }
        for norm in ["post_attention_layernorm", "post_feedforward_layernorm"] {
            specs.vector(name(norm), hidden, -0.3, 0.1);
        }
    }
    specs.vector("language_model.model.norm.weight", hidden, 0.0, 0.1);
    specs.tensors
}
