//! `store export`: writes the jobs and assets of a data folder into an archive.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use sakuga_proto::text::count;
use serde_json::{Value, json};

use super::archive::{self, AssetEntry, Entry, Sum};
use super::folder::DataFolder;
use super::{MaintenanceError, archive::END, archive::HEAD};
use crate::assets::{AssetId, AssetRecord};
use crate::jobs::Record;
use crate::store::{JobStore as _, StoreError, StoredAsset};

/// Records that are read at once.
const SCAN: usize = 256;

/// What an export has written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exported {
    pub jobs: usize,
    pub pictures: usize,
    pub assets: usize,
    /// What could not be written, with its job or asset.
    pub left_out: Vec<(String, StoreError)>,
}

impl fmt::Display for Exported {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (owner, error) in &self.left_out {
            writeln!(formatter, "{owner}: left out: {error}")?;
        }
        let (jobs, pictures) = (count(self.jobs, "job"), count(self.pictures, "picture"));
        writeln!(formatter, "{jobs} and {pictures}, and {}, are in the archive", count(self.assets, "asset"))
    }
}

/// An archive that is being written.
struct Archive<W: Write> {
    tar: tar::Builder<W>,
    path: std::path::PathBuf,
}

impl<W: Write> Archive<W> {
    fn add(&mut self, name: &str, file: &[u8]) -> Result<(), MaintenanceError> {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(0);
        let added = self.tar.append_data(&mut header, name, file);
        added.map_err(|error| MaintenanceError::File { path: self.path.clone(), error })
    }

    fn add_file(&mut self, name: &str, path: &Path) -> Result<(), MaintenanceError> {
        let added = std::fs::File::open(path).and_then(|mut file| {
            let mut header = tar::Header::new_gnu();
            header.set_size(file.metadata()?.len());
            header.set_mode(0o600);
            header.set_mtime(0);
            self.tar.append_data(&mut header, name, &mut file)
        });
        added.map_err(|error| MaintenanceError::File { path: self.path.clone(), error })
    }

    fn add_json(&mut self, name: &str, value: &Value) -> Result<(), MaintenanceError> {
        self.add(name, format!("{value:#}\n").as_bytes())
    }
}

/// Writes every job and every asset that can be read. `path` names the archive in errors.
///
/// # Errors
///
/// [`MaintenanceError`] if the database cannot be read to its end, or the archive cannot be written.
pub(crate) async fn export(folder: &DataFolder, out: impl Write, path: &Path) -> Result<Exported, MaintenanceError> {
    let failed = |error: StoreError| folder.failed(error);
    let store = folder.read()?;
    store.verify().map_err(failed)?;
    let mut archive = Archive { tar: tar::Builder::new(out), path: path.to_owned() };
    archive.add_json(HEAD, &archive::head())?;
    let mut exported = Exported::default();
    let mut before: Option<String> = None;
    loop {
        let scanned = store.jobs(before.as_deref(), SCAN).map_err(failed)?;
        let Some((last, _)) = scanned.last() else { break };
        before = Some(last.clone());
        for (job, bytes) in scanned {
            let read = bytes.and_then(|bytes| Record::of(&job, &bytes)).and_then(|record| {
                let events = store.events(&job, 0).map_err(|error| error.of_job(&job))?;
                Ok((record, events, store.reserved(&job)?))
            });
            match read {
                Ok((record, events, reserved)) => {
                    let events: Vec<Bytes> = events.into_iter().map(|(_, event)| event).collect();
                    add_job(folder, &mut archive, &mut exported, &job, (&record, &events, reserved)).await?;
                }
                Err(error @ StoreError::Damaged(_)) => exported.left_out.push((format!("job {job}"), error)),
                Err(error) => return Err(failed(error)),
            }
        }
    }
    add_assets(folder, &mut archive, &mut exported, store.assets().map_err(failed)?)?;
    archive.add_json(END, &json!({ "jobs": exported.jobs, "assets": exported.assets }))?;
    let finished = archive.tar.into_inner().and_then(|mut out| out.flush());
    finished.map_err(|error| MaintenanceError::File { path: path.to_owned(), error })?;
    Ok(exported)
}

async fn add_job<W: Write>(
    folder: &DataFolder,
    archive: &mut Archive<W>,
    exported: &mut Exported,
    job: &str,
    (record, events, reserved): (&Record, &[Bytes], u64),
) -> Result<(), MaintenanceError> {
    let (bytes, events) = (record.encode(), archive::join(events));
    let mut pictures = Vec::new();
    for (index, expected) in record.pictures() {
        // Each picture is read twice, so that only one at a time is in memory.
        match folder.picture(job, index, expected).await {
            Ok(file) => pictures.push(Some(Sum::of(&file))),
            Err(error @ StoreError::Damaged(_)) => {
                exported.left_out.push((format!("job {job}"), error));
                pictures.push(None);
            }
            Err(error) => return Err(folder.failed(error)),
        }
    }
    let entry = Entry { reserved, record: Sum::of(&bytes), events: Sum::of(&events), pictures };
    archive.add_json(&format!("jobs/{job}/job.json"), &entry.json())?;
    archive.add(&format!("jobs/{job}/record.pb"), &bytes)?;
    archive.add(&format!("jobs/{job}/events.pb"), &events)?;
    for (sum, (index, expected)) in entry.pictures.iter().zip(record.pictures()) {
        if sum.is_some() {
            let file = folder.picture(job, index, expected).await.map_err(|error| folder.failed(error))?;
            archive.add(&format!("jobs/{job}/pictures/{index}.png"), &file)?;
            exported.pictures += 1;
        }
    }
    exported.jobs += 1;
    Ok(())
}

/// Writes the assets whose files are what was uploaded, each once with the records of its owners.
fn add_assets<W: Write>(
    folder: &DataFolder,
    archive: &mut Archive<W>,
    exported: &mut Exported,
    stored: Vec<StoredAsset>,
) -> Result<(), MaintenanceError> {
    let mut assets: BTreeMap<AssetId, Vec<AssetRecord>> = BTreeMap::new();
    for (key, bytes) in stored {
        match bytes.and_then(|bytes| AssetRecord::of(&key, &bytes)) {
            Ok(record) => assets.entry(record.id()).or_default().push(record),
            Err(error @ StoreError::Damaged(_)) => {
                let name = AssetId::of_key(&key).map_or_else(|| "asset".into(), |id| format!("asset {id}"));
                exported.left_out.push((name, error));
            }
            Err(error) => return Err(folder.failed(error)),
        }
    }
    for (id, records) in assets {
        let bytes = records.first().map_or(0, AssetRecord::size);
        match folder.assets.check(id, bytes) {
            Ok(()) => {}
            Err(error @ StoreError::Damaged(_)) => {
                exported.left_out.push((format!("asset {id}"), error));
                continue;
            }
            Err(error) => return Err(folder.failed(error)),
        }
        let encoded: Vec<Vec<u8>> = records.iter().map(AssetRecord::encode).collect();
        let file = Sum { bytes, sha256: id.to_string() };
        let entry = AssetEntry { file, records: encoded.iter().map(|record| Sum::of(record)).collect() };
        archive.add_json(&format!("assets/{id}/asset.json"), &entry.json())?;
        for (number, record) in encoded.iter().enumerate() {
            archive.add(&format!("assets/{id}/{number}.pb"), record)?;
        }
        let path = folder.assets.path(id).map_err(|error| folder.failed(error))?;
        archive.add_file(&format!("assets/{id}/file"), &path)?;
        exported.assets += 1;
    }
    Ok(())
}
