//! The archive of jobs and assets: a tar file that other programs can read.
//!
//! ```text
//! sakuga-jobs.json                  {"format": "sakuga jobs", "version": 2, "software": "sakuga-server 0.1.0"}
//! jobs/ID/job.json                  what follows of this job: bytes and SHA-256 of each file, and `reserved`
//! jobs/ID/record.pb                 sakuga.internal.store.v1.JobRecord
//! jobs/ID/events.pb                 every event as sakuga.generation.v1.GenerateEvent, each behind its length as a varint
//! jobs/ID/pictures/0.png            its pictures, those that are not missing or altered
//! assets/SHA256/asset.json          what follows of this asset: bytes and SHA-256 of each file
//! assets/SHA256/0.pb                sakuga.internal.store.v1.AssetRecord of each owner
//! assets/SHA256/file                the uploaded file
//! end.json                          {"jobs": 12, "assets": 3}
//! ```
//!
//! The files of a job follow its `job.json` in this order, and those of an asset its `asset.json`. The assets follow the jobs.
//! `end.json` is last: an archive without it was cut off. Version 1 had no assets.

use bytes::{Buf as _, Bytes};
use prost::encoding::{decode_varint, encode_varint};
use serde_json::{Value, json};

use super::MaintenanceError;

/// The first entry.
pub(crate) const HEAD: &str = "sakuga-jobs.json";
/// The last entry.
pub(crate) const END: &str = "end.json";
/// The version of the format that this program writes. It reads the earlier one too.
pub(crate) const VERSION: u64 = 2;
/// Bytes of the JSON files.
pub(crate) const JSON_BYTES_MAX: u64 = 1 << 20;
pub(crate) const RECORD_BYTES_MAX: u64 = 64 << 20;
/// Bytes of the events of a job.
pub(crate) const EVENTS_BYTES_MAX: u64 = 1 << 30;
pub(crate) const PICTURE_BYTES_MAX: u64 = 1 << 30;
/// Pictures of a job.
const PICTURES_MAX: usize = 16;
/// Owners of an asset.
const OWNERS_MAX: usize = 4096;

/// The contents of the first entry.
pub(crate) fn head() -> Value {
    let software = concat!("sakuga-server ", env!("CARGO_PKG_VERSION"));
    json!({ "format": "sakuga jobs", "version": VERSION, "software": software })
}

/// Checks the contents of the first entry.
///
/// # Errors
///
/// [`MaintenanceError::Archive`] for another format or version.
pub(crate) fn check_head(head: &Value) -> Result<(), MaintenanceError> {
    match (head["format"].as_str(), head["version"].as_u64()) {
        (Some("sakuga jobs"), Some(1..=VERSION)) => Ok(()),
        (Some("sakuga jobs"), version) => Err(MaintenanceError::Archive(format!(
            "its version is {}, and this program reads versions up to {VERSION}; use a newer one",
            version.map_or_else(|| "not a number".into(), |version| version.to_string())
        ))),
        _ => Err(MaintenanceError::Archive(format!("it does not begin with {HEAD} of `sakuga-server store export`"))),
    }
}

/// A file of an archive: its size and its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sum {
    pub bytes: u64,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

impl Sum {
    /// The sum of these bytes.
    pub(crate) fn of(file: &[u8]) -> Self {
        Self { bytes: file.len() as u64, sha256: sakuga_proto::digest::sha256_hex(file) }
    }

    fn json(&self) -> Value {
        json!({ "bytes": self.bytes, "sha256": self.sha256 })
    }

    fn read(value: &Value) -> Option<Self> {
        Some(Self { bytes: value["bytes"].as_u64()?, sha256: value["sha256"].as_str()?.to_owned() })
    }
}

/// A job of an archive, as its `job.json` describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The first sequence number that no reader can have seen.
    pub reserved: u64,
    pub record: Sum,
    pub events: Sum,
    /// The pictures; `None`: missing in the folder that was exported.
    pub pictures: Vec<Option<Sum>>,
}

