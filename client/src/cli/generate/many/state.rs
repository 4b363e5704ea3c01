//! [`State`]: what a folder of pictures already has, so that the same command continues where it was stopped.
//!
//! The file `sakuga-jobs.jsonl` in the folder has a line for the seed of the command and one for each request whose
//! pictures are written: the SHA-256 of the request, and name and SHA-256 of its files. An incomplete line is ignored.
//! If an argument or a prompt changes the request, its pictures are drawn again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use prost::Message as _;
use sakuga_client::proto::digest::sha256_hex;
use sakuga_client::proto::generation::v1::GenerateRequest;
use serde::{Deserialize, Serialize};

use crate::cli::failure::Failure;
use crate::cli::input;

/// The name of the file.
const NAME: &str = "sakuga-jobs.jsonl";
/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 64 << 20;
/// The largest picture that is compared, in bytes.
const MAX_PICTURE_BYTES: u64 = 1 << 30;

/// A line of the file.
#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum Line {
    Seed { seed: u64 },
    Done { request: String, files: Vec<Written> },
}

/// A picture that was written.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Written {
    /// Its name in the folder.
    pub file: String,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// What a folder already has.
pub(crate) struct State {
    folder: PathBuf,
    file: File,
    seed: Option<u64>,
    done: BTreeMap<String, Vec<Written>>,
}

impl State {
    /// Reads the file of a folder, or begins one.
    pub(crate) fn open(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(NAME);
        let text = match std::fs::symlink_metadata(&path) {
            Ok(metadata) if !metadata.is_file() => return Err(Failure::unwritable(&path, "it is not a regular file")),
            Ok(_) => input::read_file(&path, MAX_BYTES)?,
            Err(_) => Vec::new(),
        };
        let mut file =
            File::options().append(true).create(true).open(&path).map_err(|error| Failure::unwritable(&path, error))?;
        // The rest of a line that was cut off ends here.
        if text.last().is_some_and(|last| *last != b'\n') {
            file.write_all(b"\n").map_err(|error| Failure::unwritable(&path, error))?;
        }
        let mut state = Self { folder: folder.to_owned(), file, seed: None, done: BTreeMap::new() };
        for line in String::from_utf8_lossy(&text).lines() {
            match serde_json::from_str(line) {
                Ok(Line::Seed { seed }) => state.seed = Some(seed),
                Ok(Line::Done { request, files }) => _ = state.done.insert(request, files),
                Err(_) => {}
            }
        }
        Ok(state)
    }

    /// The seed of the command: `given`, or else that of the last time, or else a new one.
    pub(crate) fn seed(&mut self, given: Option<u64>, random: impl FnOnce() -> u64) -> Result<u64, Failure> {
        let seed = given.or(self.seed).unwrap_or_else(random);
        if self.seed != Some(seed) {
            self.write(&Line::Seed { seed })?;
            self.seed = Some(seed);
        }
        Ok(seed)
    }

    /// The pictures of a request, if all of them are there as they were written.
    pub(crate) fn written(&self, key: &str) -> Option<&[Written]> {
        let files = self.done.get(key)?;
        let is_whole = |written: &Written| {
            let is_plain = Path::new(&written.file).file_name().is_some_and(|name| name == written.file.as_str());
            let bytes = input::read_file(&self.folder.join(&written.file), MAX_PICTURE_BYTES);
            is_plain && bytes.is_ok_and(|bytes| sha256_hex(&bytes) == written.sha256)
        };
        files.iter().all(is_whole).then_some(files)
    }

    /// Records that the pictures of a request are written.
    pub(crate) fn done(&mut self, key: String, files: Vec<Written>) -> Result<(), Failure> {
        self.write(&Line::Done { request: key.clone(), files: files.clone() })?;
        self.done.insert(key, files);
        Ok(())
    }

    fn write(&mut self, line: &Line) -> Result<(), Failure> {
        let path = self.folder.join(NAME);
        let text = serde_json::to_string(line).map_err(|error| Failure::unwritable(&path, error))?;
        self.file.write_all((text + "\n").as_bytes()).map_err(|error| Failure::unwritable(&path, error))
    }
}

/// The key of a request and the name of its pictures.
pub(crate) fn key(request: &GenerateRequest, name: &str) -> String {
    let mut bytes = request.encode_to_vec();
    bytes.extend_from_slice(b"\0");
    bytes.extend_from_slice(name.as_bytes());
    sha256_hex(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_known_the_next_time_unless_it_changed() {
        let folder = tempfile::tempdir().unwrap();
        let request = GenerateRequest { images: 2, ..GenerateRequest::default() };
        let key = key(&request, "a");
        assert_ne!(key, self::key(&request, "b"));
        assert_ne!(key, self::key(&GenerateRequest { images: 3, ..request }, "a"));
        let files = vec![Written { file: "a.png".to_owned(), sha256: sha256_hex(b"png") }];
        std::fs::write(folder.path().join("a.png"), b"png").unwrap();
        let mut state = State::open(folder.path()).unwrap();
        assert_eq!(state.written(&key), None);
        assert_eq!(state.seed(None, || 7).unwrap(), 7);
        state.done(key.clone(), files.clone()).unwrap();
        drop(state);
        // A line that was cut off, and one of another program.
        let path = folder.path().join(NAME);
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("hello\n{\"request\":\"");
        std::fs::write(&path, text).unwrap();
        let mut state = State::open(folder.path()).unwrap();
        assert_eq!(state.seed(None, || 8).unwrap(), 7);
        assert_eq!(state.seed(Some(9), || 8).unwrap(), 9);
        assert_eq!(state.written(&key), Some(&files[..]));
        let outside = vec![Written { file: "../a.png".to_owned(), sha256: sha256_hex(b"png") }];
        state.done("other".to_owned(), outside).unwrap();
        assert_eq!(state.written("other"), None);
        std::fs::write(folder.path().join("a.png"), b"other").unwrap();
        let mut state = State::open(folder.path()).unwrap();
        assert_eq!(state.written(&key), None);
        assert_eq!(state.seed(None, || 8).unwrap(), 9);
    }
}
