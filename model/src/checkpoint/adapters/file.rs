//! One adapter: its modules, the tensors that they change, and the scale of each.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use safetensors::Dtype;

use super::Selection;
use super::content::AdapterContent;
use super::decompose::{DoraRule, Magnitudes};
use super::keys::{AdaptedPart, BUNDLED, Module, Parts, Role, is_of_text_encoder, split};
use super::modules::{AdaptableTensors, Target};
use super::patch::{Delta, Factor, Patch};
use super::scale::ScaleRule;
use crate::checkpoint::{LoraReport, SafetensorsFile, decode_f32};
use crate::error::LoadError;

/// An adapter whose keys are parsed but not yet matched to a checkpoint.
#[derive(Debug)]
pub(super) struct AdapterFile {
    content: Arc<AdapterContent>,
    strength: f32,
    modules: BTreeMap<Module, Parts>,
    scale: ScaleRule,
    dora_rule: Option<DoraRule>,
}

/// What an adapter changes in a part of a checkpoint.
pub(super) struct Patches {
    /// Changes by the name of their tensor.
    pub(super) patches: Vec<(String, Patch)>,
    /// The largest rank of a module; 0: none has a rank.
    pub(super) rank: usize,
    /// One for each module that does not fit.
    pub(super) problems: Vec<String>,
}

impl AdapterFile {
    /// Parses the keys of what an adapter changes in the selected part.
    ///
    /// # Errors
    /// Every key of an unknown kind or for another part, and a scale that cannot be used.
    pub(super) fn open(content: Arc<AdapterContent>, strength: f32, selection: Selection) -> Result<Self, LoadError> {
        let path = content.path().to_owned();
        let (file, problems) = Self::parse(content, strength, selection);
        if problems.is_empty() { Ok(file) } else { Err(LoadError::Lora { path, problems }) }
    }

    /// As [`open`](Self::open), with the faults next to what could be parsed.
    pub(super) fn parse(content: Arc<AdapterContent>, strength: f32, selection: Selection) -> (Self, Vec<String>) {
        let file = content.file();
        let mut problems = Vec::new();
        if !strength.is_finite() {
            problems.push(format!("its strength {strength} is not a finite number"));
        }
        let mut modules: BTreeMap<Module, Parts> = BTreeMap::new();
        // If only the denoiser can be adapted, one fault stands for all keys of an encoder.
        let is_foreign = |key: &str| !selection.has_other_parts && is_of_text_encoder(key);
        let of_text_encoder: Vec<&String> = file.entries().keys().filter(|key| is_foreign(key)).collect();
        if let Some(first) = of_text_encoder.first() {
            problems.push(format!(
                "it adapts a text encoder, by {} keys such as `{first}`; only the transformer can be adapted here, so export \
                 it without its text encoder",
                of_text_encoder.len()
            ));
        }
        for (key, entry) in file.entries().iter().filter(|(key, _)| !is_foreign(key)) {
            match split(key) {
                Some((part, module, role)) if part == selection.part => {
                    if !matches!(entry.dtype, Dtype::F32 | Dtype::BF16 | Dtype::F16 | Dtype::F64) {
                        let dtype = entry.dtype;
                        problems.push(format!("the type {dtype} of key `{key}` is not one of F32, BF16, F16, F64"));
                    }
                    if modules.entry(module).or_default().insert(role, entry.clone()).is_some() {
                        problems.push(format!("key `{key}` repeats another key of its module"));
                    }
                }
                Some(_) if selection.has_other_parts => {}
                Some((part, ..)) => {
                    problems.push(format!("key `{key}` changes a {part:?}, which this model does not have"))
                }
                // Words that prompts may use; the family reads them.
                None if selection.has_other_parts && key.starts_with(BUNDLED) => {}
                // Of all parts, the denoiser's reports it.
                None if selection.part != AdaptedPart::Denoiser => {}
                None => problems.push(format!(
                    "key `{key}` is of no kind known here (LoRA, LoHa, LoKr, DoRA and norm differences are)"
                )),
            }
        }
        if file.entries().is_empty() {
            problems.push("it has no tensors".to_owned());
        }
        let has = |role: Role| modules.values().any(|parts| parts.contains_key(&role));
        let part = match selection.part {
            AdaptedPart::Denoiser => "unet",
            AdaptedPart::TextEncoder => "text_encoder",
            AdaptedPart::TextEncoder2 => "text_encoder_2",
        };
        let has_magnitudes = has(Role::Magnitude) || has(Role::MagnitudeOfOutputs);
        let scale = ScaleRule::new(
            content.config(),
            (file.metadata(), part),
            [has(Role::Alpha), has_magnitudes],
            &mut problems,
        );
        (Self { content, strength, modules, scale, dora_rule: selection.dora_rule }, problems)
    }

