//! Uploads: a call continues an unfinished file, or begins one, and appends to it. The file stays when the call ends early, and
//! the next call of the same owner continues it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sakuga_proto::asset::v1 as pb;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

use super::error::AssetError;
use super::examine::{HEAD_BYTES, Kind, examine};
use super::id::{AssetId, AssetOwner};
use super::registry::Assets;
use super::unfinished::{Progress, Unfinished};
use crate::store::StoreError;

/// What a call that begins an upload gets.
pub(crate) enum StartedUpload {
    /// The owner has the asset already.
    Existing(pb::Asset),
    /// The bytes are to be written.
    Upload(Upload),
}

/// The right to append to an unfinished file, until it is dropped.
pub(crate) struct Upload {
    assets: Arc<Assets>,
    unfinished: Arc<Unfinished>,
    /// `None` only within a method.
    progress: Option<OwnedMutexGuard<Progress>>,
    superseded: CancellationToken,
}

impl Assets {
    /// Begins or continues the upload of an owner's file. `offset` is where its next bytes begin.
    ///
    /// # Errors
    ///
    /// [`AssetError::Offset`] if the bytes that the server has end elsewhere, or another [`AssetError`] that says why
    /// nothing may be uploaded.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        owner: &AssetOwner,
        id: AssetId,
        size: u64,
        offset: u64,
    ) -> Result<StartedUpload, AssetError> {
        loop {
            if let Some(asset) = self.use_of(owner, id) {
                return Ok(StartedUpload::Existing(asset));
            }
            let unfinished = self.state.lock().upload_or_new(&owner.name, id, size, &self.settings)?;
            let superseded = CancellationToken::new();
            std::mem::replace(&mut *unfinished.newest.lock(), superseded.clone()).cancel();
            let progress = unfinished.progress.clone().lock_owned().await;
            if progress.is_over {
                // The older call has made it an asset, or discarded it.
                continue;
            }
            *unfinished.seen.lock() = Instant::now();
            let upload = Upload { assets: self.clone(), unfinished, progress: Some(progress), superseded };
            if upload.superseded.is_cancelled() {
                return Err(AssetError::Superseded);
            }
            return match upload.received() == offset {
                true => Ok(StartedUpload::Upload(upload)),
                false => Err(AssetError::Offset { offset: upload.received(), size: upload.unfinished.size }),
            };
        }
    }

    /// Discards the upload of an owner's file. A call that is writing it ends.
    pub(super) async fn discard_upload(&self, owner: &Arc<str>, id: AssetId) -> Result<(), AssetError> {
        let unfinished = self.state.lock().upload(owner, id).ok_or(AssetError::Unknown(id))?;
        unfinished.newest.lock().cancel();
        let mut progress = unfinished.progress.lock().await;
        self.state.lock().discard(&unfinished, &mut progress);
        Ok(())
    }
}

/// An upload without any bytes is forgotten at once, so that what it announced does not count.
impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(progress) = &mut self.progress
            && progress.received == 0
        {
            self.assets.state.lock().discard(&self.unfinished, progress);
        }
    }
}

impl Upload {
    /// Bytes received so far.
    pub(crate) fn received(&self) -> u64 {
        self.progress.as_ref().map_or(0, |progress| progress.received)
    }

    /// Cancelled when a newer call takes over.
    pub(crate) fn superseded(&self) -> CancellationToken {
        self.superseded.clone()
    }

    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// [`AssetError::TooLong`] or [`AssetError::Unusable`], which discard the upload; [`AssetError::Store`] if the bytes cannot
    /// be written, which can be tried again.
    pub(crate) async fn write(&mut self, data: Bytes) -> Result<(), AssetError> {
        let Some(mut progress) = self.progress.take() else { return Err(AssetError::Superseded) };
        let size = self.unfinished.size;
        if data.len() as u64 > size - progress.received {
            self.discard(&mut progress);
            return Err(AssetError::TooLong { size });
        }
        let files = self.assets.files.clone();
        let appended = tokio::task::spawn_blocking(move || {
            let appended = progress.append(&files, &data);
            (progress, appended)
        });
        let (mut progress, appended) = appended.await.map_err(|error| StoreError::Io(error.to_string()))?;
        *self.unfinished.seen.lock() = Instant::now();
        let mut checked = appended.map_err(AssetError::from);
        if checked.is_ok() && (progress.head.len() == HEAD_BYTES || progress.received == size) {
            checked = Kind::of(&progress.head, size, &self.assets.settings.picture).map(drop);
            if checked.is_err() {
                self.discard(&mut progress);
            }
        }
        self.progress = Some(progress);
        checked
    }

    /// Makes the whole file an asset, even if the caller stops waiting.
    ///
    /// # Errors
    ///
    /// [`AssetError::Offset`] if bytes are missing, after which the upload can be continued; [`AssetError::HashMismatch`],
    /// [`AssetError::Unusable`] or [`AssetError::Store`], which discard it.
    pub(crate) async fn finish(self) -> Result<pb::Asset, AssetError> {
        let finished = tokio::spawn(self.complete()).await;
        finished.unwrap_or_else(|error| Err(StoreError::Io(error.to_string()).into()))
    }

    async fn complete(mut self) -> Result<pb::Asset, AssetError> {
        let Some(mut progress) = self.progress.take() else { return Err(AssetError::Superseded) };
        let (size, offset) = (self.unfinished.size, progress.received);
        if offset < size {
            self.progress = Some(progress);
            return Err(AssetError::Offset { offset, size });
        }
        let kept = self.keep(&progress).await;
        self.discard(&mut progress);
        kept
    }

    async fn keep(&self, progress: &Progress) -> Result<pb::Asset, AssetError> {
        let Unfinished { owner, size, id, .. } = &*self.unfinished;
        let found = AssetId::of(progress.hash.clone());
        if found != *id {
            return Err(AssetError::HashMismatch { expected: *id, found });
        }
        let missing = || StoreError::Io("the file of the upload is missing".into());
        let path = progress.file.as_ref().map(|(_, path)| path.clone()).ok_or_else(missing)?;
        // The semaphore is never closed.
        let permit = self.assets.examining.acquire().await.ok();
        let (file, limits) = (path.clone(), self.assets.settings.picture);
        let examined = tokio::task::spawn_blocking(move || examine(&file, &limits)).await;
        let (kind, facts) = examined.map_err(|error| StoreError::Io(error.to_string()))??;
        drop(permit);
        let asset = pb::Asset { size: *size, kind: kind.into(), facts: Some(facts), ..pb::Asset::default() };
        self.assets.keep(owner, (*id, asset), path).await
    }

    fn discard(&self, progress: &mut Progress) {
        self.assets.state.lock().discard(&self.unfinished, progress);
    }
}
