//! Reads `vocabulary.json`, which states what a checkpoint was trained with.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sakuga_model_core::ModelVocabulary;
use serde_json::Value;

use crate::checkpoint::{ConfigFields, read_json};
use crate::error::LoadError;

/// Its name in the folder of a checkpoint.
const FILE: &str = "vocabulary.json";
/// Most tags of all elements together.
const TAGS_MAX: usize = 2048;
/// Longest tag, and longest name of an element, in bytes.
const TAG_BYTES_MAX: usize = 64;
/// Most elements with tags.
const ELEMENTS_MAX: usize = 64;
/// Most sizes.
const SIZES_MAX: usize = 64;
/// Longest edge in pixels.
const EDGE_MAX_PX: u64 = 16_384;
/// Most characters of a picture: those that the prompt language numbers.
const CHARACTERS_MAX: usize = 16;

/// The vocabulary of the checkpoint at `path`; `None` for a single file, or for a folder without one.
///
/// # Errors
///
/// The file cannot be read, is not JSON, or every part of it that is malformed or beyond its bound, in one error.
pub(super) fn read(path: &Path) -> Result<Option<Arc<ModelVocabulary>>, LoadError> {
    let path = path.join(FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let file = read_json(&path)?;
    let fields = ConfigFields::new(&file);
    let vocabulary = ModelVocabulary {
        tags: tags(&fields),
        sizes_px: sizes(&fields),
        characters_max: fields.count("characters_max", 0..=CHARACTERS_MAX) as u32,
    };
    fields.finish().map_err(|source| LoadError::Config { path, source })?;
    Ok(Some(Arc::new(vocabulary)))
}

fn tags(fields: &ConfigFields<'_>) -> BTreeMap<String, Vec<String>> {
    let mut tags = BTreeMap::new();
    let Some(elements) = fields.get("tags").and_then(Value::as_object).filter(|all| all.len() <= ELEMENTS_MAX) else {
        fields.reject(format!("`tags` must be an object of at most {ELEMENTS_MAX} elements, each with a list of tags"));
        return tags;
    };
    let mut count = 0;
    for (element, list) in elements {
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        count += list.len();
        if count > TAGS_MAX {
            fields.reject(format!("`tags` has more than {TAGS_MAX} tags"));
            return tags;
        }
        let texts: Vec<String> =
            list.iter().filter_map(Value::as_str).filter(|tag| is_short(tag)).map(str::to_owned).collect();
        if !is_short(element) || texts.is_empty() || texts.len() < list.len() {
            fields.reject(format!("each element of `tags` needs a list of tags of 1 to {TAG_BYTES_MAX} bytes"));
            return tags;
        }
        tags.insert(element.clone(), texts);
    }
    tags
}

fn is_short(text: &str) -> bool {
    (1..=TAG_BYTES_MAX).contains(&text.len())
}

fn sizes(fields: &ConfigFields<'_>) -> Vec<[u32; 2]> {
    let edge = |value: &Value| {
        let edge = value.as_u64().filter(|edge| (1..=EDGE_MAX_PX).contains(edge))?;
        u32::try_from(edge).ok()
    };
    let size = |value: &Value| match value.as_array()?.as_slice() {
        [width, height] => Some([edge(width)?, edge(height)?]),
        _ => None,
    };
    let list = fields.get("sizes_px").and_then(Value::as_array).filter(|list| (1..=SIZES_MAX).contains(&list.len()));
    list.and_then(|list| list.iter().map(size).collect()).unwrap_or_else(|| {
        fields.reject(format!(
            "`sizes_px` must be a list of 1 to {SIZES_MAX} pairs of width and height from 1 to {EDGE_MAX_PX}, such as [[256, 256]]"
        ));
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_value(value: &Value) -> Result<Option<Arc<ModelVocabulary>>, LoadError> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(dir.path().join(FILE), value.to_string()).expect("writable");
        read(dir.path())
    }

    #[test]
    fn a_vocabulary_is_read_and_may_be_absent() {
        let file = json!({"tags": {"appearance": ["blue_hair"]}, "sizes_px": [[256, 192]], "characters_max": 4});
        let vocabulary = read_value(&file).expect("valid").expect("present");
        assert_eq!(vocabulary.tags["appearance"], ["blue_hair"]);
        assert_eq!((vocabulary.sizes_px.as_slice(), vocabulary.characters_max), (&[[256, 192]][..], 4));
        let empty = tempfile::tempdir().expect("a temporary folder");
        assert!(read(empty.path()).expect("nothing to read").is_none());
    }

    #[test]
    fn what_is_beyond_a_bound_is_an_error_with_the_field() {
        let many: Vec<String> = (0..=TAGS_MAX).map(|number| number.to_string()).collect();
        for (tags, sizes, characters, field) in [
            (json!({"appearance": many}), json!([[256, 256]]), 1, "`tags`"),
            (json!({"appearance": ["x".repeat(TAG_BYTES_MAX + 1)]}), json!([[256, 256]]), 1, "`tags`"),
            (json!({"appearance": [3]}), json!([[256, 256]]), 1, "`tags`"),
            (json!(["blue_hair"]), json!([[256, 256]]), 1, "`tags`"),
            (json!({}), json!([]), 1, "`sizes_px`"),
            (json!({}), json!([[256, 0]]), 1, "`sizes_px`"),
            (json!({}), json!([[256, 256, 256]]), 1, "`sizes_px`"),
            (json!({}), json!([[256, 256]]), 17, "`characters_max`"),
        ] {
            let file = json!({"tags": tags, "sizes_px": sizes, "characters_max": characters});
            let error = read_value(&file).expect_err("beyond its bound").to_string();
            assert!(error.contains(field) && error.contains(FILE), "{error}");
        }
    }

    #[test]
    fn the_embedded_checkpoint_states_what_it_was_trained_with() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("embedded");
        let vocabulary = read(&folder).expect("valid").expect("present");
        assert!(vocabulary.tags["appearance"].iter().any(|tag| tag == "blue_hair"));
        assert!(vocabulary.covers_size(256, 256));
    }
}