    /// Number of modules that it changes in the selected part.
    pub(super) fn modules(&self) -> usize {
        self.modules.len()
    }

    /// The largest rank of its modules; 0: none has a rank that can be read.
    pub(super) fn rank(&self) -> usize {
        let of_module = |parts: &Parts| {
            let found =
                [low_rank(parts), hadamard(parts), kronecker(parts)].into_iter().filter_map(Result::ok).flatten();
            found.filter_map(|(_, rank)| rank).max()
        };
        self.modules.values().filter_map(of_module).max().unwrap_or(0)
    }

    /// The first of DoRA, LoHa, LoKr and LoRA that one of its modules uses.
    pub(super) fn algorithm(&self) -> &'static str {
        let has = |roles: &[Role]| self.modules.values().any(|parts| roles.iter().any(|role| parts.contains_key(role)));
        if has(&[Role::Magnitude, Role::MagnitudeOfOutputs]) {
            "DoRA"
        } else if has(&[Role::Hadamard1A]) {
            "LoHa"
        } else if has(&[Role::Kronecker1, Role::Kronecker1A]) {
            "LoKr"
        } else {
            "LoRA"
        }
    }

    /// What to report about it once every module has been found in the checkpoint.
    pub(super) fn report(&self) -> LoraReport {
        LoraReport {
            path: self.path(),
            strength: self.strength,
            format: self.algorithm(),
            scale_source: self.scale.source(),
            modules: self.modules.len(),
        }
    }

    /// The file that holds its weights.
    pub(super) fn weights(&self) -> &SafetensorsFile {
        self.content.file()
    }

    /// Path of the file, or of the folder in PEFT's layout.
    pub(super) fn path(&self) -> PathBuf {
        self.content.path().to_owned()
    }

    /// The tensors of a checkpoint that it changes, and how; or every module that does not fit.
    pub(super) fn patches(&self, tensors: &AdaptableTensors) -> Patches {
        let mut found = Patches { patches: Vec::new(), rank: 0, problems: Vec::new() };
        for (module, parts) in &self.modules {
            match self.checked_patches(tensors, module, parts, &mut found.rank) {
                Ok(patches) => found.patches.extend(patches),
                Err(problem) => found.problems.push(problem),
            }
        }
        found
    }

    /// The patches of one module, of which each fits its tensor.
    fn checked_patches(
        &self,
        tensors: &AdaptableTensors,
        module: &Module,
        parts: &Parts,
        rank: &mut usize,
    ) -> Result<Vec<(String, Patch)>, String> {
        let target = tensors.find(module)?;
        // Patterns of a configuration are about the names that the trainer knew.
        let trained = if module.flat { &target.path } else { &module.path };
        let found = self.module_patches(target, trained, parts, rank);
        let patches = found.map_err(|problem| format!("module `{}`: {problem}", module.path))?;
        for (name, patch) in &patches {
            let shape = tensors.shape(name).ok_or_else(|| format!("tensor `{name}` is not in this checkpoint"))?;
            patch.check(name, shape)?;
        }
        Ok(patches)
    }

    /// The patches of one module: at most one for its weight and one for its bias.
    fn module_patches(
        &self,
        target: &Target,
        trained: &str,
        parts: &Parts,
        rank_max: &mut usize,
    ) -> Result<Vec<(String, Patch)>, String> {
        let mut patches = Vec::new();
        let Target { path, rows } = target;
        let mut add = |tensor: &str, delta: Delta, scale: f32, magnitudes: Option<Magnitudes>| {
            let patch = Patch { delta, scale, strength: self.strength, magnitudes, rows: rows.clone() };
            patches.push((format!("{path}.{tensor}"), patch));
        };
        let deltas = [low_rank(parts)?, hadamard(parts)?, kronecker(parts)?];
        let mut deltas = deltas.into_iter().flatten();
        let magnitudes = self.magnitudes(parts)?;
        match (deltas.next(), deltas.next()) {
            // Whole factors have no rank: LyCORIS sets alpha to the rank then, which is a scale of one.
            (Some((delta, rank)), None) => {
                let scale = rank.map_or(Ok(1.0), |rank| self.scale(trained, parts, rank))?;
                *rank_max = rank.unwrap_or(0).max(*rank_max);
                add("weight", delta, scale, magnitudes);
            }
            (Some(_), Some(_)) => return Err("it mixes factors of different kinds".to_owned()),
            (None, _) if magnitudes.is_some() => return Err("it has magnitudes but no factors".to_owned()),
            (None, _) => {}
        }
        for (role, tensor) in [(Role::WeightDifference, "weight"), (Role::BiasDifference, "bias")] {
            if let Some(difference) = parts.get(&role) {
                add(tensor, Delta::Whole(difference.clone()), 1.0, None);
            }
        }
        if patches.is_empty() {
            return Err("it has an alpha but no factors".to_owned());
        }
        Ok(patches)
    }

    fn magnitudes(&self, parts: &Parts) -> Result<Option<Magnitudes>, String> {
        let found = [(Role::Magnitude, false, DoraRule::Lycoris), (Role::MagnitudeOfOutputs, true, DoraRule::Peft)];
        let mut found = found.into_iter().filter_map(|(role, is_vector, rule)| {
            let rule = self.dora_rule.unwrap_or(rule);
            Some(Magnitudes { entry: parts.get(&role)?.clone(), is_vector, rule })
        });
        match (found.next(), found.next()) {
            (_, Some(_)) => Err("it has magnitudes of two kinds".to_owned()),
            (magnitudes, None) => Ok(magnitudes),
        }
    }

    /// Scale of a module of this rank, by the rules of the module's documentation.
    fn scale(&self, path: &str, parts: &Parts, rank: usize) -> Result<f32, String> {
        let alpha = match parts.get(&Role::Alpha) {
            Some(entry) if entry.shape.iter().product::<usize>() == 1 => {
                let value: Tensor<1> = decode_f32(self.weights(), entry, [1], &Device::flex());
                Some(value.into_scalar::<f32>())
            }
            Some(entry) => return Err(format!("its alpha has the shape {:?} and not one value", entry.shape)),
            None => self.scale.alpha_of(path),
        };
        self.scale.scale(alpha, rank)
    }
}

