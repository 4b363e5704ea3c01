//! [`AssetRecord`]: what the store keeps of an asset of one owner.

use std::time::{Duration, SystemTime};

use prost::Message as _;
use sakuga_proto::asset::v1::{self as pb};
use sakuga_proto::internal::store::v1 as stored;
use sakuga_proto::time::system_time;

use super::id::AssetId;
use crate::store::StoreError;

/// The version of the records that this server writes.
const VERSION: u32 = 1;

/// What the store keeps of an asset of one owner.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AssetRecord {
    id: AssetId,
    created: SystemTime,
    used: SystemTime,
    record: stored::AssetRecord,
}

impl AssetRecord {
    /// A new record. The asset's `sha256` is `id`.
    pub(super) fn new(id: AssetId, owner: &str, asset: pb::Asset, now: SystemTime) -> Self {
        let time = Some(prost_types::Timestamp::from(now));
        let asset = pb::Asset { sha256: id.to_string(), create_time: time, expire_time: None, ..asset };
        let record =
            stored::AssetRecord { asset: Some(asset), owner: owner.to_owned(), use_time: time, version: VERSION };
        Self { id, created: now, used: now, record }
    }

    /// Reads the record that the store has under a key.
    ///
    /// # Errors
    ///
    /// As of [`AssetRecord::read`]; [`StoreError::Damaged`] also if it belongs to another key.
    pub(crate) fn of(key: &[u8], bytes: &[u8]) -> Result<Self, StoreError> {
        let record = Self::read(bytes)?;
        match record.key() == key {
            true => Ok(record),
            false => Err(damaged("is in the place of another")),
        }
    }

    /// Reads an encoded record.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] if it is not one, [`StoreError::Newer`] if a newer server wrote it.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, StoreError> {
        let record = stored::AssetRecord::decode(bytes).map_err(|_| damaged("cannot be decoded"))?;
        if record.version > VERSION {
            return Err(StoreError::Newer(record.version));
        }
        let asset = record.asset.as_ref().ok_or_else(|| damaged("is empty"))?;
        let id = AssetId::parse(&asset.sha256).ok_or_else(|| damaged("has no SHA-256"))?;
        let created = asset.create_time.and_then(system_time).ok_or_else(|| damaged("has no time"))?;
        let used = record.use_time.and_then(system_time).unwrap_or(created);
        Ok(Self { id, created, used, record })
    }

    /// The record as it is stored.
    pub(crate) fn encode(&self) -> Vec<u8> {
        self.record.encode_to_vec()
    }

    /// Its key in the store.
    pub(crate) fn key(&self) -> Vec<u8> {
        self.id.key(&self.record.owner).to_vec()
    }

    /// The asset's name.
    pub(crate) fn id(&self) -> AssetId {
        self.id
    }

    pub(crate) fn owner(&self) -> &str {
        &self.record.owner
    }

    /// Bytes of the file.
    pub(crate) fn size(&self) -> u64 {
        self.record.asset.as_ref().map_or(0, |asset| asset.size)
    }

    pub(super) fn created(&self) -> SystemTime {
        self.created
    }

    /// When its owner used it last.
    pub(crate) fn used(&self) -> SystemTime {
        self.used
    }

    /// Notes a use.
    pub(super) fn set_used(&mut self, now: SystemTime) {
        self.used = now;
        self.record.use_time = Some(now.into());
    }

    /// The asset as clients see it. It expires `keep` after its last use.
    pub(super) fn asset(&self, keep: Duration) -> pb::Asset {
        let expire_time = self.used.checked_add(keep).map(prost_types::Timestamp::from);
        pb::Asset { expire_time, ..self.record.asset.clone().unwrap_or_default() }
    }
}

fn damaged(what: &str) -> StoreError {
    StoreError::Damaged(format!("the record of an asset {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let id = AssetId::of_bytes(b"x");
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
        let mut record = AssetRecord::new(id, "alice", pb::Asset { size: 1, ..pb::Asset::default() }, now);
        record.set_used(now + Duration::from_secs(9));
        let key = record.key();
        assert_eq!(AssetRecord::of(&key, &record.encode()), Ok(record.clone()));
        assert_eq!(record.asset(Duration::from_secs(1)).expire_time.map(|time| time.seconds), Some(11));
        for (key, bytes) in [(&id.key("bob")[..], record.encode()), (&key[..], vec![0xff]), (&key[..], Vec::new())] {
            assert!(matches!(AssetRecord::of(key, &bytes), Err(StoreError::Damaged(_))));
        }
        record.record.version = VERSION + 1;
        assert_eq!(AssetRecord::of(&key, &record.encode()), Err(StoreError::Newer(VERSION + 1)));
    }
}
