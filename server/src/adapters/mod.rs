//! Adapters that requests may use: files in the server's folder and files that clients uploaded, with the models that they fit.
//!
//! [`Adapters`] keeps a [`Listing`] of the folder up to date and looks up the adapters of a request: in the listing, and by SHA-256
//! also in the caller's [uploads](Uploads). Files are described by each model's
//! [`AdapterInspector`](sakuga_model_core::AdapterInspector), so no file format is known here.

mod choose;
mod folder;
mod inspect;
mod listing;
mod uploaded;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use sakuga_model_core::AdapterChoice;

pub(crate) use choose::{AdapterSource, RequestedAdapter};
use choose::{Offer, is_uploaded};
use folder::FolderWatch;
pub(crate) use folder::warn_if_unreadable;
pub(crate) use inspect::Inspectors;
pub(crate) use listing::{ListedAdapter, Listing, UnusableFile};
use uploaded::UploadedAdapters;
pub(crate) use uploaded::Uploads;

use crate::error::Violation;
use crate::models::ServedModel;

/// Time between two scans of the folder.
const SCAN_INTERVAL: Duration = Duration::from_secs(1);

/// The adapters of this server.
pub(crate) struct Adapters {
    /// `None`: the server has no folder of adapters.
    watch: Option<Mutex<FolderWatch>>,
    listing: RwLock<Arc<Listing>>,
    uploaded: UploadedAdapters,
}

impl Adapters {
    /// The adapters in `folder`, which is read at once. `inspectors` has one for each model, in the order of the configuration.
    pub(crate) fn new(folder: Option<PathBuf>, inspectors: Inspectors) -> Self {
        let watch = folder.map(|folder| Mutex::new(FolderWatch::new(folder, inspectors.clone())));
        let adapters = Self { watch, listing: RwLock::default(), uploaded: UploadedAdapters::new(inspectors) };
        adapters.scan();
        adapters
    }

    /// What is known of the folder.
    pub(crate) fn listing(&self) -> Arc<Listing> {
        self.listing.read().clone()
    }

    /// Scans the folder and reads what is new in it. Blocks.
    pub(crate) fn scan(&self) {
        let Some(watch) = &self.watch else { return };
        let changed = watch.lock().scan();
        if let Some(listing) = changed {
            *self.listing.write() = Arc::new(listing);
        }
    }

    /// Scans the folder at intervals, without end.
    pub(crate) async fn keep_up_to_date(self: Arc<Self>) {
        if self.watch.is_none() {
            return;
        }
        loop {
            tokio::time::sleep(SCAN_INTERVAL).await;
            let adapters = self.clone();
            if tokio::task::spawn_blocking(move || adapters.scan()).await.is_err() {
                tracing::error!("the folder of adapters is no longer watched: a scan failed");
                return;
            }
        }
    }

    /// The adapters that a request for `model` names, in the folder or among the caller's `uploads`. Every fault is added to
    /// `faults`. Reads an uploaded file that is new. Blocks.
    pub(crate) fn choose(
        &self,
        requested: Vec<RequestedAdapter>,
        model: &ServedModel,
        uploads: &dyn Uploads,
        faults: &mut Vec<Violation>,
    ) -> Vec<AdapterChoice> {
        if requested.is_empty() || !choose::may_have(&requested, model, faults) {
            return Vec::new();
        }
        let mut listing = self.listing();
        let mut uploaded = Vec::new();
        for sha256 in is_uploaded(&requested, &listing) {
            if let Some(found) = self.uploaded.find(sha256, uploads) {
                uploaded.push((sha256.to_owned(), found));
            }
        }
        // A file may have been added a moment ago.
        let is_known = |adapter: &RequestedAdapter| adapter.is_in(&Offer { listing: &listing, uploaded: &uploaded });
        if !requested.iter().all(is_known) {
            self.scan();
            listing = self.listing();
        }
        let offer = Offer { listing: &listing, uploaded: &uploaded };
        choose::choose(&requested, offer, self.watch.is_some(), model, faults)
    }
}