/// A change and its rank, if it has one.
type Found = Option<(Delta, Option<usize>)>;

fn low_rank(parts: &Parts) -> Result<Found, String> {
    let entry = |role: Role| parts.get(&role).cloned();
    match (entry(Role::Down), entry(Role::Up), entry(Role::Middle)) {
        (Some(down), Some(up), middle) => {
            let rank = down.shape.first().copied();
            Ok(Some((Delta::LowRank { down, up, middle }, Some(rank.unwrap_or(0)))))
        }
        (None, None, None) => Ok(None),
        _ => Err("only one of its two LoRA factors is there".to_owned()),
    }
}

fn hadamard(parts: &Parts) -> Result<Found, String> {
    let first = factor(parts, None, [Role::Hadamard1A, Role::Hadamard1B], Some(Role::Hadamard1Core), "hada_w1")?;
    let second = factor(parts, None, [Role::Hadamard2A, Role::Hadamard2B], Some(Role::Hadamard2Core), "hada_w2")?;
    match (first, second) {
        (Some(first), Some(second)) => {
            let rank = first.rank();
            Ok(Some((Delta::Hadamard([first, second]), rank)))
        }
        (None, None) => Ok(None),
        _ => Err("only one of its two LoHa factors is there".to_owned()),
    }
}

fn kronecker(parts: &Parts) -> Result<Found, String> {
    let left = factor(parts, Some(Role::Kronecker1), [Role::Kronecker1A, Role::Kronecker1B], None, "w1")?;
    let core = Some(Role::Kronecker2Core);
    let right = factor(parts, Some(Role::Kronecker2), [Role::Kronecker2A, Role::Kronecker2B], core, "w2")?;
    match (left, right) {
        (Some(left), Some(right)) => {
            let rank = right.rank().or(left.rank());
            Ok(Some((Delta::Kronecker { left, right }, rank)))
        }
        (None, None) => Ok(None),
        _ => Err("only one of its two LoKr factors is there".to_owned()),
    }
}

/// A factor stored whole, as a product, or as a product around a core.
fn factor(
    parts: &Parts,
    whole: Option<Role>,
    product: [Role; 2],
    core: Option<Role>,
    name: &str,
) -> Result<Option<Factor>, String> {
    let entry = |role: Option<Role>| role.and_then(|role| parts.get(&role).cloned());
    let [a, b] = product.map(|role| parts.get(&role).cloned());
    match (entry(whole), a, b, entry(core)) {
        (Some(whole), None, None, None) => Ok(Some(Factor::Whole(whole))),
        (None, Some(a), Some(b), None) => Ok(Some(Factor::Product(a, b))),
        (None, Some(a), Some(b), Some(core)) => Ok(Some(Factor::Cored { core, a, b })),
        (None, None, None, None) => Ok(None),
        _ => Err(format!("its factor needs either {name} or both {name}_a and {name}_b")),
    }
}
