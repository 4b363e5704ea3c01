//! Tensor names of the published and of repacked checkpoints, and what of them is not for a text encoder.

use crate::loader::TensorReader;

/// Prefixes of the text tower: the published layout, the tower saved alone, a repacked file with merged adapters.
const PREFIXES: [&str; 3] = ["text_model.transformer.roberta.", "roberta.", "model."];

/// The image tower, CLIP's temperature, and the SentencePiece model that repacked files carry.
const TOLERATED: [&str; 3] = ["vision_model.*", "logit_scale", "spiece_model"];

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
        for prefix in ["text_model.transformer.roberta.", "roberta.", "model.", ""] {
            assert_eq!(canonical(&format!("{prefix}emb_ln.weight")), "emb_ln.weight");
        }
        assert_eq!(canonical("logit_scale"), "logit_scale");
    }
}
