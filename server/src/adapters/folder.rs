//! [`FolderWatch`]: the files of a folder, read when they are new and complete.
//!
//! A file that is being written is not listed: its length and modification time have to be the same in two scans, and its header
//! has to agree with its length. For files that are there in the first scan only the latter is checked.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::inspect::{Descriptions, Inspectors, inspect};
use super::listing::{ListedAdapter, Listing, UnusableFile};

/// The extension of an adapter's file.
const EXTENSION: &str = "safetensors";
/// The weights and the configuration of a PEFT folder.
const PEFT_FILES: [&str; 2] = ["adapter_model.safetensors", "adapter_config.json"];
/// Adapters that are listed at most.
const ADAPTERS_MAX: usize = 1024;

/// Logs a warning if the folder cannot be read. No adapter is offered until it can be read.
pub(crate) fn warn_if_unreadable(folder: &Path) {
    if let Err(error) = fs::read_dir(folder) {
        warn_unreadable(folder, &error);
    }
}

fn warn_unreadable(folder: &Path, error: &std::io::Error) {
    tracing::warn!(folder = %folder.display(), %error, "the folder of adapters cannot be read");
}

/// A folder, and what is known of each adapter in it.
pub(super) struct FolderWatch {
    folder: PathBuf,
    inspectors: Inspectors,
    known: BTreeMap<PathBuf, Known>,
    /// Whether the folder was scanned before.
    is_started: bool,
    /// Whether the folder could be read in the last scan.
    is_readable: bool,
}

/// Length and modification time of the files of an adapter.
type Stamp = Vec<(u64, Option<SystemTime>)>;

struct Known {
    stamp: Stamp,
    state: State,
}

enum State {
    /// It is new or has changed; it is read if it is the same in the next scan.
    Fresh,
    /// What its headers describe, or why it cannot be used.
    Read(Result<Descriptions, String>),
}

impl FolderWatch {
    pub(super) fn new(folder: PathBuf, inspectors: Inspectors) -> Self {
        Self { folder, inspectors, known: BTreeMap::new(), is_started: false, is_readable: true }
    }

    /// Scans the folder and reads what is new; returns the listing if it has changed.
    pub(super) fn scan(&mut self) -> Option<Listing> {
        let found = match stamps(&self.folder) {
            Ok(found) => {
                self.is_readable = true;
                found
            }
            Err(error) => {
                if self.is_readable {
                    warn_unreadable(&self.folder, &error);
                }
                self.is_readable = false;
                BTreeMap::new()
            }
        };
        let count = self.known.len();
        self.known.retain(|path, _| found.contains_key(path));
        let mut is_changed = self.known.len() != count || !self.is_started;
        for (path, stamp) in found {
            let before = self.known.remove(&path).filter(|known| known.stamp == stamp);
            let state = match before.map(|known| known.state) {
                Some(State::Read(read)) => State::Read(read),
                // A file that was there before is not shown any more while it changes.
                None if self.is_started => {
                    is_changed = true;
                    State::Fresh
                }
                Some(State::Fresh) | None => {
                    is_changed = true;
                    State::Read(self.inspect(&path))
                }
            };
            self.known.insert(path, Known { stamp, state });
        }
        self.is_started = true;
        is_changed.then(|| self.listing())
    }

    /// Describes the file for each model.
    fn inspect(&self, path: &Path) -> Result<Descriptions, String> {
        let inspected = inspect(&self.inspectors, path);
        match &inspected {
            Ok(_) => tracing::info!(adapter = name(path), "adapter found"),
            Err(error) => {
                tracing::warn!(adapter = name(path), error, "a file in the folder of adapters cannot be used");
            }
        }
        inspected
    }

    fn listing(&self) -> Listing {
        let mut listing = Listing::default();
        for (path, known) in &self.known {
            let (name, path) = (name(path), path.clone());
            match &known.state {
                State::Fresh => {}
                State::Read(Err(reason)) => listing.unusable.push(UnusableFile { name, reason: reason.clone() }),
                State::Read(Ok(_)) if listing.adapters.iter().any(|adapter| adapter.name == name) => {
                    let reason = "another adapter in the folder has the same name; rename one of them".to_owned();
                    listing.unusable.push(UnusableFile { name, reason });
                }
                State::Read(Ok(descriptions)) => {
                    listing.adapters.push(ListedAdapter { name, path, descriptions: descriptions.clone() });
                }
            }
        }
        listing.adapters.sort_by(|one, other| one.name.cmp(&other.name));
        listing.unusable.sort_by(|one, other| one.name.cmp(&other.name));
        listing
    }
}

/// The name of an adapter: of its file without the extension, or of its folder.
fn name(path: &Path) -> String {
    let is_file = path.extension() == Some(OsStr::new(EXTENSION));
    let name = if is_file { path.file_stem() } else { path.file_name() };
    name.unwrap_or_default().to_string_lossy().into_owned()
}

