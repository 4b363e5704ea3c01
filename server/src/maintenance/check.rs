//! `store check`: reads everything that a data folder holds and lists what is damaged.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use sakuga_proto::text::count;

use super::MaintenanceError;
use super::folder::DataFolder;
use crate::assets::{AssetId, AssetRecord};
use crate::jobs::{Record, check_picture};
use crate::store::redb::{damage_note, has_right_checksums, noted_damage};
use crate::store::{JobStore as _, StoreError};

/// Records that are read at once.
const SCAN: usize = 256;

/// Something that is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub file: PathBuf,
    /// The job, if it is known.
    pub job: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: &'static str,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let job = self.job.as_ref().map(|job| format!("job {job}: ")).unwrap_or_default();
        write!(formatter, "{}: {job}{}; {}", self.file.display(), self.what, self.remedy)
    }
}

/// What a folder holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checked {
    /// Jobs whose record can be read.
    pub jobs: usize,
    /// Those of them that have not ended.
    pub open: usize,
    pub events: usize,
    pub pictures: usize,
    pub picture_bytes: u64,
    /// Assets, one for each owner that has it.
    pub assets: usize,
    /// Bytes of the files of assets.
    pub asset_bytes: u64,
    /// What is damaged.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Checked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(formatter, "{problem}")?;
        }
        let Self { jobs, open, events, pictures, picture_bytes, assets, asset_bytes, problems } = self;
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let (jobs, events, pictures) = (count(*jobs, "job"), count(*events, "event"), count(*pictures, "picture"));
        write!(formatter, "{jobs}, {open} of them not ended, {events}, {pictures} of ")?;
        write!(formatter, "{:.1} MiB, {} of ", mebibytes(*picture_bytes), count(*assets, "asset"))?;
        write!(formatter, "{:.1} MiB: ", mebibytes(*asset_bytes))?;
        match problems.len() {
            0 => writeln!(formatter, "nothing is damaged"),
            found => writeln!(formatter, "{}", count(found, "problem")),
        }
    }
}

const REPAIR: &str =
    "restore the folder from a backup, or run `sakuga-server store repair`, which keeps what can be read";
const LOST: &str = "restore the file from a backup, or create the job again";

impl Checked {
    fn add(&mut self, file: PathBuf, job: Option<&str>, what: impl fmt::Display, remedy: &'static str) {
        self.problems.push(Problem { file, job: job.map(str::to_owned), what: what.to_string(), remedy });
    }
}

/// Reads everything that a folder holds, and changes nothing.
///
/// # Errors
///
/// [`MaintenanceError`] if a server uses the folder, or it cannot be read. Damage is a part of the result.
pub(crate) async fn check(folder: &DataFolder) -> Result<Checked, MaintenanceError> {
    let mut checked = Checked::default();
    let database = folder.database();
    if let Some(noted) = noted_damage(&database) {
        checked.add(damage_note(&database), None, format!("the server noted damage: {noted}"), REPAIR);
    }
    if !database.exists() {
        checked.add(
            database,
            None,
            "the file is missing",
            "restore it from a backup; the next start makes an empty one",
        );
        return Ok(checked);
    }
    let store = match folder.read() {
        Ok(store) => store,
        Err(MaintenanceError::Store { error: StoreError::Corrupt(what), .. }) => {
            checked.add(database, None, what, REPAIR);
            return Ok(checked);
        }
        Err(error) => return Err(error),
    };
    if store.lacks_last_commit() {
        checked.add(
            folder.database(),
            None,
            "the last commit cannot be read: the power failed, or the file is damaged",
            REPAIR,
        );
    }
    if let Err(error) = store.verify() {
        checked.add(database, None, error, REPAIR);
        return Ok(checked);
    }
    let mut known = BTreeSet::new();
    let mut before: Option<String> = None;
    loop {
        let scanned = store.jobs(before.as_deref(), SCAN).map_err(|error| folder.failed(error))?;
        let Some((last, _)) = scanned.last() else { break };
        before = Some(last.clone());
        for (job, bytes) in scanned {
            known.insert(job.clone());
            match bytes.and_then(|bytes| Record::of(&job, &bytes)) {
                Ok(mut record) => {
                    checked.jobs += 1;
                    checked.open += usize::from(!record.is_ended());
                    check_events(&mut checked, folder, &store, &job, &mut record)?;
                    check_pictures(&mut checked, folder, &job, &record).await?;
                }
                Err(error) => checked.add(folder.database(), Some(&job), error, REPAIR),
            }
        }
    }
    check_assets(&mut checked, folder, &store)?;
    drop(store);
    let is_sound = has_right_checksums(&folder.database()).map_err(|error| folder.failed(error))?;
    if !is_sound && checked.problems.is_empty() {
        checked.add(folder.database(), None, "the checksums of its pages are wrong", REPAIR);
    }
    for file in folder.pictures.unfinished() {
        checked.add(file, None, "a picture was being written when the server was killed", "the next start removes it");
    }
    for job in folder.pictures.job_folders().into_iter().filter(|job| !known.contains(job)) {
        let file = crate::store::place::pictures(folder.path()).join(&job);
        checked.add(file, None, "no job has these pictures", "move the folder away if you do not need it");
    }
    Ok(checked)
}

