//! Adapters that requests may use: the files of the server's folder, what they are, and which models they fit.
//!
//! [`Adapters`] keeps a [`Listing`] of the folder up to date and finds the adapters that a request names in it. The models say
//! what a file is, by their [`AdapterInspector`](sakuga_model_core::AdapterInspector)s; nothing here knows a format.

mod choose;
mod folder;
mod listing;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use sakuga_model_core::AdapterChoice;

pub(crate) use choose::{AdapterSource, RequestedAdapter};
use folder::FolderWatch;
pub(crate) use folder::Inspectors;
pub(crate) use listing::{ListedAdapter, Listing, UnusableFile};

use crate::error::Violation;
use crate::models::ServedModel;

/// Time between two scans of the folder.
const SCAN_INTERVAL: Duration = Duration::from_secs(1);

/// The adapters of this server.
pub(crate) struct Adapters {
    /// `None`: the server has no folder of adapters.
    watch: Option<Mutex<FolderWatch>>,
    listing: RwLock<Arc<Listing>>,
}

impl Adapters {
    /// The adapters in `folder`, which is read at once. `inspectors` has one for each model, in the order of the configuration.
    pub(crate) fn new(folder: Option<PathBuf>, inspectors: Inspectors) -> Self {
        let watch = folder.map(|folder| Mutex::new(FolderWatch::new(folder, inspectors)));
        let adapters = Self { watch, listing: RwLock::default() };
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

    /// The adapters that a request for `model` names. Every fault is added to `faults`.
    pub(crate) fn choose(
        &self,
        requested: Vec<RequestedAdapter>,
        model: &ServedModel,
        faults: &mut Vec<Violation>,
    ) -> Vec<AdapterChoice> {
        if requested.is_empty() {
            return Vec::new();
        }
        let listing = self.listing();
        // A file may have been added a moment ago.
        let listing = match requested.iter().all(|adapter| adapter.is_in(&listing)) {
            true => listing,
            false => {
                self.scan();
                self.listing()
            }
        };
        choose::choose(&requested, &listing, self.watch.is_some(), model, faults)
    }
}
