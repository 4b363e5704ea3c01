//! The trained checkpoints in the program: the files of `model/embedded` and `model/embedded-sd-anime` at build time.
//!
//! A build without these folders or without the feature `embedded` has none; callers then use the `synthetic` checkpoint of
//! the family or their own folder. The loader maps files, so a checkpoint is written to disk once; [`digest`] identifies it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sakuga_model_core::EmbeddedModel;
use sha2::{Digest, Sha256};

use crate::digest::hex;

/// The files of [`EmbeddedModel::Chibi`]; `model_index.json` is the last.
static CHIBI: &[EmbeddedFile] = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
/// The files of [`EmbeddedModel::SdAnime`]; `model_index.json` is the last.
static SD_ANIME: &[EmbeddedFile] = include!(concat!(env!("OUT_DIR"), "/embedded-sd-anime.rs"));

/// One file of the checkpoint.
#[derive(Clone, Copy)]
struct EmbeddedFile {
    /// Its path in the folder, with `/` between names.
    path: &'static str,
    bytes: &'static [u8],
}

/// A file of the checkpoint could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}; check the free space and the permissions", .path.display())]
pub struct EmbeddedError {
    /// The file or folder.
    pub path: PathBuf,
    /// The system's error.
    pub source: io::Error,
}

/// Whether this build has the checkpoint of this model.
pub fn is_present(model: EmbeddedModel) -> bool {
    !files(model).is_empty()
}

/// SHA-256 over paths, lengths and contents of all files, in lower-case hexadecimal.
pub fn digest(model: EmbeddedModel) -> String {
    digest_of(files(model))
}

/// Writes the checkpoint into the folder `dir`, which is created if it does not exist, in the layout that
/// [`families::load`](crate::families::load) reads. `model_index.json` is written last.
///
/// # Errors
///
/// The first file that cannot be written.
pub fn write(model: EmbeddedModel, dir: &Path) -> Result<(), EmbeddedError> {
    write_files(dir, files(model))
}

fn files(model: EmbeddedModel) -> &'static [EmbeddedFile] {
    match model {
        EmbeddedModel::Chibi => CHIBI,
        EmbeddedModel::SdAnime => SD_ANIME,
    }
}

fn digest_of(files: &[EmbeddedFile]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        for part in [file.path.as_bytes(), file.bytes] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hex(hash)
}

fn write_files(dir: &Path, files: &[EmbeddedFile]) -> Result<(), EmbeddedError> {
    for file in files {
        let path = dir.join(file.path);
        let parent = path.parent().unwrap_or(dir);
        fs::create_dir_all(parent).map_err(|source| EmbeddedError { path: parent.to_owned(), source })?;
        fs::write(&path, file.bytes).map_err(|source| EmbeddedError { path, source })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: [EmbeddedFile; 2] = [
        EmbeddedFile { path: "vae/config.json", bytes: b"{}" },
        EmbeddedFile { path: "model_index.json", bytes: b"[]" },
    ];

    #[test]
    fn files_come_back_where_they_were() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        write_files(dir.path(), &TWO).expect("writable");
        assert_eq!(fs::read(dir.path().join("vae/config.json")).expect("written"), b"{}");
        assert_eq!(fs::read(dir.path().join("model_index.json")).expect("written"), b"[]");
        let error = write_files(&dir.path().join("model_index.json"), &TWO).expect_err("a file is not a folder");
        assert!(error.to_string().contains("check the free space"), "{error}");
    }

    #[test]
    fn every_byte_and_every_name_is_in_the_digest() {
        let changed = [
            [EmbeddedFile { path: "vae/config.json", bytes: b"{ }" }, TWO[1]],
            [EmbeddedFile { path: "vae/config.jso", bytes: b"n{}" }, TWO[1]],
            [TWO[1], TWO[0]],
        ];
        assert_eq!(digest_of(&TWO).len(), 64);
        for other in &changed {
            assert_ne!(digest_of(other), digest_of(&TWO));
        }
    }

    #[test]
    fn what_is_embedded_is_a_whole_checkpoint() {
        let chibi = ["transformer", "text_encoder", "clip_model", "vae"];
        let sd_anime = ["unet", "text_encoder", "text_encoder_2", "vae"];
        for (model, parts) in [(EmbeddedModel::Chibi, chibi), (EmbeddedModel::SdAnime, sd_anime)] {
            let Some(last) = files(model).last() else { continue };
            assert_eq!(last.path, "model_index.json");
            for part in parts {
                assert!(files(model).iter().any(|file| file.path == format!("{part}/config.json")), "{part}");
            }
        }
    }
}
