//! Describes an adapter file and whether a model can use it, from headers alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use sakuga_model_core::AdapterDescription;
use serde_json::Value;

use super::content::AdapterContent;
use super::file::AdapterFile;
use super::keys::{AdaptedPart, BUNDLED};
use super::modules::AdaptableTensors;
use super::{Selection, layouts};
use crate::error::LoadError;

/// Problems of one part that are listed one by one.
const PROBLEMS_MAX: usize = 8;
/// Trigger words that are taken from metadata, and characters of a text that is.
const TRIGGER_WORDS_MAX: usize = 16;
const TEXT_CHARS_MAX: usize = 200;

/// A part of a model that an adapter may change.
pub struct PartTensors<'a> {
    /// The part of the model that the tensors are of.
    pub part: AdaptedPart,
    /// Its tensors, or why they cannot be changed.
    pub tensors: Result<&'a AdaptableTensors, &'a str>,
    /// Bytes of device memory for each value of a weight that is changed.
    pub value_bytes: u64,
}

/// Describes the adapter at `path`, a file or a folder, for a model with these parts.
///
/// # Errors
/// The file cannot be read, is truncated, or is malformed.
pub fn describe(path: &Path, parts: &[PartTensors<'_>]) -> Result<AdapterDescription, LoadError> {
    let content = Arc::new(AdapterContent::map(path)?);
    let metadata = content.file().metadata();
    let mut description = AdapterDescription {
        sha256: AdapterContent::digest(path)?,
        bytes: content.file().size() as u64,
        base_model: base_model(metadata),
        trigger_words: bundled_words(&content)
            .into_iter()
            .chain(trigger_words(metadata))
            .take(TRIGGER_WORDS_MAX)
            .collect(),
        ..AdapterDescription::default()
    };
    let mut algorithms = Vec::new();
    for PartTensors { part, tensors, value_bytes } in parts {
        let (file, mut problems) = AdapterFile::parse(content.clone(), 1.0, Selection::one_of(*part));
        let (mut matched, mut changed_bytes) = (0, 0);
        match tensors {
            Ok(tensors) => {
                let found = file.patches(tensors);
                matched = file.modules() - found.problems.len();
                // The parts of a tensor may have a patch each.
                let changed: BTreeSet<&str> = found.patches.iter().map(|(name, _)| name.as_str()).collect();
                let values = |name: &str| tensors.shape(name).into_iter().flatten().product::<usize>() as u64;
                changed_bytes = changed.into_iter().map(values).sum::<u64>() * value_bytes;
                problems.extend(found.problems);
                description.rank = description.rank.max(found.rank as u32);
            }
            Err(_) if file.modules() == 0 => {}
            Err(reason) => problems.push(format!("it changes {} modules of a text encoder: {reason}", file.modules())),
        }
        if file.modules() > 0 {
            algorithms.push(file.algorithm());
        }
        description.unmatched += problems.len() as u32;
        let problems = shortened(problems);
        match part {
            AdaptedPart::Denoiser => {
                description.modules += matched as u32;
                description.denoiser_bytes += changed_bytes;
                description.problems.extend(problems);
            }
            AdaptedPart::TextEncoder | AdaptedPart::TextEncoder2 => {
                description.text_modules += matched as u32;
                description.text_bytes += changed_bytes;
                description.text_problems.extend(problems);
            }
        }
    }
    description.algorithm = algorithms.first().copied().unwrap_or_default().to_owned();
    if description.modules + description.text_modules == 0 && description.problems.is_empty() {
        description.problems.push("it changes no module of this model".to_owned());
    }
    if !description.problems.is_empty() {
        let keys = content.file().entries().keys().map(String::as_str);
        layouts::nearest(keys).clone_into(&mut description.nearest_layout);
    }
    Ok(description)
}

/// The words of embeddings inside the adapter, each once.
fn bundled_words(content: &AdapterContent) -> BTreeSet<String> {
    let keys = content.file().entries().keys().filter_map(|key| key.strip_prefix(BUNDLED)?.rsplit_once('.'));
    keys.map(|(word, _)| one_line(word)).filter(|word| !word.is_empty()).collect()
}

/// The first problems, and how many more there are.
fn shortened(mut problems: Vec<String>) -> Vec<String> {
    let more = problems.len().saturating_sub(PROBLEMS_MAX);
    problems.truncate(PROBLEMS_MAX);
    if more > 0 {
        problems.push(format!("and {more} more"));
    }
    problems
}

/// The base model by the metadata of kohya's trainers, of the ModelSpec, or of others.
pub(super) fn base_model(metadata: &BTreeMap<String, String>) -> String {
    let keys = ["ss_sd_model_name", "ss_base_model_version", "modelspec.architecture", "base_model", "sd_model_name"];
    keys.iter()
        .find_map(|key| metadata.get(*key).map(|text| one_line(text)).filter(|text| !text.is_empty()))
        .unwrap_or_default()
}

/// The trigger words by the metadata, or the tags that occurred most often in training.
pub(super) fn trigger_words(metadata: &BTreeMap<String, String>) -> Vec<String> {
    let keys = ["modelspec.trigger_phrase", "trigger_words", "trigger_word", "trigger_phrase", "activation text"];
    if let Some(text) = keys.iter().find_map(|key| metadata.get(*key)) {
        return text.split(',').map(one_line).filter(|word| !word.is_empty()).take(TRIGGER_WORDS_MAX).collect();
    }
    let tags = metadata.get("ss_tag_frequency").and_then(|text| serde_json::from_str::<Value>(text).ok());
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let folders = tags.as_ref().and_then(Value::as_object).into_iter().flat_map(|folders| folders.values());
    for (tag, count) in folders.filter_map(Value::as_object).flatten() {
        *counts.entry(tag.trim()).or_default() += count.as_u64().unwrap_or(0);
    }
    let mut counts: Vec<(&str, u64)> = counts.into_iter().filter(|(tag, _)| !tag.is_empty()).collect();
    counts.sort_by_key(|&(tag, count)| (std::cmp::Reverse(count), tag));
    counts.into_iter().take(TRIGGER_WORDS_MAX / 2).map(|(tag, _)| one_line(tag)).collect()
}

/// A text of a file in one line of bounded length, without control characters.
pub(crate) fn one_line(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn metadata_of_trainers_are_read() {
        let found = metadata(&[
            ("ss_base_model_version", "sdxl_base_v1-0"),
            ("ss_tag_frequency", r#"{"5_ink": {"ink wash": 7, "1girl": 9}, "2_other": {"ink wash": 4, " ": 50}}"#),
        ]);
        assert_eq!(base_model(&found), "sdxl_base_v1-0");
        assert_eq!(trigger_words(&found), ["ink wash", "1girl"]);
        let found = metadata(&[("modelspec.trigger_phrase", " ink style, brush\n ,"), ("ss_tag_frequency", "{}")]);
        assert_eq!(
            (base_model(&found), trigger_words(&found)),
            (String::new(), vec!["ink style".into(), "brush".into()])
        );
        assert_eq!(trigger_words(&metadata(&[("ss_tag_frequency", "[1]")])), Vec::<String>::new());
        assert_eq!(one_line(&"x".repeat(999)).len(), TEXT_CHARS_MAX);
    }

    #[test]
    fn a_long_list_of_problems_is_shortened() {
        assert_eq!(shortened(vec!["a".into(); 8]).len(), 8);
        assert_eq!(shortened(vec!["a".into(); 10])[8], "and 2 more");
    }
}
