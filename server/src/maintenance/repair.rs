//! `store repair`: makes a new database of every job and every record of an asset that can be read, and keeps the old file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use sakuga_proto::text::count;

use super::MaintenanceError;
use super::folder::DataFolder;
use crate::assets::{AssetId, AssetRecord};
use crate::jobs::Record;
use crate::store::redb::{Backing, RedbStore, damage_note, has_right_checksums};
use crate::store::salvage::{self, Found};
use crate::store::{JobStore, StoreError, Write};

/// Records that are read at once.
const SCAN: usize = 256;
/// Bytes of events that are committed at once.
const BATCH_BYTES: usize = 4 << 20;

/// What a repair has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Repaired {
    /// Jobs that are kept.
    pub jobs: usize,
    /// Jobs whose record could not be read: they are only in the old file.
    pub lost: Vec<String>,
    /// Records of assets that are kept.
    pub assets: usize,
    /// Assets of which a record could not be read: it is only in the old file.
    pub lost_assets: Vec<AssetId>,
    /// Jobs that are kept without their first events, and how many those were.
    pub shortened: Vec<(String, usize)>,
    /// Whether the database could not be opened, so that its pages were read one by one.
    pub was_salvaged: bool,
    /// Where the old file is; `None` if nothing was damaged and nothing was changed.
    pub old: Option<PathBuf>,
}

impl Repaired {
    /// Whether every job is kept with all of its events, as far as can be known.
    pub(crate) fn is_whole(&self) -> bool {
        self.lost.is_empty() && self.lost_assets.is_empty() && self.shortened.is_empty() && !self.was_salvaged
    }
}

impl fmt::Display for Repaired {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(old) = &self.old else { return writeln!(formatter, "nothing is damaged, and nothing was changed") };
        for job in &self.lost {
            writeln!(
                formatter,
                "job {job}: its record cannot be read; it is left out, and its pictures stay in their folder"
            )?;
        }
        for id in &self.lost_assets {
            writeln!(
                formatter,
                "asset {id}: a record of it cannot be read; it is left out, and has to be uploaded again"
            )?;
        }
        for (job, events) in &self.shortened {
            writeln!(formatter, "job {job}: its beginning is left out, {}", count(*events, "event"))?;
        }
        if self.was_salvaged {
            writeln!(
                formatter,
                "the pages of the database were read one by one: a job whose pages cannot be read is missing without its name, \
                 a job whose last state cannot be read is drawn again, and jobs and assets that were deleted lately may be there \
                 again"
            )?;
        }
        let (jobs, assets) = (count(self.jobs, "job"), count(self.assets, "asset"));
        writeln!(formatter, "{jobs} kept, and {assets}; the old database is {}", old.display())
    }
}

/// Makes a new database of what can be read, unless nothing is damaged.
///
/// # Errors
///
/// [`MaintenanceError`]; then the old database is in its place, unchanged.
pub(crate) fn repair(folder: &DataFolder) -> Result<Repaired, MaintenanceError> {
    let database = folder.database();
    let failed = |error: StoreError| folder.failed(error);
    let file_error = |path: &PathBuf, error| MaintenanceError::File { path: path.clone(), error };
    let rebuilt = next_to(&database, "repaired");
    remove_if_there(&rebuilt)?;
    if !database.exists() {
        remove_if_there(&damage_note(&database))?;
        return Ok(Repaired::default());
    }
    let is_sound = has_right_checksums(&database).unwrap_or(false);
    let source = match folder.read().and_then(|store| store.verify().map(|_| store).map_err(failed)) {
        // Pages of the last commit that are not damaged are found one by one.
        Ok(source) => Some(source).filter(|source| !source.lacks_last_commit()),
        Err(MaintenanceError::Store { error: StoreError::Corrupt(_), .. }) => None,
        Err(error) => return Err(error),
    };
    let target = || {
        let opened = RedbStore::open(Backing::File(rebuilt.clone()));
        opened.map_err(|error| MaintenanceError::Store { path: rebuilt.clone(), error })
    };
    let copied = match source {
        Some(source) => match copy(&source, &target()?) {
            Ok(repaired) => Some(repaired),
            // All of it can be read in order, and not every job by its key.
            Err(StoreError::Corrupt(_)) => None,
            Err(error) => return Err(failed(error)),
        },
        None => None,
    };
    let mut repaired = match copied {
        Some(repaired) => repaired,
        None => {
            remove_if_there(&rebuilt)?;
            salvage_pages(folder, &target()?).map_err(failed)?
        }
    };
    if is_sound && repaired.is_whole() {
        remove_if_there(&rebuilt)?;
        remove_if_there(&damage_note(&database))?;
        return Ok(repaired);
    }
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let old = (seconds..).map(|number| next_to(&database, &format!("damaged-{number}"))).find(|path| !path.exists());
    let old = old.unwrap_or_else(|| next_to(&database, "damaged"));
    std::fs::rename(&database, &old).map_err(|error| file_error(&old, error))?;
    if let Err(error) = std::fs::rename(&rebuilt, &database) {
        // Without a new database the old one is put back.
        let _ = std::fs::rename(&old, &database);
        return Err(file_error(&rebuilt, error));
    }
    remove_if_there(&damage_note(&database))?;
    // The new names survive a loss of power.
    let opened = std::fs::File::open(folder.path()).and_then(|folder| folder.sync_all());
    opened.map_err(|error| file_error(&folder.path().to_owned(), error))?;
    repaired.old = Some(old);
    Ok(repaired)
}

