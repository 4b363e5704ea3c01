//! Describes a safetensors file.

use std::path::Path;

use super::{Inspection, Part, Usage, kinds, precisions};
use crate::checkpoint::SafetensorsFile;
use crate::checkpoint::adapters::{AdapterOutline, one_line, outline};
use crate::error::LoadError;
use crate::families::sdxl::PARTS;
use crate::families::sdxl::embedding;
use crate::families::sdxl::single_file::{FilePart, SingleFile, variant};
use crate::families::{self, Family};

/// Facts that trainers and merging programs write into files.
const METADATA: [(&str, &[&str]); 7] = [
    ("title", &["modelspec.title", "ss_output_name"]),
    ("author", &["modelspec.author"]),
    ("architecture by its metadata", &["modelspec.architecture"]),
    ("prediction by its metadata", &["modelspec.prediction_type"]),
    ("trained at", &["modelspec.resolution", "ss_resolution"]),
    ("trained with", &["ss_network_module", "modelspec.implementation"]),
    ("licence by its metadata", &["modelspec.license"]),
];

pub(super) fn inspect(path: &Path, file: &SafetensorsFile) -> Result<Inspection, LoadError> {
    let names = file.entries().keys().map(String::as_str);
    let mut inspection = known(path, file, names)?;
    for (name, keys) in METADATA {
        let text = keys.iter().find_map(|key| file.metadata().get(*key)).map(|text| one_line(text));
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            inspection.fact(name, text);
        }
    }
    if inspection.parts.is_empty() {
        inspection.parts = vec![Part { name: "all tensors".to_owned(), precisions: precisions(file, |_| true) }];
    }
    Ok(inspection)
}

fn known<'f>(
    path: &Path,
    file: &'f SafetensorsFile,
    names: impl Iterator<Item = &'f str> + Clone,
) -> Result<Inspection, LoadError> {
    if let Some(variant) = variant(file.entries()) {
        return Ok(
            Inspection::new(path, variant).refuse("it is sampled in another way, which this program does not support")
        );
    }
    if let Some((kind, advice)) = kinds::of_tensors(names.clone(), true) {
        let mut inspection = Inspection::new(path, kind);
        if let Some(family) = family_of_control(file) {
            inspection.fact("for", family);
        }
        return Ok(inspection.refuse(advice));
    }
    if let Ok(family) = families::recognise(path) {
        return Ok(model(path, file, family));
    }
    if let Some(vectors) = embedding::vectors_of(file.entries()) {
        let mut inspection = Inspection::new(path, "a textual inversion (embedding)");
        for (name, count, width) in vectors {
            inspection.fact("vectors", format!("{name}: {count} of {width} values"));
        }
        return Ok(inspection.refuse("the server reads embeddings only inside adapters"));
    }
    if let Some(outline) = outline(path)? {
        return Ok(adapter(path, outline));
    }
    if let Some((kind, advice)) = kinds::of_tensors(names.clone(), false) {
        return Ok(Inspection::new(path, kind).refuse(advice));
    }
    let mut inspection = Inspection::new(path, "an unknown file");
    let first: Vec<String> = names.take(3).map(|name| format!("`{}`", one_line(name))).collect();
    inspection.fact("first tensors", first.join(", "));
    Ok(inspection.refuse("this program does not recognise its tensors"))
}

/// The family that a control network is for, by the width of its addition to the time embedding.
fn family_of_control(file: &SafetensorsFile) -> Option<&'static str> {
    let names = ["add_embedding.linear_1.weight", "control_model.label_emb.0.0.weight", "label_emb.0.0.weight"];
    let entry = names.iter().find_map(|name| file.entries().get(*name))?;
    (entry.shape.get(1) == Some(&2816)).then_some(Family::StableDiffusionXl.name())
}

