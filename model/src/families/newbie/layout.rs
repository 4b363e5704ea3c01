//! The files and folders of a checkpoint, and the advice for a file that is one of them.

use std::path::Path;

use crate::checkpoint::{Component, ModelFolder};
use crate::error::{FolderEntry, LoadError, PartRemedy};
use crate::families::folder_files::FolderPart;

/// The parts that every checkpoint has, in the order in which they are loaded.
pub(super) const PARTS: [&str; 4] = ["transformer", "text_encoder", "clip_model", "vae"];

/// The files of a checkpoint's folder that are read.
pub(in crate::families) const FOLDER: &[FolderPart] = &[
    FolderPart::network(PARTS[0]),
    FolderPart::network(PARTS[1]).with_tokenizer(),
    FolderPart::network(PARTS[2]).with_tokenizer(),
    FolderPart::network(PARTS[3]),
    FolderPart::PREVIEW_DECODER,
];

/// What a checkpoint's folder contains.
const ENTRIES: [(&str, &str); 5] = [
    ("model_index.json", r#"the text {"_class_name": "NewbiePipeline"}"#),
    ("transformer", "the Next-DiT: config.json and this file"),
    ("text_encoder", "Gemma 3 4B: config.json, tokenizer.json and its weights"),
    ("clip_model", "Jina CLIP v2: config.json, tokenizer.json and its weights"),
    ("vae", "the autoencoder of FLUX.1: config.json and its weights"),
];

/// What to do with a transformer's file: name the checkpoint that it is in, or make one.
pub(crate) fn single_file(path: &Path) -> PartRemedy {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().unwrap_or(&path);
    let checkpoint = folder.parent().filter(|_| folder.file_name().is_some_and(|name| name == PARTS[0]));
    if let Some(checkpoint) = checkpoint.filter(|checkpoint| checkpoint.join(ENTRIES[0].0).is_file()) {
        return PartRemedy::NameFolder(checkpoint.to_owned());
    }
    let entry = |(name, content)| FolderEntry { name, content, is_found: folder.join(name).exists() };
    PartRemedy::MakeFolder { searched: folder.to_owned(), entries: ENTRIES.map(entry).into() }
}

/// All parts of a folder.
///
/// # Errors
///
/// Every part that is missing or malformed, in one error.
pub(super) fn components(folder: &ModelFolder) -> Result<[Component; 4], LoadError> {
    let mut faults = Vec::new();
    let found = PARTS.map(|part| folder.component(part).map_err(|fault| faults.push(fault)).ok());
    match found {
        [Some(transformer), Some(text_encoder), Some(clip_model), Some(vae)] => {
            Ok([transformer, text_encoder, clip_model, vae])
        }
        _ => Err(LoadError::all(faults).unwrap_or_else(|| LoadError::layout(folder.dir(), "a part is missing"))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_in_a_checkpoint_is_answered_with_its_folder() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let part = dir.path().join("transformer");
        fs::create_dir(&part).expect("writable");
        let file = part.join("model.safetensors");
        assert!(matches!(single_file(&file), PartRemedy::MakeFolder { .. }), "there is no model_index.json");
        fs::write(dir.path().join("model_index.json"), "{}").expect("writable");
        assert_eq!(single_file(&file), PartRemedy::NameFolder(dir.path().to_owned()));
        assert!(matches!(single_file(&dir.path().join("vae/x.safetensors")), PartRemedy::MakeFolder { .. }));
    }

    #[test]
    fn a_file_alone_is_answered_with_what_is_missing_next_to_it() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(dir.path().join("vae")).expect("writable");
        let remedy = single_file(&dir.path().join("newbie.safetensors"));
        let PartRemedy::MakeFolder { searched, entries } = &remedy else { panic!("{remedy:?}") };
        assert_eq!(searched, dir.path());
        let found: Vec<&str> = entries.iter().filter(|entry| entry.is_found).map(|entry| entry.name).collect();
        assert_eq!((entries.len(), found), (5, vec!["vae"]));
    }

    #[test]
    fn all_missing_parts_are_in_one_error() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::write(dir.path().join("model_index.json"), "{}").expect("writable");
        fs::create_dir(dir.path().join("vae")).expect("writable");
        let folder = ModelFolder::open(dir.path()).expect("a folder");
        let error = components(&folder).expect_err("nothing is there").to_string();
        for part in
            ["`transformer/` is missing", "`text_encoder/` is missing", "`clip_model/` is missing", "vae/config.json"]
        {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
