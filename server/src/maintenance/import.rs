//! `store import`: adds the jobs and assets of an archive to a data folder. What the folder has is left as it is.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{Read, Write as _};
use std::path::Path;

use bytes::Bytes;
use sakuga_proto::text::count;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::archive::{self, AssetEntry, END, Entry, HEAD, Sum};
use super::{MaintenanceError, folder::DataFolder};
use crate::assets::{AssetId, AssetRecord};
use crate::job_id::JobId;
use crate::jobs::Record;
use crate::store::redb::RedbStore;
use crate::store::{ArtifactStore as _, JobStore as _, StoreError, Write, place};

/// What an import has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Imported {
    /// Jobs that were added.
    pub added: usize,
    /// Jobs that the folder had already, with the same contents.
    pub known: usize,
    /// Assets, one for each owner, that were added.
    pub assets: usize,
    /// Assets that the folder had already.
    pub known_assets: usize,
    /// Jobs that were not added, and why.
    pub refused: Vec<(String, String)>,
}

impl fmt::Display for Imported {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (job, why) in &self.refused {
            writeln!(formatter, "job {job}: not imported: {why}")?;
        }
        let Self { added, known, assets, known_assets, refused } = self;
        let (added, assets) = (count(*added, "job"), count(*assets, "asset"));
        writeln!(formatter, "{added} imported, {known} already there, {} refused", refused.len())?;
        writeln!(formatter, "{assets} imported, {known_assets} already there")
    }
}

/// The entries of an archive, one after the other.
struct Entries<'a, R: Read> {
    entries: tar::Entries<'a, R>,
}

fn broken(what: impl fmt::Display) -> MaintenanceError {
    MaintenanceError::Archive(what.to_string())
}

impl<R: Read> Entries<'_, R> {
    /// The name and the contents of the next file.
    fn next(&mut self) -> Result<Option<(String, Bytes)>, MaintenanceError> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        let entry = entry.map_err(broken)?;
        let name = entry.path().map_err(broken)?.to_str().map(str::to_owned);
        let name = name.ok_or_else(|| broken("the name of a file is not text"))?;
        let most = match name.rsplit('/').next() {
            Some("record.pb") => archive::RECORD_BYTES_MAX,
            Some("events.pb") => archive::EVENTS_BYTES_MAX,
            Some(last) if last.ends_with(".png") => archive::PICTURE_BYTES_MAX,
            _ => archive::JSON_BYTES_MAX,
        };
        if !entry.header().entry_type().is_file() || entry.size() > most {
            return Err(broken(format!("{name:?} is not a file of at most {most} bytes")));
        }
        let (size, mut file) = (entry.size(), Vec::new());
        entry.take(most).read_to_end(&mut file).map_err(broken)?;
        if file.len() as u64 != size {
            return Err(broken(format!("it is cut off within {name:?}")));
        }
        Ok(Some((name, file.into())))
    }

    /// Writes the next file, which has to have this name and sum, into `out`.
    fn expect_into(&mut self, name: &str, sum: &Sum, out: &mut std::fs::File) -> Result<(), MaintenanceError> {
        let entry = self.entries.next().ok_or_else(|| broken(format!("it is cut off before {name}")))?;
        let mut entry = entry.map_err(broken)?;
        if entry.path().map_err(broken)?.to_str() != Some(name) || !entry.header().entry_type().is_file() {
            return Err(broken(format!("something else is where {name} has to be")));
        }
        if entry.size() != sum.bytes {
            return Err(broken(format!("the size of {name} is wrong; fetch the archive again")));
        }
        let (mut hash, mut piece, mut read) = (Sha256::new(), vec![0; 256 * 1024], 0);
        loop {
            let bytes = entry.read(&mut piece).map_err(broken)?;
            if bytes == 0 {
                break;
            }
            read += bytes as u64;
            hash.update(&piece[..bytes]);
            out.write_all(&piece[..bytes]).map_err(|error| MaintenanceError::File { path: name.into(), error })?;
        }
        if read != sum.bytes || sakuga_proto::digest::hex(&hash.finalize()) != sum.sha256 {
            return Err(broken(format!("the checksum of {name} is wrong; fetch the archive again")));
        }
        Ok(())
    }

    /// The contents of the next file, which has to have this name and sum.
    fn expect(&mut self, name: &str, sum: &Sum) -> Result<Bytes, MaintenanceError> {
        match self.next()? {
            Some((found, file)) if found == name && Sum::of(&file) == *sum => Ok(file),
            Some((found, _)) if found == name => {
                Err(broken(format!("the checksum of {name} is wrong; fetch the archive again")))
            }
            Some((found, _)) => Err(broken(format!("{found:?} is where {name} has to be"))),
            None => Err(broken(format!("it is cut off before {name}"))),
        }
    }
}