fn adapter(path: &Path, outline: AdapterOutline) -> Inspection {
    let AdapterOutline { algorithm, rank, modules, layout, base_model, trigger_words, unknown } = outline;
    let mut inspection = Inspection::new(path, format!("an adapter ({algorithm})"));
    inspection.fact("algorithm", algorithm);
    if rank > 0 {
        inspection.fact("rank", format!("{rank} at most"));
    }
    inspection.fact("modules", format!("{} of the denoiser, {} of text encoders", modules[0], modules[1] + modules[2]));
    if !layout.is_empty() {
        inspection.fact("names like those of", layout);
    }
    if !base_model.is_empty() {
        inspection.fact("trained on", base_model);
    }
    if !trigger_words.is_empty() {
        inspection.fact("trigger words", trigger_words.join(", "));
    }
    inspection.problems = unknown.into_iter().take(8).collect();
    if inspection.problems.is_empty() {
        inspection.usage = Usage::Adapter;
        inspection.advice =
            "put it into the folder of `--adapters`, or merge it with `--lora` at the start; the server says \
                             whether it fits its model"
                .to_owned();
        inspection
    } else {
        inspection.refuse("parts of it are of no kind that is known, so it would be refused as a whole")
    }
}

fn model(path: &Path, file: &SafetensorsFile, family: Family) -> Inspection {
    let mut inspection = Inspection::new(path, format!("a {family} model"));
    inspection.family = Some(family.name());
    match family {
        Family::NewBie => {
            inspection.kind = format!("the transformer of a {family} model, without its other parts");
            inspection.parts = vec![Part { name: "transformer".to_owned(), precisions: precisions(file, |_| true) }];
            inspection.loaded()
        }
        Family::StableDiffusionXl | Family::StableDiffusionXlRefiner => of_sdxl(inspection, file, family),
    }
}

fn of_sdxl(mut inspection: Inspection, file: &SafetensorsFile, family: Family) -> Inspection {
    let is_refiner = family == Family::StableDiffusionXlRefiner;
    if !file.entries().keys().any(|name| name.starts_with(FilePart::Unet.prefix(is_refiner))) {
        inspection.kind = format!("the U-Net of a {family} folder");
        return inspection.refuse("it is one part of a model: put it into `unet/` of a folder with the other parts");
    }
    for (part, name) in PARTS {
        let prefix = part.prefix(is_refiner);
        let precisions = precisions(file, |name| name.starts_with(prefix));
        let is_of_other = is_refiner && part == FilePart::ClipL;
        if !precisions.is_empty() && !is_of_other {
            inspection.parts.push(Part { name: name.to_owned(), precisions });
        }
    }
    let kind = match SingleFile::open(&inspection.path) {
        Ok(kind) => kind,
        Err(error) => {
            inspection.problems.push(one_line(&error.to_string()));
            return inspection.refuse("it cannot be loaded as a single file");
        }
    };
    inspection.fact("prediction", if kind.predicts_v { "v (marker `v_pred`)" } else { "noise (epsilon)" });
    if kind.has_zero_terminal_snr {
        inspection.fact("noise", "zero terminal SNR (marker `ztsnr`)");
    }
    let copies = kind.unused.iter().filter(|name| name.starts_with("model_ema.")).count();
    if copies > 0 {
        inspection.fact("EMA weights", format!("{copies} tensors, not used"));
    }
    inspection.unused = grouped(&kind.unused);
    if !kind.has_vae {
        inspection.problems.push("it has no autoencoder (`first_stage_model.*`)".to_owned());
    }
    if is_refiner {
        return inspection
            .refuse("a refiner does not draw by itself; give it to the server with --refiner, next to a base model");
    }
    inspection.loaded()
}

/// Names by what stands before their first `.`, with their number.
fn grouped(names: &[String]) -> Vec<String> {
    let mut groups: Vec<(String, usize)> = Vec::new();
    for name in names {
        let group = one_line(name.split('.').next().unwrap_or(name));
        match groups.iter_mut().find(|(known, _)| *known == group) {
            Some((_, count)) => *count += 1,
            None => groups.push((group, 1)),
        }
    }
    groups.into_iter().map(|(group, count)| format!("{group} ({count} tensors)")).collect()
}