impl Entry {
    /// The contents of `job.json`.
    pub(crate) fn json(&self) -> Value {
        let picture = |sum: &Option<Sum>| sum.as_ref().map_or(Value::Null, Sum::json);
        json!({
            "reserved": self.reserved,
            "record": self.record.json(),
            "events": self.events.json(),
            "pictures": self.pictures.iter().map(picture).collect::<Vec<_>>(),
        })
    }

    /// Reads the contents of `job.json`; `None` if they are not what [`Entry::json`] writes.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let pictures = value["pictures"].as_array().filter(|pictures| pictures.len() <= PICTURES_MAX)?;
        let picture = |value: &Value| if value.is_null() { Some(None) } else { Sum::read(value).map(Some) };
        Some(Self {
            reserved: value["reserved"].as_u64()?,
            record: Sum::read(&value["record"])?,
            events: Sum::read(&value["events"])?,
            pictures: pictures.iter().map(picture).collect::<Option<_>>()?,
        })
    }
}

/// An asset of an archive, as its `asset.json` describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AssetEntry {
    /// The uploaded file.
    pub file: Sum,
    /// The record of each owner.
    pub records: Vec<Sum>,
}

impl AssetEntry {
    /// The contents of `asset.json`.
    pub(crate) fn json(&self) -> Value {
        json!({ "file": self.file.json(), "records": self.records.iter().map(Sum::json).collect::<Vec<_>>() })
    }

    /// Reads the contents of `asset.json`; `None` if they are not what [`AssetEntry::json`] writes.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let records = value["records"].as_array().filter(|records| records.len() <= OWNERS_MAX)?;
        Some(Self { file: Sum::read(&value["file"])?, records: records.iter().map(Sum::read).collect::<Option<_>>()? })
    }
}

/// Encoded events, one after the other.
pub(crate) fn join<'a>(events: impl IntoIterator<Item = &'a Bytes>) -> Vec<u8> {
    let mut joined = Vec::new();
    for event in events {
        encode_varint(event.len() as u64, &mut joined);
        joined.extend_from_slice(event);
    }
    joined
}

/// The events of [`join`]; `None` if the bytes are not events.
pub(crate) fn split(mut joined: Bytes) -> Option<Vec<Bytes>> {
    let mut events = Vec::new();
    while joined.has_remaining() {
        let length = usize::try_from(decode_varint(&mut joined).ok()?).ok()?;
        if length > joined.len() {
            return None;
        }
        events.push(joined.split_to(length));
    }
    Some(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let entry = Entry {
            reserved: 7,
            record: Sum::of(b"record"),
            events: Sum::of(b""),
            pictures: vec![Some(Sum::of(b"picture")), None],
        };
        assert_eq!(Entry::read(&entry.json()), Some(entry));
        let asset = AssetEntry { file: Sum::of(b"file"), records: vec![Sum::of(b"record")] };
        assert_eq!(AssetEntry::read(&asset.json()), Some(asset));
        check_head(&head()).expect("its own");
        check_head(&json!({ "format": "sakuga jobs", "version": 1 })).expect("the earlier one");
        for other in [json!({}), json!({ "format": "sakuga jobs", "version": 3 }), json!([1])] {
            assert!(check_head(&other).is_err(), "{other}");
            assert_eq!((Entry::read(&other), AssetEntry::read(&other)), (None, None));
        }
    }

    #[test]
    fn events_are_joined_and_split() {
        let events = [Bytes::from_static(b"one"), Bytes::new(), Bytes::from(vec![3; 1000])];
        let joined = Bytes::from(join(&events));
        assert_eq!(split(joined.clone()).as_deref(), Some(&events[..]));
        assert_eq!(split(joined.slice(..joined.len() - 1)), None);
        assert_eq!(split(Bytes::from_static(&[0xff; 12])), None);
    }
}
