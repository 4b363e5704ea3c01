//! Where a server keeps its jobs, from its configuration.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sakuga_proto::text::count;

use super::artifacts::ObjectArtifacts;
use super::redb::{Backing, RedbStore, damage_note, has_right_checksums, noted_damage};
use super::{ArtifactStore, DamagedValue, JobStore, StoreError, ValueOwner};
use crate::job_id::JobId;
use crate::user_folder::BaseFolder;

/// Jobs and events, and pictures.
pub(crate) type Stores = (Arc<dyn JobStore>, Arc<dyn ArtifactStore>);

/// Where jobs are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DataPlace {
    /// In memory: they end with the server.
    #[default]
    Memory,
    /// In a folder, whose jobs outlast the server.
    Folder(PathBuf),
}

impl DataPlace {
    /// The default place. A fixed port has its own folder in the user's data directory. A port that the system chooses
    /// changes with each start, so its jobs are kept in memory.
    pub fn of_port(port: u16, variable: impl Fn(&str) -> Option<String>) -> Self {
        match BaseFolder::State.of_sakuga(&variable) {
            Some(state) if port != 0 => Self::Folder(state.join(port.to_string())),
            _ => Self::Memory,
        }
    }

    /// Opens it, with pictures at `artifacts` if that is set, and reads everything that is stored once. Damaged values are
    /// logged and left out.
    ///
    /// # Errors
    ///
    /// `OpenError` names the folder and what to do.
    pub fn open(&self, artifacts: Option<&str>) -> Result<Stores, OpenError> {
        let failed = |error: StoreError| OpenError { place: self.clone(), error };
        let elsewhere = artifacts.map(artifacts_at).transpose().map_err(failed)?;
        let (jobs, pictures): (Arc<dyn JobStore>, ObjectArtifacts) = match self {
            Self::Memory => (Arc::new(RedbStore::in_memory().map_err(failed)?), ObjectArtifacts::in_memory()),
            Self::Folder(folder) => {
                make_private(folder).map_err(|error| failed(StoreError::from_io(&error)))?;
                let pictures = pictures(folder);
                lost_database(&database(folder), &pictures, &assets(folder)).map_err(failed)?;
                let (jobs, damaged) = open_database(folder).map_err(failed)?;
                for DamagedValue { owner, error } in damaged {
                    let (file, folder) = (jobs.location(), folder.display());
                    // A damaged asset is named where the assets are opened.
                    let ValueOwner::Job(job) = owner else { continue };
                    tracing::error!(
                        file, job_id = job, %error,
                        "a stored value is damaged and is set aside; restore the folder from a backup, or remove what is \
                         damaged with `sakuga-server store repair --data-dir {folder}`"
                    );
                }
                let pictures = ObjectArtifacts::in_folder(&pictures).map_err(failed)?;
                pictures.remove_unfinished();
                (Arc::new(jobs), pictures)
            }
        };
        Ok((jobs, Arc::new(elsewhere.unwrap_or(pictures))))
    }
}

impl fmt::Display for DataPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => formatter.write_str("memory"),
            Self::Folder(folder) => write!(formatter, "the data folder {}", folder.display()),
        }
    }
}

/// What a start would refuse about a data folder that exists, which is not changed. A folder that a server uses has no problem.
pub(crate) fn problem(folder: &Path) -> Option<String> {
    let error = look(folder).err()?;
    Some(format!("--data-dir: {}", OpenError { place: DataPlace::Folder(folder.to_owned()), error }))
}

fn look(folder: &Path) -> Result<(), StoreError> {
    for part in [pictures(folder), assets(folder)] {
        if part.exists() && !part.is_dir() {
            return Err(StoreError::Io(format!("{} is not a folder; move it away", part.display())));
        }
    }
    lost_database(&database(folder), &pictures(folder), &assets(folder))?;
    let path = database(folder);
    if !path.exists() {
        return Ok(());
    }
    let store = match RedbStore::open(Backing::ReadOnly(path.clone())) {
        Err(StoreError::InUse) => return Ok(()),
        opened => opened?,
    };
    let damaged = store.verify()?;
    drop(store);
    refuse_damage(&path, has_right_checksums(&path)?, &damaged)?;
    let writable = std::fs::File::options().read(true).write(true).open(&path);
    writable.map(drop).map_err(|error| StoreError::Io(format!("cannot write {}: {error}", path.display())))
}

