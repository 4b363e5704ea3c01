//! Names of the network's tensors in checkpoints.
//!
//! | in the file | here |
//! |---|---|
//! | `model.diffusion_model.X`, `diffusion_model.X` | `X` |
//!
//! Adapters may also use the names of diffusers, in which queries, keys and values are modules of their own: [`aliases`].
//!
//! Tolerated without being read: `norm_final.weight`, which the reference's class holds but never uses, and
//! `clip_img_pooled_embedder.*`, which a ComfyUI extension's variant of the model holds.

use super::NextDitConfig;
use super::block::heads;
use crate::checkpoint::adapters::Alias;
use crate::nn::block::Heads;

/// Prefixes that are removed, longest first.
const PREFIXES: [&str; 2] = ["model.diffusion_model.", "diffusion_model."];

/// Tensors of a file that are not used.
pub const TOLERATED: [&str; 2] = ["norm_final.weight", "clip_img_pooled_embedder.*"];

/// The network's name for a tensor of a file.
pub fn canonical_name(name: &str) -> String {
    PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name).to_owned()
}

/// Modules of a block and their names in diffusers, `lumina2`; the second spelling is that of Z-Image's files.
const BLOCK_ALIASES: [(&str, &[&str]); 9] = [
    (".attention.out", &[".attn.to_out.0", ".attention.to_out.0"]),
    (".attention.q_norm", &[".attn.norm_q", ".attention.norm_q"]),
    (".attention.k_norm", &[".attn.norm_k", ".attention.norm_k"]),
    (".feed_forward.w1", &[".feed_forward.linear_1"]),
    (".feed_forward.w2", &[".feed_forward.linear_2"]),
    (".feed_forward.w3", &[".feed_forward.linear_3"]),
    (".adaLN_modulation.1", &[".norm1.linear"]),
    (".attention_norm1", &[".norm1.norm", ".norm1"]),
    (".attention_norm2", &[".norm2"]),
];
/// The other modules and their names in diffusers.
const ALIASES: [(&str, &str); 6] = [
    ("t_embedder.mlp.0", "time_caption_embed.timestep_embedder.linear_1"),
    ("t_embedder.mlp.2", "time_caption_embed.timestep_embedder.linear_2"),
    ("cap_embedder.0", "time_caption_embed.caption_embedder.0"),
    ("cap_embedder.1", "time_caption_embed.caption_embedder.1"),
    ("final_layer.adaLN_modulation.1", "norm_out.linear_1"),
    ("final_layer.linear", "norm_out.linear_2"),
];

/// The names by which diffusers calls a module, or some of its outputs.
pub fn aliases(config: &NextDitConfig, path: &str) -> Vec<Alias> {
    if let Some((_, name)) = ALIASES.iter().find(|(own, _)| *own == path) {
        return vec![(*name).to_owned().into()];
    }
    if let Some(block) = path.strip_suffix(".attention.qkv") {
        let Heads { query, kv, dim } = heads(config);
        let (q, k) = (query * dim, kv * dim);
        let parts = [("to_q", 0..q), ("to_k", q..q + k), ("to_v", q + k..q + 2 * k)];
        let named = |attention: &str| {
            parts.clone().map(|(name, rows)| Alias { name: format!("{block}.{attention}.{name}"), rows: Some(rows) })
        };
        return ["attn", "attention"].iter().flat_map(|attention| named(attention)).collect();
    }
    let found = BLOCK_ALIASES.iter().find_map(|(own, names)| Some((path.strip_suffix(own)?, names)));
    found.map_or_else(Vec::new, |(block, names)| names.iter().map(|name| format!("{block}{name}").into()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_cut_once() {
        for name in ["x_embedder.bias", "diffusion_model.x_embedder.bias", "model.diffusion_model.x_embedder.bias"] {
            assert_eq!(canonical_name(name), "x_embedder.bias");
        }
    }
}