/// The adapters in a folder, each with its stamp.
fn stamps(folder: &Path) -> std::io::Result<BTreeMap<PathBuf, Stamp>> {
    let entries = fs::read_dir(folder)?.flatten();
    Ok(entries.filter_map(|entry| stamp(entry.path())).take(ADAPTERS_MAX).collect())
}

/// The stamp of an adapter's files; `None`: the path is not an adapter.
fn stamp(path: PathBuf) -> Option<(PathBuf, Stamp)> {
    let of = |path: &Path| {
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some((metadata.len(), metadata.modified().ok()))
    };
    // A name is text of one line: it stands in requests, tables and pictures.
    let is_hidden =
        path.file_name()?.to_str().is_none_or(|name| name.starts_with('.') || name.contains(char::is_control));
    let stamp = match path.extension() == Some(OsStr::new(EXTENSION)) {
        true => vec![of(&path)?],
        false => {
            let [weights, config] = PEFT_FILES.map(|file| of(&path.join(file)));
            std::iter::once(weights?).chain(config).collect()
        }
    };
    (!is_hidden).then_some((path, stamp))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sakuga_model_core::{AdapterDescription, AdapterInspector, EngineError};

    use super::*;

    /// Takes files that begin with `good`.
    struct Prefix;

    impl AdapterInspector for Prefix {
        fn inspect(&self, path: &Path) -> Result<AdapterDescription, EngineError> {
            let file = if path.is_dir() { path.join(PEFT_FILES[0]) } else { path.to_owned() };
            let text = fs::read_to_string(file).map_err(|error| EngineError::Model(error.to_string()))?;
            let description = AdapterDescription { sha256: text.clone(), ..AdapterDescription::default() };
            text.starts_with("good").then_some(description).ok_or_else(|| EngineError::Model("it is cut off".into()))
        }
    }

    fn names(listing: &Listing) -> (Vec<(&str, &str)>, Vec<&str>) {
        let listed = listing.adapters.iter().map(|adapter| (adapter.name.as_str(), adapter.sha256()));
        (listed.collect(), listing.unusable.iter().map(|file| file.name.as_str()).collect())
    }

    #[test]
    fn files_are_listed_when_they_are_complete_and_no_longer_change() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("writable");
        write("old.safetensors", "good 1");
        write("readme.txt", "good");
        write(".hidden.safetensors", "good");
        fs::create_dir(folder.path().join("peft")).expect("writable");
        write("peft/adapter_model.safetensors", "good 2");
        fs::create_dir(folder.path().join("other")).expect("writable");
        let mut watch = FolderWatch::new(folder.path().to_owned(), vec![Some(Arc::new(Prefix)), None]);
        let listing = watch.scan().expect("the first scan");
        assert_eq!(names(&listing), (vec![("old", "good 1"), ("peft", "good 2")], vec![]));
        assert!(listing.adapters[0].description(crate::models::ModelId::DEFAULT).is_some());
        assert!(watch.scan().is_none(), "nothing has changed");
        // A file that grows is read once it no longer changes.
        for text in ["go", "goo", "good 3, long"] {
            write("new.safetensors", text);
            let listing = watch.scan().expect("changed");
            assert_eq!(names(&listing), (vec![("old", "good 1"), ("peft", "good 2")], vec![]), "{text}");
        }
        let listing = watch.scan().expect("it no longer changes");
        assert_eq!(names(&listing).0[0], ("new", "good 3, long"));
        // A file that is overwritten is not offered under its old content.
        write("old.safetensors", "bad, and longer");
        assert!(!names(&watch.scan().expect("changed")).0.iter().any(|(name, _)| *name == "old"));
        assert_eq!(names(&watch.scan().expect("it no longer changes")).1, ["old"]);
        fs::remove_dir_all(folder.path().join("peft")).expect("removable");
        assert_eq!(names(&watch.scan().expect("changed")), (vec![("new", "good 3, long")], vec!["old"]));
    }

    #[test]
    fn names_are_unique_and_a_missing_folder_is_empty() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("a.safetensors"), "good").expect("writable");
        fs::create_dir(folder.path().join("a")).expect("writable");
        fs::write(folder.path().join("a/adapter_model.safetensors"), "good").expect("writable");
        let inspectors = || -> Inspectors { vec![Some(Arc::new(Prefix))] };
        let listing = FolderWatch::new(folder.path().to_owned(), inspectors()).scan().expect("the first scan");
        assert_eq!((listing.adapters.len(), listing.unusable.len()), (1, 1));
        let gone = folder.path().join("gone");
        let listing = FolderWatch::new(gone, inspectors()).scan().expect("the first scan");
        assert_eq!(names(&listing), (vec![], vec![]));
        let none = FolderWatch::new(folder.path().to_owned(), vec![None]).scan().expect("the first scan");
        assert!(none.unusable[0].reason.contains("takes adapters"));
    }
}
