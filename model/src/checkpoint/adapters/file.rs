//! One adapter file: its format, the module of each key, the scale.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};
use safetensors::Dtype;
use serde_json::Value;

use super::LoraChoice;
use super::patch::{Factor, Patch};
use super::scale::ScaleRule;
use crate::checkpoint::{LoraReport, SafetensorsFile, TensorEntry, decode_f32, read_json};
use crate::error::LoadError;

/// Prefixes before a dotted module path, longest first.
const DOTTED_PREFIXES: [&str; 10] = [
    "unet.base_model.model.diffusion_model.",
    "base_model.model.diffusion_model.",
    "transformer.base_model.model.",
    "transformer.diffusion_model.",
    "unet.base_model.model.",
    "model.diffusion_model.",
    "base_model.model.",
    "diffusion_model.",
    "transformer.",
    "",
];
/// Prefixes before a module path whose dots were replaced by underscores.
const FLAT_PREFIXES: [&str; 2] = ["lycoris_", "lora_unet_"];
/// What the keys of a text encoder's adapter begin with.
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
/// Suffixes of keys, and the role of their tensors.
const SUFFIXES: [(&str, &str); 17] = [
    (".lora_A.default.weight", "down"),
    (".lora_B.default.weight", "up"),
    (".lora_A.weight", "down"),
    (".lora_B.weight", "up"),
    (".lora_down.weight", "down"),
    (".lora_up.weight", "up"),
    (".alpha", "alpha"),
    (".lokr_w1_a", "w1_a"),
    (".lokr_w1_b", "w1_b"),
    (".lokr_w1", "w1"),
    (".lokr_w2_a", "w2_a"),
    (".lokr_w2_b", "w2_b"),
    (".lokr_w2", "w2"),
    (".w_norm", "norm_weight"),
    (".b_norm", "norm_bias"),
    (".diff", "weight_difference"),
    (".diff_b", "bias_difference"),
];

/// An adapter whose keys are parsed but not yet matched to a checkpoint.
#[derive(Debug)]
pub(super) struct AdapterFile {
    spec: LoraChoice,
    file: SafetensorsFile,
    modules: BTreeMap<Module, Parts>,
    scale: ScaleRule,
    is_lokr: bool,
}

/// A module as the keys name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Module {
    path: String,
    /// Whether dots of the path were replaced by underscores.
    flat: bool,
}

type Parts = BTreeMap<&'static str, TensorEntry>;

impl AdapterFile {
    /// Opens an adapter.
    pub(super) fn open(spec: &LoraChoice) -> Result<Self, LoadError> {
        let (weights, config) = locate(&spec.path)?;
        let file = SafetensorsFile::open(&weights)?;
        let mut problems = Vec::new();
        if !spec.strength.is_finite() {
            problems.push(format!("its strength {} is not a finite number", spec.strength));
        }
        let mut modules: BTreeMap<Module, Parts> = BTreeMap::new();
        let of_text_encoder: Vec<&String> = file.entries().keys().filter(|key| is_of_text_encoder(key)).collect();
        if let Some(first) = of_text_encoder.first() {
            problems.push(format!(
                "it adapts a text encoder, by {} keys such as `{first}`; only the transformer can be adapted here, so export \
                 it without its text encoder",
                of_text_encoder.len()
            ));
        }
        for (key, entry) in file.entries().iter().filter(|(key, _)| !is_of_text_encoder(key)) {
            if !matches!(entry.dtype, Dtype::F32 | Dtype::BF16 | Dtype::F16 | Dtype::F64) {
                problems.push(format!("the type {} of key `{key}` is not one of F32, BF16, F16, F64", entry.dtype));
            }
            match split(key) {
                Some((module, role)) => {
                    if modules.entry(module).or_default().insert(role, entry.clone()).is_some() {
                        problems.push(format!("key `{key}` repeats another key of its module"));
                    }
                }
                None => {
                    problems.push(format!("key `{key}` is of no kind known here (LoRA, LoKr and norm differences are)"))
                }
            }
        }
        if modules.is_empty() && problems.is_empty() {
            problems.push("it has no tensors".to_owned());
        }
        let has_alphas = modules.values().any(|parts| parts.contains_key("alpha"));
        let scale = ScaleRule::new(config.as_ref(), file.metadata(), has_alphas, &mut problems);
        let is_lokr = modules.values().any(|parts| parts.keys().any(|role| role.starts_with('w') && role.len() <= 4));
        if !problems.is_empty() {
            return Err(LoadError::Lora { path: spec.path.clone(), problems });
        }
        Ok(Self { spec: spec.clone(), file, modules, scale, is_lokr })
    }

    /// What to report about it once every module has been found in the checkpoint.
    pub(super) fn report(&self) -> LoraReport {
        LoraReport {
            path: self.spec.path.clone(),
            strength: self.spec.strength,
            format: if self.is_lokr { "LoKr" } else { "LoRA" },
            scale_source: self.scale.source(),
            modules: self.modules.len(),
        }
    }

    /// The file that holds its weights.
    pub(super) fn weights(&self) -> &SafetensorsFile {
        &self.file
    }

