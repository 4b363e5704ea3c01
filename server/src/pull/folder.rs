//! The folder of models: complete ones by name, and unfinished downloads under `.partial`.

use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::error::{PullError, at};
use super::paths;
use super::record::PullRecord;
use crate::models::is_model_name;
use crate::user_folder::BaseFolder;

/// The folder of unfinished downloads. No model can have this name.
const STAGING: &str = ".partial";
/// Suffix of the name of a folder that is being deleted.
const REMOVED: &str = ".removed";
/// The most bytes of the text in a lock file.
const SOURCE_BYTES_MAX: u64 = 64 << 10;

/// The folder in which pulled models are kept, one folder each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelsFolder(PathBuf);

/// A model in that folder, pulled or put there by a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PulledModel {
    /// The name by which `--model` finds it.
    pub name: String,
    /// What `--model` opens.
    pub checkpoint: PathBuf,
    /// Where it came from; `None` if a person put it there.
    pub record: Option<PullRecord>,
}

/// The right to change one model of the folder, until it is dropped. The file that is locked says what the unfinished files are
/// from.
#[derive(Debug)]
pub(super) struct ModelLock {
    file: File,
    path: PathBuf,
}

impl ModelLock {
    /// The source of the unfinished files; an empty text if there was no pull yet.
    pub(super) fn source(&self) -> String {
        let mut text = String::new();
        let mut file = &self.file;
        let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(SOURCE_BYTES_MAX).read_to_string(&mut text));
        read.map_or_else(|_| String::new(), |_| text)
    }

    /// Records the source of the files that are written from now on.
    pub(super) fn set_source(&self, text: &str) -> Result<(), PullError> {
        let mut file = &self.file;
        let written =
            file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).and_then(|_| file.write_all(text.as_bytes()));
        written.map_err(at(&self.path))
    }
}

impl ModelsFolder {
    /// The folder at this path, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder that was chosen, or else the one of this user: `$XDG_DATA_HOME/sakuga/models`, or
    /// `~/.local/share/sakuga/models`. `None` if there is no home.
    pub fn chosen(chosen: Option<&Path>, variable: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        if let Some(chosen) = chosen {
            return Some(Self::new(chosen));
        }
        Some(Self(BaseFolder::Data.of_sakuga(variable)?.join("models")))
    }

