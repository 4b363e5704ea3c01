//! The folder of results: the settings, one line per picture, and some of the pictures.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::EvalError;
use crate::record::{Key, Record};

/// The settings that all results of a folder have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The model, as the server lists it.
    pub model: String,
    /// The model's fingerprint, as the server lists it.
    pub fingerprint: String,
    /// The model's notice for users, from the server; often empty.
    pub notice: String,
    /// Where scenes and noise start.
    pub seed: u64,
    /// Pictures of one request, all of the same scene.
    pub images_per_request: u32,
    /// The options that say how to sample, as on the command line; empty for the server's defaults.
    pub sampling_options: String,
}

/// One run of the command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// When it began, in UTC.
    pub began: String,
    /// When it had measured everything; absent if it was interrupted.
    pub ended: Option<String>,
    /// The server's device.
    pub device: String,
    /// How the server computes tensors.
    pub precision: String,
    /// The server's engine and version.
    pub server: String,
}

/// The settings and runs after the results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// The settings that all results have in common.
    pub settings: Settings,
    /// Pictures of each case in each form that were requested last.
    pub images_per_case: u64,
    /// Each run of the command.
    pub sessions: Vec<Session>,
}

/// A folder of results.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    info: RunInfo,
    records: BTreeMap<Key, Record>,
    lines: File,
}

const INFO: &str = "run.json";
const LINES: &str = "results.jsonl";
const PICTURES: &str = "pictures";

impl Store {
    /// Opens a folder to add results to, or makes it, and notes that a session begins.
    ///
    /// # Errors
    ///
    /// [`EvalError::OtherRun`] if what is there was measured with other settings; [`EvalError::File`] and
    /// [`EvalError::Content`].
    pub fn open(folder: &Path, settings: Settings, images_per_case: u64, session: Session) -> Result<Self, EvalError> {
        let pictures = folder.join(PICTURES);
        fs::create_dir_all(&pictures).map_err(EvalError::file(&pictures))?;
        let mut info = match read_info(folder)? {
            Some(info) => info,
            None => RunInfo { settings: settings.clone(), images_per_case, sessions: Vec::new() },
        };
        same("the model", &info.settings.model, &settings.model)?;
        same("the fingerprint", &info.settings.fingerprint, &settings.fingerprint)?;
        same("--seed", &info.settings.seed, &settings.seed)?;
        same("--batch", &info.settings.images_per_request, &settings.images_per_request)?;
        same("the sampling options", &info.settings.sampling_options, &settings.sampling_options)?;
        info.images_per_case = images_per_case;
        info.sessions.push(session);
        let path = folder.join(LINES);
        let (records, whole_bytes) = read_records(&path)?;
        let lines = OpenOptions::new().create(true).append(true).open(&path).map_err(EvalError::file(&path))?;
        // The last line of a run that was interrupted may be half written.
        lines.set_len(whole_bytes).map_err(EvalError::file(&path))?;
        let store = Self { folder: folder.to_owned(), info, records, lines };
        store.write_info()?;
        Ok(store)
    }

    /// Whether a picture has been measured.
    #[must_use]
    pub fn has(&self, key: &Key) -> bool {
        self.records.contains_key(key)
    }

    /// Adds a picture's line, on the disk as well.
    ///
    /// # Errors
    ///
    /// [`EvalError::File`].
    pub fn add(&mut self, record: Record) -> Result<(), EvalError> {
        let path = self.folder.join(LINES);
        let line = serde_json::to_string(&record).map_err(|error| EvalError::Content {
            path: path.clone(),
            line: 0,
            reason: error.to_string(),
        })?;
        self.lines.write_all(format!("{line}\n").as_bytes()).map_err(EvalError::file(&path))?;
        self.records.insert(record.key, record);
        Ok(())
    }

    /// Keeps a picture for the contact sheets.
    ///
    /// # Errors
    ///
    /// [`EvalError::File`].
    pub fn keep_picture(&self, key: &Key, png: &[u8]) -> Result<(), EvalError> {
        let path = picture_path(&self.folder, key);
        fs::write(&path, png).map_err(EvalError::file(&path))
    }

    /// Notes that everything has been measured.
    ///
    /// # Errors
    ///
    /// [`EvalError::File`].
    pub fn finish(&mut self, ended: String) -> Result<(), EvalError> {
        if let Some(session) = self.info.sessions.last_mut() {
            session.ended = Some(ended);
        }
        self.write_info()
    }

    fn write_info(&self) -> Result<(), EvalError> {
        let path = self.folder.join(INFO);
        let mut text = serde_json::to_string_pretty(&self.info).map_err(|error| EvalError::Content {
            path: path.clone(),
            line: 0,
            reason: error.to_string(),
        })?;
        text.push('\n');
        fs::write(&path, text).map_err(EvalError::file(&path))
    }
}

/// The contents of a folder, for the report.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    /// Its settings and runs.
    pub info: RunInfo,
    /// One record per picture, in the order of their keys.
    pub records: Vec<Record>,
}

impl Results {
    /// Reads a folder that [`Store`] has written.
    ///
    /// # Errors
    ///
    /// [`EvalError::NoResults`], [`EvalError::File`] and [`EvalError::Content`].
    pub fn read(folder: &Path) -> Result<Self, EvalError> {
        let info = read_info(folder)?.ok_or_else(|| EvalError::NoResults(folder.to_owned()))?;
        let (records, _) = read_records(&folder.join(LINES))?;
        if records.is_empty() {
            return Err(EvalError::NoResults(folder.to_owned()));
        }
        Ok(Self { info, records: records.into_values().collect() })
    }
}

