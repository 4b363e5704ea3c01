//! The names of an adapter file's tensors: which part of a model and which module they change, and what they are.

use std::collections::BTreeMap;

use crate::checkpoint::TensorEntry;

/// The part of a model that an adapter changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdaptedPart {
    /// The network that predicts noise or velocity.
    Denoiser,
    /// The first text encoder.
    TextEncoder,
    /// The second text encoder.
    TextEncoder2,
}

/// Prefixes before a dotted module path, longest first where one begins with another, and their part.
const DOTTED_PREFIXES: [(&str, AdaptedPart); 15] = [
    ("text_encoder_2.base_model.model.", AdaptedPart::TextEncoder2),
    ("unet.base_model.model.diffusion_model.", AdaptedPart::Denoiser),
    ("base_model.model.diffusion_model.", AdaptedPart::Denoiser),
    ("text_encoder.base_model.model.", AdaptedPart::TextEncoder),
    ("transformer.base_model.model.", AdaptedPart::Denoiser),
    ("transformer.diffusion_model.", AdaptedPart::Denoiser),
    ("unet.base_model.model.", AdaptedPart::Denoiser),
    ("model.diffusion_model.", AdaptedPart::Denoiser),
    ("text_encoder_2.", AdaptedPart::TextEncoder2),
    ("base_model.model.", AdaptedPart::Denoiser),
    ("diffusion_model.", AdaptedPart::Denoiser),
    ("text_encoder.", AdaptedPart::TextEncoder),
    ("transformer.", AdaptedPart::Denoiser),
    ("unet.", AdaptedPart::Denoiser),
    ("", AdaptedPart::Denoiser),
];
/// Prefixes before a module path whose dots were replaced by underscores, and their part.
const FLAT_PREFIXES: [(&str, AdaptedPart); 11] = [
    ("lycoris_text_encoder_", AdaptedPart::TextEncoder),
    ("lora_text_encoder_", AdaptedPart::TextEncoder),
    ("lora_transformer_", AdaptedPart::Denoiser),
    ("lycoris_te1_", AdaptedPart::TextEncoder),
    ("lycoris_te2_", AdaptedPart::TextEncoder2),
    ("lycoris_te_", AdaptedPart::TextEncoder),
    ("lycoris_", AdaptedPart::Denoiser),
    ("lora_unet_", AdaptedPart::Denoiser),
    ("lora_te1_", AdaptedPart::TextEncoder),
    ("lora_te2_", AdaptedPart::TextEncoder2),
    ("lora_te_", AdaptedPart::TextEncoder),
];

/// Prefixes of the keys of a text encoder's adapter.
const TEXT_ENCODER_PREFIXES: [&str; 8] = [
    "lora_te",
    "lycoris_te",
    "lora_text_encoder",
    "lycoris_text_encoder",
    "text_encoder",
    "te1_",
    "te2_",
    "cond_stage_model.",
];

/// What a tensor is in its module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// From the input to the rank.
    Down,
    /// From the rank to the output.
    Up,
    /// Between both, with the kernel of a convolution.
    Middle,
    Alpha,
    /// The factors of LoHa.
    Hadamard1A,
    Hadamard1B,
    Hadamard2A,
    Hadamard2B,
    /// The cores of LoHa.
    Hadamard1Core,
    Hadamard2Core,
    /// The factors of LoKr.
    Kronecker1,
    Kronecker1A,
    Kronecker1B,
    Kronecker2,
    Kronecker2A,
    Kronecker2B,
    /// The core of LoKr.
    Kronecker2Core,
    /// The magnitudes of DoRA, with an axis of length 1 for each of the weight's but one.
    Magnitude,
    /// The magnitudes of DoRA as a vector over the outputs.
    MagnitudeOfOutputs,
    WeightDifference,
    BiasDifference,
}

