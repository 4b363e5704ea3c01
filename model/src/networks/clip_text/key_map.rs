//! Names of a CLIP text encoder's tensors: OpenCLIP's and transformers' to ours, which are transformers' without
//! `text_model.`.
//!
//! | OpenCLIP | ours |
//! |---|---|
//! | `token_embedding.weight`, `positional_embedding` | `embeddings.token_embedding.weight`, `embeddings.position_embedding.weight` |
//! | `transformer.resblocks.N.ln_1`, `ln_2` | `encoder.layers.N.layer_norm1`, `layer_norm2` |
//! | `transformer.resblocks.N.attn.in_proj_weight`, a stack of three | `encoder.layers.N.self_attn.{q,k,v}_proj.weight` |
//! | `transformer.resblocks.N.attn.out_proj` | `encoder.layers.N.self_attn.out_proj` |
//! | `transformer.resblocks.N.mlp.c_fc`, `c_proj` | `encoder.layers.N.mlp.fc1`, `fc2` |
//! | `ln_final` | `final_layer_norm` |
//! | `text_projection`, transposed | the same |

use crate::checkpoint::TensorReader;

/// Tensors that files may have and no encoder reads.
const UNUSED: [&str; 3] = ["embeddings.position_ids", "logit_scale", "attn_mask"];

/// Gives the tensors our names.
pub(super) fn apply(weights: &TensorReader) {
    weights.rename(canonical);
    weights.divide(|name| {
        let (layer, kind) = name.split_once(".self_attn.in_proj_")?;
        Some(["q", "k", "v"].map(|part| format!("{layer}.self_attn.{part}_proj.{kind}")).into())
    });
    UNUSED.iter().for_each(|name| weights.tolerate(name));
}

fn canonical(name: &str) -> String {
    let name = name.strip_prefix("text_model.").unwrap_or(name);
    match name {
        "token_embedding.weight" => "embeddings.token_embedding.weight".to_owned(),
        "positional_embedding" => "embeddings.position_embedding.weight".to_owned(),
        _ => match name.strip_prefix("transformer.resblocks.") {
            Some(layer) => format!("encoder.layers.{layer}")
                .replace(".ln_1.", ".layer_norm1.")
                .replace(".ln_2.", ".layer_norm2.")
                .replace(".attn.", ".self_attn.")
                .replace(".mlp.c_fc.", ".mlp.fc1.")
                .replace(".mlp.c_proj.", ".mlp.fc2."),
            None => name.replace("ln_final.", "final_layer_norm."),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_libraries_are_read() {
        for (given, ours) in [
            ("text_model.encoder.layers.0.mlp.fc1.bias", "encoder.layers.0.mlp.fc1.bias"),
            ("text_model.final_layer_norm.weight", "final_layer_norm.weight"),
            ("text_projection.weight", "text_projection.weight"),
            ("text_projection", "text_projection"),
            ("ln_final.bias", "final_layer_norm.bias"),
            ("positional_embedding", "embeddings.position_embedding.weight"),
            ("transformer.resblocks.7.ln_2.bias", "encoder.layers.7.layer_norm2.bias"),
            ("transformer.resblocks.7.attn.in_proj_bias", "encoder.layers.7.self_attn.in_proj_bias"),
            ("transformer.resblocks.7.attn.out_proj.bias", "encoder.layers.7.self_attn.out_proj.bias"),
            ("transformer.resblocks.7.mlp.c_proj.weight", "encoder.layers.7.mlp.fc2.weight"),
        ] {
            assert_eq!(canonical(given), ours);
        }
    }
}
