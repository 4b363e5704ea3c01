//! [`Assets`]: the assets of all owners.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message as _;
use sakuga_proto::asset::v1 as pb;
use tokio::sync::Semaphore;

use super::blocking::blocking;
use super::error::AssetError;
use super::files::AssetFiles;
use super::id::{AssetId, AssetOwner};
use super::index::Index;
use super::reader::AssetReader;
use super::record::AssetRecord;
use super::settings::AssetSettings;
use super::state::State;
use crate::store::place::DataPlace;
use crate::store::writer::StoreWriter;
use crate::store::{StoreError, Write};

/// Longest time between two checks of what is too old.
const CHECK_PERIOD: Duration = Duration::from_secs(30);
/// Uses within this time are written once.
const USE_PERIOD: Duration = Duration::from_secs(3600);
/// Pictures that are decoded at once to find out what they are.
const EXAMINED_AT_ONCE: usize = 2;

/// The assets of all owners, and their unfinished uploads.
pub(crate) struct Assets {
    pub(super) files: Arc<AssetFiles>,
    pub(super) settings: AssetSettings,
    pub(super) state: Mutex<State>,
    pub(super) examining: Semaphore,
    writer: Arc<StoreWriter>,
    /// Held while a file gets or loses an owner, so that it is not removed while it gets one.
    changes: tokio::sync::Mutex<()>,
}

/// What an owner's assets take, and the owner's quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Bytes of its assets and unfinished uploads.
    pub used: u64,
    /// Bytes that they may take.
    pub quota: u64,
}

/// Where a page of a list begins: after the asset with this time and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    created: SystemTime,
    id: AssetId,
}

impl Page {
    /// Reads what [`Page`] is shown as; `None` for any other text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (nanos, id) = text.split_once('-')?;
        let nanos = u64::from_str_radix(nanos, 16).ok().filter(|_| nanos.len() == 16 && !nanos.starts_with('+'))?;
        Some(Self { created: UNIX_EPOCH.checked_add(Duration::from_nanos(nanos))?, id: AssetId::parse(id)? })
    }
}

impl fmt::Display for Page {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.created.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
        write!(formatter, "{nanos:016x}-{}", self.id)
    }
}

