//! Jina CLIP v2's text tower in the names of the published checkpoint: every matrix with its task adapters.

use serde_json::{Value, json};

use crate::checkpoint::synthetic::{Init, Specs, TensorSpec};
use crate::families::newbie::synthetic::preset::JinaSize;

/// The tasks of the adapters, in the order of their axis.
const TASKS: [&str; 5] = ["retrieval.query", "retrieval.passage", "separation", "classification", "text-matching"];
/// The tower's prefix in the checkpoint.
const PREFIX: &str = "text_model.transformer.roberta";

/// `config.json`. The published one leaves the tower's sizes to another repository; this one states them.
pub(crate) fn config(jina: &JinaSize) -> Value {
    json!({
        "architectures": ["JinaCLIPModel"],
        "model_type": "jina_clip",
        "projection_dim": jina.hidden,
        "text_config": {
            "model_type": "jina_clip_text",
            "embed_dim": jina.hidden,
            "default_lora_task": TASKS[0],
            "hf_model_name_or_path": "jinaai/jina-embeddings-v3",
            "hf_model_config_kwargs": {
                "vocab_size": jina.vocabulary,
                "hidden_size": jina.hidden,
                "num_hidden_layers": jina.layers,
                "num_attention_heads": jina.heads,
                "intermediate_size": jina.ffn,
                "type_vocab_size": 1,
                "layer_norm_eps": 1e-5,
                "rotary_emb_base": 20_000.0,
                "pad_token_id": 1,
                "bos_token_id": 0,
                "eos_token_id": 2,
                "max_position_embeddings": 8194,
                "hidden_act": "gelu",
                "position_embedding_type": "rotary",
                "lora_adaptations": TASKS,
                "lora_alpha": jina.lora_rank,
                "lora_rank": jina.lora_rank,
            },
            "pooler_type": "mean_pooler",
            "proj_type": null,
        },
    })
}

pub(crate) fn tensors(jina: &JinaSize) -> Vec<TensorSpec> {
    let JinaSize { hidden, ffn, lora_rank: rank, .. } = *jina;
    let mut specs = Specs::default();
    embedding(&mut specs, "embeddings.word_embeddings", jina.vocabulary, hidden, rank);
    embedding(&mut specs, "embeddings.token_type_embeddings", 1, hidden, rank);
    norm(&mut specs, "emb_ln", hidden);
    for i in 0..jina.layers {
        let name = |part: &str| format!("encoder.layers.{i}.{part}");
        linear(&mut specs, &name("mixer.Wqkv"), 3 * hidden, hidden, rank);
        linear(&mut specs, &name("mixer.out_proj"), hidden, hidden, rank);
        linear(&mut specs, &name("mlp.fc1"), ffn, hidden, rank);
        linear(&mut specs, &name("mlp.fc2"), hidden, ffn, rank);
        norm(&mut specs, &name("norm1"), hidden);
        norm(&mut specs, &name("norm2"), hidden);
    }
    specs.tensors
}

fn norm(specs: &mut Specs, name: &str, hidden: usize) {
    specs.vector(format!("{PREFIX}.{name}.weight"), hidden, 1.0, 0.1);
    specs.vector(format!("{PREFIX}.{name}.bias"), hidden, 0.0, 0.05);
}

/// A linear and its adapters: A is `[tasks, rank, inputs]`, B `[tasks, outputs, rank]`.
fn linear(specs: &mut Specs, name: &str, outputs: usize, inputs: usize, rank: usize) {
    let weight = format!("{PREFIX}.{name}.parametrizations.weight");
    specs.matrix(format!("{weight}.original"), outputs, inputs, 1.0);
    specs.add(format!("{weight}.0.lora_A"), &[TASKS.len(), rank, inputs], Init::fan_in(inputs, 0.5));
    specs.add(format!("{weight}.0.lora_B"), &[TASKS.len(), outputs, rank], Init::fan_in(rank, 0.5));
    specs.vector(format!("{PREFIX}.{name}.bias"), outputs, 0.0, 0.05);
}

/// An embedding table and its adapters: A is `[tasks, rows, rank]`, B `[tasks, rank, columns]`.
fn embedding(specs: &mut Specs, name: &str, rows: usize, columns: usize, rank: usize) {
    let weight = format!("{PREFIX}.{name}.parametrizations.weight");
    specs.add(format!("{weight}.original"), &[rows, columns], Init::around(0.0, 1.0));
    specs.add(format!("{weight}.0.lora_A"), &[TASKS.len(), rows, rank], Init::fan_in(rank, 0.5));
    specs.add(format!("{weight}.0.lora_B"), &[TASKS.len(), rank, columns], Init::around(0.0, 0.5));
}