/// Refuses a database whose page checksums are wrong, unless damaged values explain that, or whose damage was noted before.
fn refuse_damage(path: &Path, is_sound: bool, damaged: &[DamagedValue]) -> Result<(), StoreError> {
    let noted = noted_damage(path);
    if is_sound || (!damaged.is_empty() && noted.is_none()) {
        return Ok(());
    }
    let wrong = || format!("{}: the checksums of its pages are wrong", path.display());
    Err(StoreError::Corrupt(noted.unwrap_or_else(wrong)))
}

/// The file of jobs and events in a data folder.
pub(crate) fn database(folder: &Path) -> PathBuf {
    folder.join("jobs.redb")
}

/// The folder of pictures in a data folder.
pub(crate) fn pictures(folder: &Path) -> PathBuf {
    folder.join("pictures")
}

/// The folder of assets in a data folder.
pub(crate) fn assets(folder: &Path) -> PathBuf {
    folder.join("assets")
}

/// Opens the database of a folder, or makes an empty one, after reading all of it once. Returns the values that are damaged.
///
/// # Errors
///
/// [`StoreError::Corrupt`] if more may be damaged than these values.
pub(crate) fn open_database(folder: &Path) -> Result<(RedbStore, Vec<DamagedValue>), StoreError> {
    let path = database(folder);
    let is_new = !path.exists();
    let is_sound = is_new || has_right_checksums(&path)?;
    let store = RedbStore::open(Backing::File(path.clone()))?;
    let damaged = store.verify()?;
    if store.lacks_last_commit() {
        tracing::error!(
            file = %path.display(),
            "the last commit cannot be read, and the state before it is used: nothing acknowledged is lost if the power failed \
             while it was written; otherwise the file is damaged, and the jobs of that commit are drawn again or missing: \
             restore a backup, and before a start run `sakuga-server store repair`"
        );
    }
    refuse_damage(&path, is_sound, &damaged)?;
    let note = damage_note(&path);
    if noted_damage(&path).is_some() {
        tracing::info!(file = %path.display(), "damage was noted, and the file is sound again");
        // It is read again at the next start.
        let _ = std::fs::remove_file(&note);
    }
    Ok((store, damaged))
}

/// Why jobs cannot be kept in a place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place} cannot be used: {error}; {}", .place.remedy(.error))]
pub struct OpenError {
    /// The place that cannot be used.
    pub place: DataPlace,
    /// What is wrong with it.
    pub error: StoreError,
}

impl DataPlace {
    /// What to do about an error of the store in this place.
    pub(crate) fn remedy(&self, error: &StoreError) -> String {
        let Self::Folder(folder) = self else { return "see the log of the server".into() };
        let folder = folder.display();
        match error {
            StoreError::Full(_) => "free space on its disk, or name another folder with --data-dir".into(),
            StoreError::Exhausted(_) => "raise the limits of the process, such as LimitNOFILE of its unit".into(),
            StoreError::Io(_) => {
                "name a folder that this user may write into with --data-dir, or keep jobs in memory with \
                 `--data-dir memory`"
                    .into()
            }
            StoreError::Damaged(_) | StoreError::Corrupt(_) => format!(
                "`sakuga-server store check --data-dir {folder}` lists what is damaged, and `sakuga-server store repair \
                 --data-dir {folder}` keeps every job that can be read; or restore the folder from a backup"
            ),
            StoreError::Newer(_) => "or restore the folder from a backup of this version".into(),
            StoreError::InUse => "two servers never share a folder".into(),
        }
    }
}