/// A file with the name of the database and this ending.
fn next_to(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    database.with_file_name(name)
}

fn remove_if_there(path: &Path) -> Result<(), MaintenanceError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(MaintenanceError::File { path: path.to_owned(), error })
        }
        _ => Ok(()),
    }
}

impl Repaired {
    /// Writes a job with the events that can be read.
    fn keep(
        &mut self,
        target: &RedbStore,
        job: &str,
        mut record: Record,
        (mut events, damaged): (Vec<(u64, Bytes)>, usize),
        reserved: Option<u64>,
    ) -> Result<(), StoreError> {
        let gone = damaged + record.keep_whole(&mut events);
        let reserved = reserved.filter(|_| gone == 0).unwrap_or_else(|| record.safe_sequence(&events));
        let mut writes = vec![Write::PutJob { job: job.to_owned(), record: record.encode() }];
        if !record.is_ended() {
            writes.push(Write::Reserve { job: job.to_owned(), below: reserved });
        }
        if !record.name_key().is_empty() {
            writes.push(Write::PutName { name: record.name_key().to_vec(), job: job.to_owned() });
        }
        let mut previous = None;
        for (sequence, event) in events {
            let previous = previous.replace(sequence);
            writes.push(Write::PutEvent { job: job.to_owned(), sequence, previous, event });
        }
        target.commit(&writes)?;
        self.jobs += 1;
        if gone > 0 {
            self.shortened.push((job.to_owned(), gone));
        }
        Ok(())
    }
}

/// Copies what can be read of a database that can be opened.
fn copy(source: &RedbStore, target: &RedbStore) -> Result<Repaired, StoreError> {
    let mut repaired = Repaired::default();
    let mut writes = Vec::new();
    for (key, bytes) in source.assets()? {
        match bytes.and_then(|bytes| AssetRecord::of(&key, &bytes).map(|_| bytes)) {
            Ok(record) => writes.push(Write::PutAsset { key, record }),
            Err(newer @ StoreError::Newer(_)) => return Err(newer),
            Err(_) => repaired.lost_assets.extend(AssetId::of_key(&key)),
        }
    }
    repaired.assets = writes.len();
    target.commit(&writes)?;
    let mut before: Option<String> = None;
    loop {
        let scanned = source.jobs(before.as_deref(), SCAN)?;
        let Some((last, _)) = scanned.last() else { return Ok(repaired) };
        before = Some(last.clone());
        for (job, bytes) in scanned {
            match bytes.and_then(|bytes| Record::of(&job, &bytes)) {
                Ok(record) => {
                    let reserved = source.reserved(&job).ok();
                    repaired.keep(target, &job, record, source.undamaged_events(&job)?, reserved)?;
                }
                Err(newer @ StoreError::Newer(_)) => return Err(newer),
                Err(_) => repaired.lost.push(job),
            }
        }
    }
}

/// Reads the pages of a database that cannot be opened.
fn salvage_pages(folder: &DataFolder, target: &RedbStore) -> Result<Repaired, StoreError> {
    let mut repaired = Repaired { was_salvaged: true, ..Repaired::default() };
    let mut records: BTreeMap<String, Record> = BTreeMap::new();
    let mut assets: BTreeMap<Vec<u8>, AssetRecord> = BTreeMap::new();
    salvage::scan(&folder.database(), |found| {
        match found {
            Found::Job { job, record } => {
                if let Ok(record) = Record::of(&job, &record)
                    && records.get(&job).is_none_or(|known| known.age() < record.age())
                {
                    records.insert(job, record);
                }
            }
            Found::Asset { key, record } => {
                // Without its file it was deleted.
                if let Ok(record) = AssetRecord::of(&key, &record)
                    && assets.get(&key).is_none_or(|known| known.used() < record.used())
                    && folder.assets.path(record.id())?.exists()
                {
                    assets.insert(key, record);
                }
            }
            Found::Event { .. } => {}
        }
        Ok(())
    })?;
    repaired.assets = assets.len();
    let put = |(key, record): (Vec<u8>, AssetRecord)| Write::PutAsset { key, record: record.encode() };
    target.commit(&assets.into_iter().map(put).collect::<Vec<_>>())?;
    // Events may be many: they wait in the new database until all of a job are there.
    let mut batch = (Vec::new(), 0);
    salvage::scan(&folder.database(), |found| match found {
        Found::Event { job, sequence, previous, event } if records.contains_key(&job) => {
            batch.1 += event.len();
            batch.0.push(Write::PutEvent { job, sequence, previous, event: event.into() });
            if batch.1 < BATCH_BYTES {
                return Ok(());
            }
            batch.1 = 0;
            target.commit(&std::mem::take(&mut batch.0))
        }
        _ => Ok(()),
    })?;
    target.commit(&batch.0)?;
    for (job, mut record) in records {
        let (events, damaged) = target.undamaged_events(&job)?;
        target.commit(&[Write::Delete { job: job.clone(), name: Vec::new() }])?;
        // If the newest state is damaged, an older one is read; the events after it bring it up to date.
        record.catch_up(&events);
        repaired.keep(target, &job, record, (events, damaged), None)?;
    }
    Ok(repaired)
}