    /// The tensors of a checkpoint that it changes, and how.
    pub(super) fn patches(&self, shapes: &BTreeMap<String, Vec<usize>>) -> Result<Vec<(String, Patch)>, LoadError> {
        let mut by_flat_path: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for path in shapes.keys().filter_map(|name| name.strip_suffix(".weight")) {
            by_flat_path.entry(path.replace('.', "_")).or_default().push(path);
        }
        let mut patches = Vec::new();
        let mut problems = Vec::new();
        for (module, parts) in &self.modules {
            let path = if module.flat {
                match by_flat_path.get(&module.path).map(Vec::as_slice) {
                    Some([path]) => *path,
                    Some(paths) => {
                        problems.push(format!("module `{}` could be any of {paths:?}", module.path));
                        continue;
                    }
                    None => {
                        problems.push(format!("module `{}` is not in this checkpoint", module.path));
                        continue;
                    }
                }
            } else {
                module.path.as_str()
            };
            match self.module_patches(path, parts) {
                Ok(found) => {
                    for (name, patch) in found {
                        match (shapes.get(&name), patch.shape()) {
                            (None, _) => problems.push(format!("tensor `{name}` is not in this checkpoint")),
                            (Some(shape), Some(change)) if *shape == change => patches.push((name, patch)),
                            (Some(shape), Some(change)) => {
                                problems.push(format!("it changes `{name}` as {change:?}, but that is {shape:?}"));
                            }
                            (Some(_), None) => problems.push(format!("the factors for `{name}` do not fit each other")),
                        }
                    }
                }
                Err(problem) => problems.push(format!("module `{path}`: {problem}")),
            }
        }
        if problems.is_empty() { Ok(patches) } else { Err(LoadError::Lora { path: self.spec.path.clone(), problems }) }
    }

    /// The patches of one module: at most one for its weight and one for its bias.
    fn module_patches(&self, path: &str, parts: &Parts) -> Result<Vec<(String, Patch)>, String> {
        let entry = |role: &str| parts.get(role).cloned();
        let strength = self.spec.strength;
        let mut patches = Vec::new();
        if let (Some(down), Some(up)) = (entry("down"), entry("up")) {
            let scale = strength * self.scale(path, parts, down.shape.first().copied())?;
            patches.push((format!("{path}.weight"), Patch::LowRank { down, up, scale }));
        } else if parts.contains_key("down") || parts.contains_key("up") {
            return Err("only one of its two LoRA factors is there".to_owned());
        }
        let factor = |whole: &str, a: &str, b: &str| match (entry(whole), entry(a), entry(b)) {
            (Some(entry), None, None) => Ok(Some(Factor::Whole(entry))),
            (None, Some(a), Some(b)) => Ok(Some(Factor::Product(a, b))),
            (None, None, None) => Ok(None),
            _ => Err(format!("its LoKr factor needs either {whole} or both {a} and {b}")),
        };
        match (factor("w1", "w1_a", "w1_b")?, factor("w2", "w2_a", "w2_b")?) {
            (Some(left), Some(right)) => {
                let rank = [&right, &left].into_iter().find_map(|factor| match factor {
                    Factor::Product(_, b) => b.shape.first().copied(),
                    Factor::Whole(_) => None,
                });
                // Whole factors have no rank: LyCORIS sets alpha to the rank then, which is a scale of one.
                let scale = if rank.is_some() { self.scale(path, parts, rank)? } else { 1.0 };
                patches.push((format!("{path}.weight"), Patch::Kronecker { left, right, scale: strength * scale }));
            }
            (None, None) => {}
            _ => return Err("only one of its two LoKr factors is there".to_owned()),
        }
        for (role, tensor) in [
            ("norm_weight", "weight"),
            ("norm_bias", "bias"),
            ("weight_difference", "weight"),
            ("bias_difference", "bias"),
        ] {
            if let Some(difference) = entry(role) {
                patches.push((format!("{path}.{tensor}"), Patch::Whole { difference, scale: strength }));
            }
        }
        if patches.is_empty() {
            return Err("it has an alpha but no factors".to_owned());
        }
        Ok(patches)
    }

    /// Scale of a module of this rank, by the rules of the module's documentation.
    fn scale(&self, path: &str, parts: &Parts, rank: Option<usize>) -> Result<f32, String> {
        let alpha = match parts.get("alpha") {
            Some(entry) if entry.shape.iter().product::<usize>() == 1 => {
                let value: Tensor<1> = decode_f32(&self.file, entry, [1], &Device::flex());
                Some(value.into_scalar::<f32>())
            }
            Some(entry) => return Err(format!("its alpha has the shape {:?} and not one value", entry.shape)),
            None => self.scale.alpha_of(path),
        };
        self.scale.scale(alpha, rank)
    }
}

/// The weight file and the parsed `adapter_config.json`, if there is one.
fn locate(path: &Path) -> Result<(PathBuf, Option<Value>), LoadError> {
    let metadata = std::fs::metadata(path).map_err(|source| LoadError::read(path, source))?;
    let weights = if metadata.is_dir() { path.join("adapter_model.safetensors") } else { path.to_owned() };
    // A config applies only to the file of this name in its directory.
    let config = weights.with_file_name("adapter_config.json");
    let applies = weights.file_name().is_some_and(|name| name == "adapter_model.safetensors") && config.is_file();
    Ok((weights, if applies { Some(read_json(&config)?) } else { None }))
}

/// Whether a key belongs to a text encoder.
fn is_of_text_encoder(key: &str) -> bool {
    let bare = key.strip_prefix("base_model.model.").unwrap_or(key);
    TEXT_ENCODER_PREFIXES.iter().any(|prefix| bare.starts_with(prefix))
}

/// Splits a key into module and role.
fn split(key: &str) -> Option<(Module, &'static str)> {
    let (path, role) = SUFFIXES.iter().find_map(|(suffix, role)| Some((key.strip_suffix(suffix)?, *role)))?;
    let module = match FLAT_PREFIXES.iter().find_map(|prefix| path.strip_prefix(prefix)) {
        Some(path) => Module { path: path.to_owned(), flat: true },
        None => {
            let path = DOTTED_PREFIXES.iter().find_map(|prefix| path.strip_prefix(prefix))?;
            Module { path: path.to_owned(), flat: false }
        }
    };
    (!module.path.is_empty()).then_some((module, role))
}