fn check_events(
    checked: &mut Checked,
    folder: &DataFolder,
    store: &crate::store::redb::RedbStore,
    job: &str,
    record: &mut Record,
) -> Result<(), MaintenanceError> {
    let (mut events, damaged) = store.undamaged_events(job).map_err(|error| folder.failed(error))?;
    let missing = record.keep_whole(&mut events);
    checked.events += events.len();
    if damaged + missing > 0 {
        let what = format!("{} damaged, or before a gap", count(damaged + missing, "event"));
        checked.add(folder.database(), Some(job), what, REPAIR);
    }
    match store.reserved(job) {
        Ok(_) => {}
        Err(error @ StoreError::Damaged(_)) => checked.add(folder.database(), Some(job), error, REPAIR),
        Err(error) => return Err(folder.failed(error)),
    }
    Ok(())
}

/// Compares the files of assets with their names, and finds files without an owner.
fn check_assets(
    checked: &mut Checked,
    folder: &DataFolder,
    store: &crate::store::redb::RedbStore,
) -> Result<(), MaintenanceError> {
    const UPLOAD: &str = "restore the file from a backup, or upload it again";
    let mut known = BTreeSet::new();
    for (key, bytes) in store.assets().map_err(|error| folder.failed(error))? {
        let id = AssetId::of_key(&key);
        let is_new = id.is_some_and(|id| known.insert(id));
        match bytes.and_then(|bytes| AssetRecord::of(&key, &bytes)) {
            Ok(record) => {
                checked.assets += 1;
                if !is_new {
                    continue;
                }
                let path = folder.assets.path(record.id()).map_err(|error| folder.failed(error))?;
                match folder.assets.check(record.id(), record.size()) {
                    Ok(()) => checked.asset_bytes += record.size(),
                    Err(error @ StoreError::Damaged(_)) => checked.add(path, None, error, UPLOAD),
                    Err(error) => return Err(folder.failed(error)),
                }
            }
            Err(error) => {
                let name = id.map(|id| format!("asset {id}: ")).unwrap_or_default();
                checked.add(folder.database(), None, format!("{name}{error}"), REPAIR);
            }
        }
    }
    for id in folder.assets.ids().into_iter().filter(|id| !known.contains(id)) {
        let path = folder.assets.path(id).map_err(|error| folder.failed(error))?;
        checked.add(path, None, "nobody has this asset", "the next start removes it");
    }
    for file in folder.assets.unfinished() {
        checked.add(file, None, "an asset was being uploaded when the server ended", "the next start removes it");
    }
    Ok(())
}

async fn check_pictures(
    checked: &mut Checked,
    folder: &DataFolder,
    job: &str,
    record: &Record,
) -> Result<(), MaintenanceError> {
    for (index, expected) in record.pictures() {
        match check_picture(&folder.pictures, job, index, expected).await {
            Ok(()) => {
                checked.pictures += 1;
                checked.picture_bytes += expected.0;
            }
            Err(error @ StoreError::Damaged(_)) => {
                let file = crate::store::place::pictures(folder.path()).join(job).join(format!("{index}.png"));
                checked.add(file, Some(job), error, LOST);
            }
            Err(error) => return Err(folder.failed(error)),
        }
    }
    Ok(())
}