/// Where a picture is kept.
#[must_use]
pub fn picture_path(folder: &Path, key: &Key) -> PathBuf {
    let name = format!("{}-{}-{:04}-{}.png", key.case.name(), key.form.name(), key.scene, key.image);
    folder.join(PICTURES).join(name)
}

fn same<T: PartialEq + ToString>(what: &'static str, there: &T, here: &T) -> Result<(), EvalError> {
    if there == here {
        return Ok(());
    }
    Err(EvalError::OtherRun { what, there: named(there), here: named(here) })
}

fn named(value: &impl ToString) -> String {
    format!("`{}`", value.to_string())
}

fn read_info(folder: &Path) -> Result<Option<RunInfo>, EvalError> {
    let path = folder.join(INFO);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        read => read.map_err(EvalError::file(&path))?,
    };
    match serde_json::from_str(&text) {
        Ok(info) => Ok(Some(info)),
        Err(error) => Err(EvalError::Content { path, line: error.line(), reason: error.to_string() }),
    }
}

/// The records of a file that may not exist yet, and the length of its whole lines in bytes.
fn read_records(path: &Path) -> Result<(BTreeMap<Key, Record>, u64), EvalError> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        read => read.map_err(EvalError::file(path))?,
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    let mut records = BTreeMap::new();
    for (index, line) in whole.lines().enumerate() {
        let record: Record = serde_json::from_str(line).map_err(|error| EvalError::Content {
            path: path.to_owned(),
            line: index + 1,
            reason: error.to_string(),
        })?;
        records.insert(record.key, record);
    }
    Ok((records, whole.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Case;
    use crate::form::Form;
    use tempfile::TempDir;

    fn settings() -> Settings {
        Settings {
            model: "m".to_owned(),
            fingerprint: "f".to_owned(),
            notice: String::new(),
            seed: 1,
            images_per_request: 1,
            sampling_options: "--steps 20".to_owned(),
        }
    }

    fn session(device: &str) -> Session {
        Session {
            began: "2026-01-01T00:00:00Z".to_owned(),
            ended: None,
            device: device.to_owned(),
            precision: "f32".to_owned(),
            server: "burn 0.1.0".to_owned(),
        }
    }

    fn record(scene: u64) -> Record {
        Record {
            key: Key { case: Case::One, scene, image: 0, form: Form::Xml },
            seed: scene,
            sampling: String::new(),
            pixels_sha256: String::new(),
            figures: Vec::new(),
            picture: Vec::new(),
        }
    }

    fn open(folder: &TempDir, device: &str) -> Result<Store, EvalError> {
        Store::open(folder.path(), settings(), 2, session(device))
    }

    #[test]
    fn what_was_measured_is_there_when_it_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(&folder, "cpu").unwrap();
        store.add(record(0)).unwrap();
        drop(store);
        let mut store = open(&folder, "cuda:0").unwrap();
        assert!(store.has(&record(0).key) && !store.has(&record(1).key));
        store.add(record(1)).unwrap();
        store.finish("2026-01-02T00:00:00Z".to_owned()).unwrap();
        let results = Results::read(folder.path()).unwrap();
        assert_eq!(results.records, [record(0), record(1)]);
        let devices: Vec<_> = results.info.sessions.iter().map(|session| session.device.as_str()).collect();
        assert_eq!(devices, ["cpu", "cuda:0"]);
        let ends: Vec<_> = results.info.sessions.iter().map(|session| session.ended.is_some()).collect();
        assert_eq!(ends, [false, true]);
    }

    #[test]
    fn half_a_line_is_measured_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(&folder, "cpu").unwrap();
        store.add(record(0)).unwrap();
        store.lines.write_all(br#"{"case":"one","sce"#).unwrap();
        drop(store);
        let mut store = open(&folder, "cpu").unwrap();
        assert!(store.has(&record(0).key));
        store.add(record(1)).unwrap();
        assert_eq!(Results::read(folder.path()).unwrap().records, [record(0), record(1)]);
    }

    #[test]
    fn a_broken_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(&folder, "cpu").unwrap();
        store.add(record(0)).unwrap();
        store.lines.write_all(b"{}\n").unwrap();
        let error = open(&folder, "cpu").unwrap_err().to_string();
        assert!(error.contains("results.jsonl:2: missing field"), "{error}");
    }

    #[test]
    fn other_settings_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(&folder, "cpu").unwrap());
        type Change = (&'static str, fn(&mut Settings));
        let changes: [Change; 5] = [
            ("the model `m`, not `other`", |settings| settings.model = "other".to_owned()),
            ("the fingerprint `f`, not `g`", |settings| settings.fingerprint = "g".to_owned()),
            ("--seed `1`, not `2`", |settings| settings.seed = 2),
            ("--batch `1`, not `4`", |settings| settings.images_per_request = 4),
            ("the sampling options `--steps 20`, not ``", |settings| settings.sampling_options.clear()),
        ];
        for (what, change) in changes {
            let mut other = settings();
            change(&mut other);
            let error = Store::open(folder.path(), other, 2, session("cpu")).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        // More pictures of the same are welcome.
        assert!(Store::open(folder.path(), settings(), 500, session("cpu")).is_ok());
    }

    #[test]
    fn an_empty_folder_has_nothing_to_report() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Results::read(folder.path()), Err(EvalError::NoResults(_))));
        drop(open(&folder, "cpu").unwrap());
        assert!(matches!(Results::read(folder.path()), Err(EvalError::NoResults(_))));
    }
}