/// Suffixes of keys, and the role of their tensors.
const SUFFIXES: [(&str, Role); 34] = [
    (".lora_A.default.weight", Role::Down),
    (".lora_B.default.weight", Role::Up),
    (".lora_magnitude_vector.default.weight", Role::MagnitudeOfOutputs),
    (".lora_magnitude_vector.weight", Role::MagnitudeOfOutputs),
    (".lora_magnitude_vector", Role::MagnitudeOfOutputs),
    (".lora_A.weight", Role::Down),
    (".lora_B.weight", Role::Up),
    (".lora_down.weight", Role::Down),
    (".lora_up.weight", Role::Up),
    (".lora_mid.weight", Role::Middle),
    (".lora_linear_layer.down.weight", Role::Down),
    (".lora_linear_layer.up.weight", Role::Up),
    (".lora.down.weight", Role::Down),
    (".lora.up.weight", Role::Up),
    (".alpha", Role::Alpha),
    (".dora_scale", Role::Magnitude),
    (".hada_w1_a", Role::Hadamard1A),
    (".hada_w1_b", Role::Hadamard1B),
    (".hada_w2_a", Role::Hadamard2A),
    (".hada_w2_b", Role::Hadamard2B),
    (".hada_t1", Role::Hadamard1Core),
    (".hada_t2", Role::Hadamard2Core),
    (".lokr_w1_a", Role::Kronecker1A),
    (".lokr_w1_b", Role::Kronecker1B),
    (".lokr_w1", Role::Kronecker1),
    (".lokr_w2_a", Role::Kronecker2A),
    (".lokr_w2_b", Role::Kronecker2B),
    (".lokr_w2", Role::Kronecker2),
    (".lokr_t2", Role::Kronecker2Core),
    (".w_norm", Role::WeightDifference),
    (".b_norm", Role::BiasDifference),
    (".diff", Role::WeightDifference),
    (".diff_b", Role::BiasDifference),
    (".lora_magnitude_vector.default", Role::MagnitudeOfOutputs),
];
/// Keys of old diffusers files, `PATH.processor.to_q_lora.down.weight`, and the module within PATH.
const PROCESSOR: [(&str, &str); 4] =
    [("to_q_lora", "to_q"), ("to_k_lora", "to_k"), ("to_v_lora", "to_v"), ("to_out_lora", "to_out.0")];

/// A module as the keys name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Module {
    /// Without the prefix of the part.
    pub(super) path: String,
    /// Whether dots of the path were replaced by underscores.
    pub(super) flat: bool,
}

pub(super) type Parts = BTreeMap<Role, TensorEntry>;

/// Whether a key belongs to a text encoder.
pub(super) fn is_of_text_encoder(key: &str) -> bool {
    let bare = key.strip_prefix("base_model.model.").unwrap_or(key);
    TEXT_ENCODER_PREFIXES.iter().any(|prefix| bare.starts_with(prefix))
}

/// Begins the keys of embeddings inside an adapter: `bundle_emb.NAME.clip_l`.
pub(crate) const BUNDLED: &str = "bundle_emb.";

/// Splits a key into the part of the model, the module and the role.
pub(super) fn split(key: &str) -> Option<(AdaptedPart, Module, Role)> {
    let (path, role) = match of_processor(key) {
        Some(found) => found,
        None => SUFFIXES.iter().find_map(|(suffix, role)| Some((key.strip_suffix(suffix)?.to_owned(), *role)))?,
    };
    let flat = FLAT_PREFIXES.iter().find_map(|(prefix, part)| Some((path.strip_prefix(prefix)?, *part)));
    let (path, part, flat) = match flat {
        Some((path, part)) => (path, part, true),
        None => {
            let found = DOTTED_PREFIXES.iter().find_map(|(prefix, part)| Some((path.strip_prefix(prefix)?, *part)));
            let (path, part) = found?;
            (path, part, false)
        }
    };
    (!path.is_empty()).then(|| (part, Module { path: path.to_owned(), flat }, role))
}

fn of_processor(key: &str) -> Option<(String, Role)> {
    let (path, rest) = key.split_once(".processor.")?;
    let (layer, role) = match rest.strip_suffix(".down.weight") {
        Some(layer) => (layer, Role::Down),
        None => (rest.strip_suffix(".up.weight")?, Role::Up),
    };
    let (_, module) = PROCESSOR.iter().find(|(name, _)| *name == layer)?;
    Some((format!("{path}.{module}"), role))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_names_is_taken_apart() {
        let unet = AdaptedPart::Denoiser;
        for (key, part, path, flat, role) in [
            ("lora_unet_input_blocks_4_1_proj_in.alpha", unet, "input_blocks_4_1_proj_in", true, Role::Alpha),
            ("lora_te1_text_model_x.lora_up.weight", AdaptedPart::TextEncoder, "text_model_x", true, Role::Up),
            ("lora_te_text_model_x.lora_up.weight", AdaptedPart::TextEncoder, "text_model_x", true, Role::Up),
            ("lora_te2_text_model_x.lora_mid.weight", AdaptedPart::TextEncoder2, "text_model_x", true, Role::Middle),
            ("unet.a.b.lora_A.weight", unet, "a.b", false, Role::Down),
            ("text_encoder_2.a.lora_linear_layer.up.weight", AdaptedPart::TextEncoder2, "a", false, Role::Up),
            ("unet.a.attn1.processor.to_out_lora.down.weight", unet, "a.attn1.to_out.0", false, Role::Down),
            ("unet.a.lora_magnitude_vector", unet, "a", false, Role::MagnitudeOfOutputs),
            ("a.b.hada_t1", unet, "a.b", false, Role::Hadamard1Core),
        ] {
            let module = Module { path: path.to_owned(), flat };
            assert_eq!(split(key), Some((part, module, role)), "{key}");
        }
        assert_eq!(split("a.oft_blocks"), None);
        assert_eq!(split(".alpha"), None);
    }
}
