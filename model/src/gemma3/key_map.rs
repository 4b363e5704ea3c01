//! Tensor names of the published and of repacked checkpoints, and what of them is not for a text encoder.

use crate::loader::TensorReader;

/// Prefixes of the text tower, longest first: the published layout, transformers' in-memory layout, a text-only causal
/// model. The bare tower has none.
const PREFIXES: [&str; 4] = ["language_model.model.", "model.language_model.", "language_model.", "model."];

/// Tensors that a multi-modal or generating checkpoint has besides, and the SentencePiece model that repacked files carry.
const TOLERATED: [&str; 4] = ["vision_tower.*", "multi_modal_projector.*", "lm_head.weight", "spiece_model"];

/// Gives the tensors their names within the tower.
pub(super) fn apply(weights: &TensorReader) {
    weights.rename(canonical);
    TOLERATED.iter().for_each(|pattern| weights.tolerate(pattern));
}

fn canonical(name: &str) -> String {
    PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_has_the_same_canonical_names() {
        for prefix in ["language_model.model.", "model.language_model.", "model.", ""] {
            assert_eq!(canonical(&format!("{prefix}layers.0.mlp.up_proj.weight")), "layers.0.mlp.up_proj.weight");
            assert_eq!(canonical(&format!("{prefix}norm.weight")), "norm.weight");
        }
        assert_eq!(canonical("model.vision_tower.x"), "vision_tower.x");
        assert_eq!(canonical("language_model.lm_head.weight"), "lm_head.weight");
    }
}
