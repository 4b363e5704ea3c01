//! Names of the network's tensors in checkpoints.
//!
//! | in the file | here |
//! |---|---|
//! | `model.diffusion_model.X`, `diffusion_model.X` | `X` |
//!
//! Tolerated without being read: `norm_final.weight`, which the reference's class holds but never uses, and
//! `clip_img_pooled_embedder.*`, which a ComfyUI extension's variant of the model holds.

/// Prefixes that are removed, longest first.
const PREFIXES: [&str; 2] = ["model.diffusion_model.", "diffusion_model."];

/// Tensors of a file that are not used.
pub const TOLERATED: [&str; 2] = ["norm_final.weight", "clip_img_pooled_embedder.*"];

/// The network's name for a tensor of a file.
pub fn canonical_name(name: &str) -> String {
    PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name).to_owned()
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
