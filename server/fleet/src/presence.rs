//! [`Presence`]: which workers are alive, and which models they have loaded.

use async_nats::jetstream::kv::{Operation, Store};
use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};

use crate::error::FleetError;
use crate::layout::PRESENCE_MAX_AGE;
use crate::names::token;

/// Which workers are alive. A worker announces itself every [`Presence::PERIOD`] and is gone six seconds after its last announcement.
#[derive(Clone, Debug)]
pub struct Presence {
    bucket: Store,
}

/// What a worker says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Announcement {
    /// The worker's name, the same over its life and of no other worker.
    pub worker: String,
    /// Version of its program.
    pub version: String,
    /// Its devices.
    pub devices: Vec<AnnouncedDevice>,
}

/// A device of a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AnnouncedDevice {
    /// Its full name.
    pub name: String,
    /// Whether it waits for a job.
    pub is_free: bool,
    /// The models whose weights are on it.
    pub loaded: Vec<String>,
    /// The models that it can load.
    pub loadable: Vec<String>,
}

impl Presence {
    /// How often a worker announces itself.
    pub const PERIOD: std::time::Duration = PRESENCE_MAX_AGE.checked_div(3).expect("a third");

    pub(crate) fn new(bucket: Store) -> Self {
        Self { bucket }
    }

    /// Announces a worker.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`].
    pub async fn announce(&self, announcement: &Announcement) -> Result<(), FleetError> {
        let failed = |error: &dyn std::error::Error| FleetError::nats("announce a worker", error);
        let value = serde_json::to_vec(announcement).map_err(|error| failed(&error))?;
        self.bucket.put(token(&announcement.worker), value.into()).await.map(drop).map_err(|error| failed(&error))
    }

    /// Removes a worker that ends.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`]; then it counts as present for six more seconds.
    pub async fn withdraw(&self, worker: &str) -> Result<(), FleetError> {
        self.bucket.delete(token(worker)).await.map_err(|error| FleetError::nats("withdraw a worker", &error))
    }

    /// The workers that are alive, by name. Announcements of other versions of the program are read as far as they are known.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`].
    pub async fn workers(&self) -> Result<Vec<Announcement>, FleetError> {
        let failed = |error: &dyn std::error::Error| FleetError::nats("list the workers", error);
        let keys: Vec<String> = match self.bucket.keys().await {
            Ok(keys) => keys.try_collect().await.map_err(|error| failed(&error))?,
            Err(error) => return Err(failed(&error)),
        };
        let mut workers = Vec::with_capacity(keys.len());
        for key in keys {
            let entry = self.bucket.entry(&key).await.map_err(|error| failed(&error))?;
            let Some(entry) = entry.filter(|entry| entry.operation == Operation::Put) else { continue };
            match serde_json::from_slice::<Announcement>(&entry.value) {
                Ok(worker) => workers.push(worker),
                Err(error) => tracing::warn!(key, %error, "an announcement cannot be read"),
            }
        }
        workers.sort_by(|one, other| one.worker.cmp(&other.worker));
        Ok(workers)
    }
}
