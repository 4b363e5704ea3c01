//! [`State`]: the records of all assets and the unfinished uploads of all owners.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::error::AssetError;
use super::id::AssetId;
use super::index::Index;
use super::settings::AssetSettings;
use super::unfinished::{Progress, Unfinished};

/// The records of all assets and the unfinished uploads of all owners.
#[derive(Default)]
pub(super) struct State {
    pub(super) index: Index,
    uploads: HashMap<(Arc<str>, AssetId), Arc<Unfinished>>,
}

impl State {
    /// These records, without any upload.
    pub(super) fn new(index: Index) -> Self {
        Self { index, uploads: HashMap::new() }
    }

    /// Bytes of an owner's assets and unfinished uploads.
    pub(super) fn used(&self, owner: &str) -> u64 {
        let unfinished = self.uploads.values().filter(|upload| *upload.owner == *owner).map(|upload| upload.size);
        self.index.usage(owner).1 + unfinished.sum::<u64>()
    }

    /// The unfinished upload of an owner's file.
    pub(super) fn upload(&self, owner: &Arc<str>, id: AssetId) -> Option<Arc<Unfinished>> {
        self.uploads.get(&(owner.clone(), id)).cloned()
    }

    /// The unfinished upload of an owner's file, or a new one if it may have another.
    pub(super) fn upload_or_new(
        &mut self,
        owner: &Arc<str>,
        id: AssetId,
        size: u64,
        settings: &AssetSettings,
    ) -> Result<Arc<Unfinished>, AssetError> {
        if let Some(unfinished) = self.upload(owner, id) {
            return match unfinished.size == size {
                true => Ok(unfinished),
                false => Err(AssetError::OtherSize { size: unfinished.size }),
            };
        }
        if self.index.usage(owner).0 >= settings.assets_per_owner {
            return Err(AssetError::TooManyAssets { limit: settings.assets_per_owner });
        }
        let used = self.used(owner);
        if used.saturating_add(size) > settings.quota {
            return Err(AssetError::Quota { size, used, quota: settings.quota });
        }
        let own = self.uploads.values().filter(|upload| upload.owner == *owner).count();
        if own >= settings.uploads_per_owner && !self.discard_oldest(owner) {
            return Err(AssetError::TooManyUploads { limit: settings.uploads_per_owner });
        }
        if self.uploads.len() >= settings.uploads {
            return Err(AssetError::TooManyUploads { limit: settings.uploads });
        }
        let unfinished = Arc::new(Unfinished::new(owner.clone(), id, size));
        self.uploads.insert((owner.clone(), id), unfinished.clone());
        Ok(unfinished)
    }

    /// Removes an unfinished upload and its file.
    pub(super) fn discard(&mut self, unfinished: &Unfinished, progress: &mut Progress) {
        if !progress.is_over {
            progress.discard();
            self.uploads.remove(&(unfinished.owner.clone(), unfinished.id));
        }
    }

    /// Removes the upload of an owner that no call has continued for the longest time; `false` if all are being written.
    fn discard_oldest(&mut self, owner: &str) -> bool {
        let mut uploads: Vec<Arc<Unfinished>> =
            self.uploads.values().filter(|upload| *upload.owner == *owner).cloned().collect();
        uploads.sort_by_key(|upload| *upload.seen.lock());
        uploads.iter().any(|unfinished| self.discard_unused(unfinished))
    }

    /// Removes the uploads that no call has continued for `time`.
    pub(super) fn discard_unused_for(&mut self, time: Duration) {
        let uploads: Vec<Arc<Unfinished>> = self.uploads.values().cloned().collect();
        for unfinished in uploads {
            if unfinished.seen.lock().elapsed() >= time {
                self.discard_unused(&unfinished);
            }
        }
    }

    /// Removes an upload unless a call writes it; returns whether it did.
    fn discard_unused(&mut self, unfinished: &Unfinished) -> bool {
        let Ok(mut progress) = unfinished.progress.try_lock() else { return false };
        self.discard(unfinished, &mut progress);
        true
    }
}