    /// The folder that has one folder for each pulled model.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a complete model.
    pub(super) fn whole(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The path of a model while it is pulled.
    pub(super) fn staging(&self, name: &str) -> PathBuf {
        self.0.join(STAGING).join(name)
    }

    /// The pulled model of that name; `None` if there is none, or its download is not complete.
    pub fn find(&self, name: &str) -> Option<PulledModel> {
        let folder = self.whole(name);
        if !is_model_name(name) || !fs::symlink_metadata(&folder).is_ok_and(|data| data.is_dir()) {
            return None;
        }
        let record = PullRecord::read(&folder);
        let checkpoint = record.as_ref().map_or_else(|| folder.clone(), |record| record.checkpoint(&folder));
        Some(PulledModel { name: name.to_owned(), checkpoint, record })
    }

    /// All models, by name.
    pub fn models(&self) -> Vec<PulledModel> {
        names(&self.0).into_iter().filter_map(|name| self.find(&name)).collect()
    }

    /// Models that were pulled in part, with the bytes that are there.
    pub fn unfinished(&self) -> Vec<(String, u64)> {
        let staging = self.0.join(STAGING);
        let folders =
            names(&staging).into_iter().filter(|name| staging.join(name).is_dir() && !name.ends_with(REMOVED));
        folders.map(|name| (name.clone(), bytes_of(&staging.join(&name)))).collect()
    }

    /// Those that there are, in words.
    pub fn known(&self) -> String {
        let names: Vec<String> = self.models().into_iter().map(|model| format!("`{}`", model.name)).collect();
        if names.is_empty() { "no pulled models".to_owned() } else { names.join(", ") }
    }

    /// Makes the folder and takes the lock of a name.
    ///
    /// # Errors
    ///
    /// The folder cannot be made, or another process has the lock.
    pub(super) fn lock(&self, name: &str) -> Result<ModelLock, PullError> {
        fs::create_dir_all(&self.0).map_err(at(&self.0))?;
        let staging = self.0.join(STAGING);
        paths::make_folder(&staging)?;
        let path = staging.join(format!("{name}.lock"));
        paths::plain_file_or_nothing(&path)?;
        let file =
            File::options().create(true).read(true).write(true).truncate(false).open(&path).map_err(at(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(ModelLock { file, path }),
            Err(TryLockError::WouldBlock) => Err(PullError::Busy(name.to_owned())),
            Err(TryLockError::Error(error)) => Err(at(&path)(error)),
        }
    }

    /// Makes the folder of a model that is being pulled visible under its name.
    pub(super) fn publish(&self, name: &str, _lock: &ModelLock) -> Result<PathBuf, PullError> {
        let (from, to) = (self.staging(name), self.whole(name));
        if fs::symlink_metadata(&to).is_ok() {
            return Err(PullError::NotPlain(to));
        }
        fs::rename(&from, &to).map_err(at(&to))?;
        // Not every system can sync a folder; the rename then reaches the disk later.
        if let Ok(folder) = File::open(&self.0) {
            let _ = folder.sync_all();
        }
        Ok(to)
    }

    /// Deletes a pulled model and an unfinished download of it. It disappears at once, before its files are deleted.
    ///
    /// # Errors
    ///
    /// There is no model of that name that was pulled, another process is pulling it, or it cannot be deleted.
    pub fn remove(&self, name: &str) -> Result<u64, PullError> {
        let unknown = || PullError::Unknown { name: name.to_owned(), known: self.known() };
        let (whole, staging) = (self.whole(name), self.staging(name));
        if !is_model_name(name) || !(whole.exists() || staging.exists()) {
            return Err(unknown());
        }
        let _lock = self.lock(name)?;
        let mut bytes = 0;
        if fs::symlink_metadata(&whole).is_ok() {
            // Models that a person put there are not deleted.
            let is_pulled = fs::symlink_metadata(&whole).is_ok_and(|data| data.is_dir());
            if !is_pulled || PullRecord::read(&whole).is_none() {
                return Err(PullError::NotPlain(whole));
            }
            let gone = self.0.join(STAGING).join(format!("{name}{REMOVED}"));
            delete(&gone)?;
            fs::rename(&whole, &gone).map_err(at(&whole))?;
            bytes += bytes_of(&gone);
            delete(&gone)?;
        }
        bytes += bytes_of(&staging);
        delete(&staging)?;
        Ok(bytes)
    }
}

/// Deletes a folder with its content, if it is there. Links in it are deleted and not followed.
pub(super) fn delete(folder: &Path) -> Result<(), PullError> {
    match fs::symlink_metadata(folder) {
        Ok(data) if data.is_dir() => fs::remove_dir_all(folder).map_err(at(folder)),
        Ok(_) => Err(PullError::NotPlain(folder.to_owned())),
        Err(_) => Ok(()),
    }
}

/// Names of models among the entries of a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_model_name(name)).collect();
    names.sort();
    names
}

fn bytes_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes_of(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    });
    bytes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_folder_is_below_the_users_data() {
        let home = |name: &str| (name == "HOME").then(|| "/users/me".to_owned());
        let chosen = |chosen, variable: &dyn Fn(&str) -> Option<String>| ModelsFolder::chosen(chosen, variable);
        assert_eq!(chosen(None, &home), Some(ModelsFolder::new("/users/me/.local/share/sakuga/models")));
        let data = |name: &str| Some(if name == "HOME" { "/users/me" } else { "/data" }.to_owned());
        assert_eq!(chosen(None, &data), Some(ModelsFolder::new("/data/sakuga/models")));
        assert_eq!(chosen(Some(Path::new("m")), &data), Some(ModelsFolder::new("m")));
        assert_eq!(chosen(None, &|_| None), None);
    }

    #[test]
    fn one_process_at_a_time_changes_a_model() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let models = ModelsFolder::new(folder.path().join("models"));
        let lock = models.lock("a").expect("free");
        assert!(matches!(models.lock("a"), Err(PullError::Busy(_))));
        models.lock("b").map(drop).expect("another model");
        drop(lock);
        models.lock("a").map(drop).expect("free again");
        assert!(models.models().is_empty() && models.unfinished().is_empty(), "locks are no models");
    }

    #[cfg(unix)]
    #[test]
    fn what_a_person_put_there_is_served_and_not_deleted_and_links_are_neither() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let models = ModelsFolder::new(folder.path());
        fs::create_dir(folder.path().join("mine")).expect("made");
        std::os::unix::fs::symlink(folder.path().join("mine"), folder.path().join("link")).expect("a link");
        assert_eq!(models.find("mine").map(|model| model.checkpoint), Some(folder.path().join("mine")));
        assert_eq!((models.find("link"), models.find("../mine"), models.find(".partial")), (None, None, None));
        for name in ["mine", "link", "../mine", "gone"] {
            assert!(models.remove(name).is_err(), "{name}");
        }
        assert!(folder.path().join("mine").is_dir());
    }
}