impl Assets {
    /// Opens the assets of a store. Removes unfinished uploads, and files without an owner, which a killed server may
    /// leave. Blocks.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the records cannot be read. Damaged ones are left out; their files stay.
    pub(crate) fn open(
        place: &DataPlace,
        writer: Arc<StoreWriter>,
        settings: AssetSettings,
    ) -> Result<Arc<Self>, StoreError> {
        let files = Arc::new(AssetFiles::of(place));
        let mut index = Index::default();
        for (key, bytes) in writer.store().assets()? {
            match bytes.and_then(|bytes| AssetRecord::of(&key, &bytes)) {
                Ok(record) => index.insert(record),
                Err(error @ StoreError::Damaged(_)) => {
                    if let Some(id) = AssetId::of_key(&key) {
                        tracing::error!(%id, %error, "a damaged asset is left out");
                        index.keep_damaged(id);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        for id in files.ids().into_iter().filter(|id| !index.holds(*id)) {
            match files.remove(id) {
                Ok(()) => tracing::info!(%id, "a file without an owner was removed"),
                Err(error) => tracing::warn!(%id, %error, "a file without an owner could not be removed"),
            }
        }
        for file in files.unfinished() {
            if let Err(error) = std::fs::remove_file(&file) {
                tracing::warn!(file = %file.display(), %error, "an unfinished upload could not be removed");
            }
        }
        Ok(Arc::new(Self {
            files,
            settings,
            state: Mutex::new(State::new(index)),
            examining: Semaphore::new(EXAMINED_AT_ONCE),
            writer,
            changes: tokio::sync::Mutex::default(),
        }))
    }

    /// An asset of an owner. Counts as a use.
    ///
    /// # Errors
    ///
    /// [`AssetError::Unknown`], also for an asset of another owner.
    pub(crate) fn find(&self, owner: &AssetOwner, id: AssetId) -> Result<pb::Asset, AssetError> {
        self.use_of(owner, id).ok_or(AssetError::Unknown(id))
    }

    /// An asset of an owner, if it has it. Counts as a use.
    pub(super) fn use_of(&self, owner: &AssetOwner, id: AssetId) -> Option<pb::Asset> {
        let mut state = self.state.lock();
        let name = owner.names().find(|name| state.index.get(name, id).is_some())?;
        if let Some(record) = state.index.touch(name, id, SystemTime::now(), USE_PERIOD) {
            // Under the lock, so that it is queued before any deletion of the record.
            self.writer.write(vec![put(record)], || ());
        }
        state.index.get(name, id).map(|record| record.asset(self.settings.keep))
    }

    /// The bytes of an asset, compared with its SHA-256. Blocks. Counts as a use.
    ///
    /// # Errors
    ///
    /// [`AssetError::Unknown`], or [`AssetError::Store`] if the file cannot be read or is not what was uploaded.
    pub(crate) fn read(&self, owner: &AssetOwner, id: AssetId) -> Result<Bytes, AssetError> {
        let size = self.find(owner, id)?.size;
        Ok(AssetReader::open(&self.files, id, size, 0..size)?.read(usize::MAX)?)
    }

    /// Opens a part of an asset of `size` bytes that [`Assets::find`] has found.
    ///
    /// # Errors
    ///
    /// [`AssetError::Store`] if its file is missing.
    pub(crate) async fn reader(&self, id: AssetId, size: u64, part: Range<u64>) -> Result<AssetReader, AssetError> {
        let files = self.files.clone();
        blocking(move || AssetReader::open(&files, id, size, part)).await
    }

    /// The file of an asset that [`Assets::find`] has found. Its content is not compared with its SHA-256 here. It is not
    /// changed, and removed when no owner has the asset any more.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if there is no folder of assets.
    pub(crate) fn file(&self, id: AssetId) -> Result<PathBuf, StoreError> {
        self.files.path(id)
    }

    /// At most `limit` assets of an owner after `after`, newest first, and where the next page begins. Fewer if they
    /// exceed `bytes_max` bytes, but at least one.
    pub(crate) fn list(
        &self,
        owner: &AssetOwner,
        after: Option<Page>,
        limit: usize,
        bytes_max: usize,
    ) -> (Vec<pb::Asset>, Option<Page>) {
        let state = self.state.lock();
        let place = |record: &AssetRecord| (record.created(), record.id());
        let mut records: Vec<&AssetRecord> = owner.names().flat_map(|name| state.index.of(name)).collect();
        records.retain(|record| after.is_none_or(|after| place(record) < (after.created, after.id)));
        records.sort_unstable_by_key(|record| std::cmp::Reverse(place(record)));
        let (mut assets, mut bytes, mut last) = (Vec::new(), 0, None);
        for record in records {
            let asset = record.asset(self.settings.keep);
            bytes += asset.encoded_len();
            if !assets.is_empty() && (assets.len() == limit || bytes > bytes_max) {
                return (assets, last);
            }
            last = Some(Page { created: record.created(), id: record.id() });
            assets.push(asset);
        }
        (assets, None)
    }

    /// What an owner's assets take, and the owner's quota.
    pub(crate) fn usage(&self, owner: &AssetOwner) -> Usage {
        let state = self.state.lock();
        let used = owner.names().map(|name| state.used(name)).sum();
        Usage { used, quota: self.settings.quota }
    }

    /// Deletes an asset of an owner, or its unfinished upload.
    ///
    /// # Errors
    ///
    /// [`AssetError::Unknown`] or [`AssetError::Store`].
    pub(crate) async fn delete(self: &Arc<Self>, owner: &AssetOwner, id: AssetId) -> Result<(), AssetError> {
        let name = {
            let state = self.state.lock();
            owner.names().find(|name| state.index.get(name, id).is_some()).cloned()
        };
        if let Some(name) = name {
            let assets = self.clone();
            // Runs to its end even if the call is dropped.
            let removed = tokio::spawn(async move { assets.remove(&name, id).await }).await;
            return removed.unwrap_or_else(|error| Err(StoreError::Io(error.to_string()).into()));
        }
        self.discard_upload(&owner.name, id).await
    }

    /// Makes an unfinished file an asset of an owner.
    pub(super) async fn keep(
        &self,
        owner: &str,
        (id, asset): (AssetId, pb::Asset),
        unfinished: PathBuf,
    ) -> Result<pb::Asset, AssetError> {
        let record = AssetRecord::new(id, owner, asset, SystemTime::now());
        let _changes = self.changes.lock().await;
        let files = self.files.clone();
        blocking(move || files.keep(&unfinished, id)).await?;
        if let Err(error) = self.writer.write_once(vec![put(&record)]).await {
            self.remove_file(id).await;
            return Err(error.into());
        }
        let asset = record.asset(self.settings.keep);
        self.state.lock().index.insert(record);
        Ok(asset)
    }

    /// Removes an asset of an owner, and its file if it was the last.
    pub(super) async fn remove(&self, owner: &str, id: AssetId) -> Result<(), AssetError> {
        let _changes = self.changes.lock().await;
        let record = {
            let mut state = self.state.lock();
            let record = state.index.get(owner, id).cloned().ok_or(AssetError::Unknown(id))?;
            state.index.remove(owner, id);
            record
        };
        let deletion = Write::DeleteAsset { key: record.key() };
        if let Err(error) = self.writer.write_once(vec![deletion]).await {
            self.state.lock().index.insert(record);
            return Err(error.into());
        }
        self.remove_file(id).await;
        Ok(())
    }

    /// Removes a file without an owner. One that cannot be removed is removed at the next start.
    async fn remove_file(&self, id: AssetId) {
        if self.state.lock().index.holds(id) {
            return;
        }
        let files = self.files.clone();
        if let Err(error) = blocking(move || files.remove(id)).await {
            tracing::warn!(%id, %error, "the file of a deleted asset could not be removed; the next start removes it");
        }
    }

    /// Deletes assets and unfinished uploads that are too old, at intervals. Never returns.
    pub(crate) async fn retention_loop(self: Arc<Self>) {
        loop {
            self.delete_old(SystemTime::now()).await;
            tokio::time::sleep(CHECK_PERIOD).await;
        }
    }

    pub(super) async fn delete_old(&self, now: SystemTime) {
        self.state.lock().discard_unused_for(self.settings.keep_unfinished);
        let Some(before) = now.checked_sub(self.settings.keep) else { return };
        let old = self.state.lock().index.unused_since(before);
        for (owner, id) in old {
            match self.remove(&owner, id).await {
                Ok(()) => tracing::debug!(%id, "an old asset was deleted"),
                Err(AssetError::Unknown(_)) => {}
                Err(error) => return tracing::warn!(%id, %error, "an old asset could not be deleted"),
            }
        }
    }
}

fn put(record: &AssetRecord) -> Write {
    Write::PutAsset { key: record.key(), record: record.encode() }
}