/// Finds a database that was deleted or emptied while the pictures of its jobs or the files of its assets are still there:
/// opening it would make an empty store.
fn lost_database(database: &Path, pictures: &Path, assets: &Path) -> Result<(), StoreError> {
    if std::fs::metadata(database).is_ok_and(|file| file.len() > 0) {
        return Ok(());
    }
    let entries_of = |folder: &Path, is_ours: fn(&str) -> bool| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        entries.filter(|entry| entry.file_name().to_str().is_some_and(is_ours)).count()
    };
    let lost = |folder: &Path, what: String| {
        Err(StoreError::Corrupt(format!(
            "{} is missing or empty, and {} has {what}; to begin without them, move that folder away",
            database.display(),
            folder.display()
        )))
    };
    let jobs = entries_of(pictures, |name| JobId::parse(name).is_some());
    if jobs > 0 {
        return lost(pictures, format!("the pictures of {}", count(jobs, "job")));
    }
    let files = entries_of(assets, |name| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if files > 0 {
        return lost(assets, format!("the files of {}", count(files, "asset")));
    }
    Ok(())
}

/// Creates a folder that other users cannot read, because prompts are private.
fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// The store of pictures at a URL.
///
/// # Errors
///
/// [`StoreError`] if the URL is not valid, or the program was built without the feature that it needs.
#[cfg(feature = "s3")]
pub(crate) fn artifacts_at(url: &str) -> Result<ObjectArtifacts, StoreError> {
    ObjectArtifacts::at_url(url)
}

/// The store of pictures at a URL.
///
/// # Errors
///
/// [`StoreError`]: the program was built without the feature that a URL needs.
#[cfg(not(feature = "s3"))]
pub(crate) fn artifacts_at(url: &str) -> Result<ObjectArtifacts, StoreError> {
    Err(StoreError::Io(format!("this program was built without the feature `s3`, which `{url}` needs")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_its_folder_and_a_passing_one_has_none() {
        let home = |name: &str| (name == "HOME").then(|| "/users/me".to_owned());
        let expected = DataPlace::Folder("/users/me/.local/state/sakuga/50051".into());
        assert_eq!(DataPlace::of_port(50051, home), expected);
        assert_eq!(DataPlace::of_port(0, home), DataPlace::Memory);
        assert_eq!(DataPlace::of_port(50051, |_| None), DataPlace::Memory);
        let state = |name: &str| Some(if name == "HOME" { "/users/me" } else { "/state" }.to_owned());
        assert_eq!(DataPlace::of_port(1, state), DataPlace::Folder("/state/sakuga/1".into()));
    }

    #[test]
    fn a_database_that_is_gone_is_not_replaced_by_an_empty_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = DataPlace::Folder(folder.path().into());
        place.open(None).map(drop).expect("a new store");
        let job = pictures(folder.path()).join(JobId::new().as_str());
        std::fs::create_dir(&job).expect("made");
        std::fs::write(job.join("0.png#1"), "half of it").expect("written");
        place.open(None).map(drop).expect("the database is there");
        assert!(!job.join("0.png#1").exists(), "an unfinished file is removed");
        for remove in [true, false] {
            let file = database(folder.path());
            if remove { std::fs::remove_file(&file) } else { std::fs::write(&file, "") }.expect("done");
            let error = place.open(None).map(drop).expect_err("the jobs are lost").to_string();
            for part in [file.to_str().expect("a plain path"), "pictures of 1 job;", "store repair"] {
                assert!(error.contains(part), "{part} is not in {error}");
            }
            // A new store must not forget the files of assets either.
            let elsewhere = tempfile::tempdir().expect("a temporary folder");
            std::fs::rename(pictures(folder.path()), elsewhere.path().join("pictures")).expect("moved");
            std::fs::create_dir_all(assets(folder.path())).expect("made");
            let asset = assets(folder.path()).join("0f".repeat(32));
            std::fs::write(&asset, "x").expect("written");
            let error = place.open(None).map(drop).expect_err("the assets are lost").to_string();
            assert!(error.contains("files of 1 asset;"), "{error}");
            std::fs::remove_file(&asset).expect("removed");
            let _ = std::fs::remove_dir(pictures(folder.path()));
            std::fs::rename(elsewhere.path().join("pictures"), pictures(folder.path())).expect("moved back");
        }
    }

    #[test]
    fn a_place_that_cannot_be_used_is_named_with_what_to_do() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let error = DataPlace::Folder(file.path().join("jobs")).open(None).map(drop).expect_err("below a file");
        let text = error.to_string();
        assert!(text.contains(file.path().to_str().expect("a plain path")) && text.contains("--data-dir"), "{text}");
    }
}
