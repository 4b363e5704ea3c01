//! `store export`: writes the jobs of a data folder into an archive.

use std::fmt;
use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use sakuga_proto::text::count;
use serde_json::{Value, json};

use super::archive::{self, Entry, Sum};
use super::folder::DataFolder;
use super::{MaintenanceError, archive::END, archive::HEAD};
use crate::jobs::Record;
use crate::store::{JobStore as _, StoreError};

/// Records that are read at once.
const SCAN: usize = 256;

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Jobs.
    pub jobs: usize,
    /// Pictures.
    pub pictures: usize,
    /// What could not be written, with its job.
    pub left_out: Vec<(String, StoreError)>,
}

impl fmt::Display for Exported {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (job, error) in &self.left_out {
            writeln!(formatter, "job {job}: left out: {error}")?;
        }
        let (jobs, pictures) = (count(self.jobs, "job"), count(self.pictures, "picture"));
        writeln!(formatter, "{jobs} and {pictures} are in the archive")
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

    fn add_json(&mut self, name: &str, value: &Value) -> Result<(), MaintenanceError> {
        self.add(name, format!("{value:#}\n").as_bytes())
    }
}

/// Writes every job that can be read. `path` names the archive in errors.
///
/// # Errors
///
/// [`MaintenanceError`] if the database cannot be read to its end, or the archive cannot be written.
pub async fn export(folder: &DataFolder, out: impl Write, path: &Path) -> Result<Exported, MaintenanceError> {
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
                Err(error @ StoreError::Damaged(_)) => exported.left_out.push((job, error)),
                Err(error) => return Err(failed(error)),
            }
        }
    }
    archive.add_json(END, &json!({ "jobs": exported.jobs }))?;
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
        // Looked at twice, so that only one picture at a time is in memory.
        match folder.picture(job, index, expected).await {
            Ok(file) => pictures.push(Some(Sum::of(&file))),
            Err(error @ StoreError::Damaged(_)) => {
                exported.left_out.push((job.to_owned(), error));
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