fn read_json(name: &str, file: &[u8]) -> Result<Value, MaintenanceError> {
    serde_json::from_slice(file).map_err(|error| broken(format!("{name}: {error}")))
}

/// A job of an archive.
struct Job {
    id: String,
    record: Record,
    reserved: u64,
    events: Vec<Bytes>,
    pictures: Vec<(u32, Option<Bytes>)>,
}

/// Adds the jobs and assets of an archive. Each is added as a whole or not at all; what was added before an error stays.
///
/// # Errors
///
/// [`MaintenanceError`] if the archive is not one, is cut off or altered, or the folder cannot be written.
/// [`MaintenanceError::Partly`] also says what was done before.
pub(crate) async fn import(folder: &DataFolder, archive: impl Read) -> Result<Imported, MaintenanceError> {
    let mut imported = Imported::default();
    match add_all(folder, archive, &mut imported).await {
        Ok(()) => Ok(imported),
        Err(error) => Err(MaintenanceError::Partly { done: imported.to_string(), error: error.into() }),
    }
}

async fn add_all(folder: &DataFolder, archive: impl Read, imported: &mut Imported) -> Result<(), MaintenanceError> {
    let (store, _) = place::open_database(folder.path()).map_err(|error| folder.failed(error))?;
    let mut tar = tar::Archive::new(archive);
    let mut entries = Entries { entries: tar.entries().map_err(broken)? };
    match entries.next()? {
        Some((name, file)) if name == HEAD => archive::check_head(&read_json(HEAD, &file)?)?,
        _ => archive::check_head(&Value::Null)?,
    }
    let known = store.assets().map_err(|error| folder.failed(error))?.into_iter().map(|(key, _)| key).collect();
    let mut assets = 0;
    loop {
        let Some((name, file)) = entries.next()? else {
            return Err(broken(format!("it is cut off: {END} is missing")));
        };
        if name == END {
            let jobs = imported.added + imported.known + imported.refused.len();
            let end = read_json(END, &file)?;
            // Version 1 had no assets.
            return match (end["jobs"].as_u64(), end["assets"].as_u64().unwrap_or(0)) {
                (Some(count), asset_count) if count == jobs as u64 && asset_count == assets => Ok(()),
                _ => Err(broken(format!("{END} says another number of jobs or assets than there are"))),
            };
        }
        if let Some(id) = name.strip_prefix("assets/").and_then(|rest| rest.strip_suffix("/asset.json")) {
            let id = AssetId::parse(id).ok_or_else(|| broken(format!("{name:?} is not the beginning of an asset")))?;
            let entry = AssetEntry::read(&read_json(&name, &file)?);
            let entry = entry.ok_or_else(|| broken(format!("{name} is not readable")))?;
            add_asset(folder, (&store, &known), &mut entries, (id, &entry), imported)?;
            assets += 1;
            continue;
        }
        let id = name.strip_prefix("jobs/").and_then(|rest| rest.strip_suffix("/job.json"));
        let id = id.filter(|id| JobId::parse(id).is_some_and(|parsed| parsed.as_str() == *id));
        let id = id.ok_or_else(|| broken(format!("{name:?} is not the beginning of a job")))?;
        let entry = Entry::read(&read_json(&name, &file)?).ok_or_else(|| broken(format!("{name} is not readable")))?;
        let job = read_job(&mut entries, id, &entry)?;
        match add(folder, &store, job).await {
            Ok(true) => imported.added += 1,
            Ok(false) => imported.known += 1,
            Err(Refused::Job(why)) => imported.refused.push((id.to_owned(), why)),
            Err(Refused::Store(error)) => return Err(folder.failed(error)),
        }
    }
}

fn read_job<R: Read>(entries: &mut Entries<'_, R>, id: &str, entry: &Entry) -> Result<Job, MaintenanceError> {
    let record = entries.expect(&format!("jobs/{id}/record.pb"), &entry.record)?;
    let record = Record::of(id, &record).map_err(broken)?;
    let events = entries.expect(&format!("jobs/{id}/events.pb"), &entry.events)?;
    let events = archive::split(events).ok_or_else(|| broken(format!("the events of job {id} cannot be read")))?;
    let expected = record.pictures();
    if expected.len() != entry.pictures.len() {
        return Err(broken(format!("job {id} has another number of pictures than its record says")));
    }
    let mut pictures = Vec::new();
    for (sum, (index, (size, sha256))) in entry.pictures.iter().zip(expected) {
        if sum.as_ref().is_some_and(|sum| (sum.bytes, sum.sha256.as_str()) != (size, sha256)) {
            return Err(broken(format!("picture {index} of job {id} is not the one of its record")));
        }
        let file = sum.as_ref().map(|sum| entries.expect(&format!("jobs/{id}/pictures/{index}.png"), sum));
        pictures.push((index, file.transpose()?));
    }
    Ok(Job { id: id.to_owned(), record, reserved: entry.reserved, events, pictures })
}

