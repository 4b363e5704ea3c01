//! Whole models in one file, under LDM's names: the tensors of each part, and the meaning of empty tensors.

use std::collections::BTreeMap;
use std::path::Path;

use crate::checkpoint::{SafetensorsFile, TensorEntry};
use crate::error::LoadError;

/// The parts of a file and the prefix of each part's tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilePart {
    /// The U-Net.
    Unet,
    /// The autoencoder.
    Vae,
    /// CLIP-L of the base model.
    ClipL,
    /// CLIP-G, the second encoder of the base model and the only one of the refiner.
    ClipG,
}

/// The kind and the variant of a single-file checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SingleFile {
    /// Whether it is the refiner, whose only text encoder is CLIP-G.
    pub is_refiner: bool,
    /// Whether the network predicts v and not the noise.
    pub predicts_v: bool,
    /// Whether the noise table is rescaled so that its last time has no signal.
    pub has_zero_terminal_snr: bool,
    /// Whether there is an autoencoder.
    pub has_vae: bool,
    /// Tensors that no part reads: copies for training, and tables that follow from others.
    pub unused: Vec<String>,
}

/// The tensor that says that the network predicts v.
const MARKER_V: &str = "v_pred";
/// The tensor that says that the last time has no signal.
const MARKER_ZERO_SNR: &str = "ztsnr";
/// Tensors of variants that are sampled in another way, and the variant.
const VARIANTS: [(&str, &str); 4] = [
    ("edm_mean", "an EDM model (Playground 2.5)"),
    ("edm_std", "an EDM model (Playground 2.5)"),
    ("edm_vpred.sigma_max", "an EDM model that predicts v (CosXL)"),
    ("edm_vpred.sigma_min", "an EDM model that predicts v (CosXL)"),
];
/// Beginnings of the names of tensors that no part reads.
const UNUSED: [&str; 6] = ["model_ema.", "denoiser.", "alphas_cumprod", "betas", "sqrt_", "log_one_minus_"];

/// The variant of the family that these tensors are of, if it is one that is sampled in another way.
pub(crate) fn variant(tensors: &BTreeMap<String, TensorEntry>) -> Option<&'static str> {
    VARIANTS.iter().find(|(name, _)| tensors.contains_key(*name)).map(|(_, variant)| *variant)
}

impl FilePart {
    /// The prefix of the part's tensors, in a base model's or in a refiner's file.
    pub fn prefix(self, is_refiner: bool) -> &'static str {
        match (self, is_refiner) {
            (Self::Unet, _) => "model.diffusion_model.",
            (Self::Vae, _) => "first_stage_model.",
            (Self::ClipL, _) => "conditioner.embedders.0.transformer.",
            (Self::ClipG, false) => "conditioner.embedders.1.model.",
            (Self::ClipG, true) => "conditioner.embedders.0.model.",
        }
    }
}

impl SingleFile {
    /// Reads the header of a file.
    ///
    /// # Errors
    ///
    /// It is not a safetensors file, is a variant that is not supported, lacks a U-Net or CLIP-G, or has tensors of which nothing
    /// is known.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let file = SafetensorsFile::open(path)?;
        Self::of_tensors(file.entries()).map_err(|reason| LoadError::Safetensors { path: path.to_owned(), reason })
    }

    fn of_tensors(tensors: &BTreeMap<String, TensorEntry>) -> Result<Self, String> {
        if let Some(variant) = variant(tensors) {
            return Err(format!("it is {variant}, which is not supported"));
        }
        let has = |prefix: &str| tensors.keys().any(|name| name.starts_with(prefix));
        let is_refiner = has(FilePart::ClipG.prefix(true));
        let parts: &[FilePart] = if is_refiner {
            &[FilePart::Unet, FilePart::Vae, FilePart::ClipG]
        } else {
            &[FilePart::Unet, FilePart::Vae, FilePart::ClipL, FilePart::ClipG]
        };
        let missing = parts.iter().find(|part| **part != FilePart::Vae && !has(part.prefix(is_refiner)));
        if let Some(part) = missing {
            return Err(format!("it has no tensors `{}*` ({part:?})", part.prefix(is_refiner)));
        }
        let markers = [MARKER_V, MARKER_ZERO_SNR].map(|marker| tensors.contains_key(marker));
        let is_read = |name: &str| {
            parts.iter().any(|part| name.starts_with(part.prefix(is_refiner)))
                || [MARKER_V, MARKER_ZERO_SNR].contains(&name)
        };
        let (unused, unknown): (Vec<String>, Vec<String>) = tensors
            .keys()
            .filter(|name| !is_read(name))
            .cloned()
            .partition(|name| UNUSED.iter().any(|begin| name.starts_with(begin)));
        if let Some(first) = unknown.first() {
            return Err(format!("{} of its tensors belong to no known part, the first is `{first}`", unknown.len()));
        }
        let has_vae = has(FilePart::Vae.prefix(is_refiner));
        Ok(Self { is_refiner, predicts_v: markers[0], has_zero_terminal_snr: markers[1], has_vae, unused })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::testing::{Stored, write_file};

    const BASE: [&str; 3] = [
        "model.diffusion_model.out.2.bias",
        "conditioner.embedders.0.transformer.text_model.final_layer_norm.bias",
        "conditioner.embedders.1.model.ln_final.bias",
    ];

    fn open(names: &[&str]) -> Result<SingleFile, LoadError> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let stored: Vec<Stored> = names.iter().map(|name| Stored::f32(name, &[0], &[])).collect();
        SingleFile::open(&write_file(dir.path(), "model.safetensors", &stored))
    }

    #[test]
    fn markers_copies_and_a_missing_autoencoder_are_seen() {
        let file = open(&[&BASE[..], &["v_pred", "ztsnr", "model_ema.decay"]].concat()).expect("a base model");
        assert!(file.predicts_v && file.has_zero_terminal_snr && !file.has_vae && !file.is_refiner);
        assert_eq!(file.unused, ["model_ema.decay"]);
        let refiner = open(&[BASE[0], "conditioner.embedders.0.model.ln_final.bias", "first_stage_model.x"]);
        let refiner = refiner.expect("a refiner");
        assert!(refiner.is_refiner && refiner.has_vae && !refiner.predicts_v);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (names, complaint) in [
            ([&BASE[..], &["edm_mean"]].concat(), "EDM"),
            ([&BASE[..], &["something.else"]].concat(), "`something.else`"),
            (BASE[..2].to_vec(), "conditioner.embedders.1.model."),
        ] {
            let error = open(&names).expect_err("refused").to_string();
            assert!(error.contains(complaint), "{error}");
        }
    }
}