/// Why a job is not added.
enum Refused {
    Job(String),
    Store(StoreError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Adds a job; `false` if the folder has the same one.
async fn add(folder: &DataFolder, store: &RedbStore, job: Job) -> Result<bool, Refused> {
    let Job { id, mut record, reserved, events, pictures } = job;
    match store.job(&id) {
        Ok(None) => {}
        Ok(Some(known)) if Record::of(&id, &known).is_ok_and(|known| known == record) => return Ok(false),
        Ok(Some(_)) => {
            return Err(Refused::Job("the folder has this job with other contents; it is not replaced".into()));
        }
        Err(StoreError::Damaged(what)) => return Err(Refused::Job(format!("the folder has a damaged job: {what}"))),
        Err(error) => return Err(error.into()),
    }
    let mut numbered =
        record.number(&events).ok_or_else(|| Refused::Job("its events are not those of a job".into()))?;
    if record.keep_whole(&mut numbered) > 0 {
        return Err(Refused::Job("events are missing".into()));
    }
    let mut writes = vec![Write::PutJob { job: id.clone(), record: record.encode() }];
    if !record.name_key().is_empty() {
        let name = record.name_key().to_vec();
        match store.named(&name)? {
            Some(other) if other != id => {
                return Err(Refused::Job(format!("its client has job {other} under the same request_id")));
            }
            _ => writes.push(Write::PutName { name, job: id.clone() }),
        }
    }
    let last = numbered.last().map_or(0, |(sequence, _)| sequence + 1);
    writes.push(Write::Reserve { job: id.clone(), below: reserved.max(last) });
    let mut previous = None;
    for (sequence, event) in numbered {
        let previous = previous.replace(sequence);
        writes.push(Write::PutEvent { job: id.clone(), sequence, previous, event });
    }
    // The pictures come first: a job without its pictures is damage, pictures without a job are not.
    for (index, file) in pictures {
        let Some(file) = file else { continue };
        match folder.pictures.size(&id, index).await? {
            None => folder.pictures.put(&id, index, file).await?,
            Some(size) if size == file.len() as u64 && folder.pictures.get(&id, index, 0..size).await? == file => {}
            Some(_) => {
                return Err(Refused::Job(format!(
                    "the folder has another picture {index} of this job; it is not replaced"
                )));
            }
        }
    }
    store.commit(&writes)?;
    Ok(true)
}

/// Adds an asset for every owner that does not have it. `known`: the keys of the records that the store has.
fn add_asset<R: Read>(
    folder: &DataFolder,
    (store, known): (&RedbStore, &BTreeSet<Vec<u8>>),
    entries: &mut Entries<'_, R>,
    (id, entry): (AssetId, &AssetEntry),
    imported: &mut Imported,
) -> Result<(), MaintenanceError> {
    let failed = |error: StoreError| folder.failed(error);
    let mut writes = Vec::new();
    for (number, sum) in entry.records.iter().enumerate() {
        let record = entries.expect(&format!("assets/{id}/{number}.pb"), sum)?;
        let record = AssetRecord::read(&record).map_err(broken)?;
        if record.id() != id || record.size() != entry.file.bytes {
            return Err(broken(format!("a record of asset {id} is that of another")));
        }
        match known.contains(&record.key()) {
            true => imported.known_assets += 1,
            false => writes.push(Write::PutAsset { key: record.key(), record: record.encode() }),
        }
    }
    if entry.file.sha256 != id.to_string() {
        return Err(broken(format!("the file of asset {id} is another")));
    }
    let (mut file, path) = folder.assets.begin().map_err(failed)?;
    let name = format!("assets/{id}/file");
    if let Err(error) = entries.expect_into(&name, &entry.file, &mut file) {
        // A part of a file is useless.
        let _ = std::fs::remove_file(path);
        return Err(error);
    }
    // The file comes first: a record without its file is damage.
    folder.assets.keep(&path, id).map_err(failed)?;
    store.commit(&writes).map_err(failed)?;
    imported.assets += writes.len();
    Ok(())
}

/// Opens the file of an archive.
///
/// # Errors
///
/// [`MaintenanceError::File`].
pub(crate) fn open(path: &Path) -> Result<impl Read + use<>, MaintenanceError> {
    let opened = std::fs::File::open(path);
    opened.map(std::io::BufReader::new).map_err(|error| MaintenanceError::File { path: path.to_owned(), error })
}
