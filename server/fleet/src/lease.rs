//! [`Lease`]: at most one process holds a role, such as that of the scheduler.

use std::time::Duration;

use async_nats::jetstream::kv::{CreateErrorKind, Store, UpdateErrorKind};
use tokio::time::Instant;

use crate::error::FleetError;

/// Safety margin for clock drift and delivery.
const MARGIN: Duration = Duration::from_millis(500);

/// The roles that at most one process holds each. NATS removes a lease that is not renewed in time. Leases measure durations on one
/// clock, so differing clocks of hosts do not matter.
#[derive(Clone, Debug)]
pub struct Leases {
    bucket: Store,
    life: Duration,
}

/// A lease that this process holds.
#[derive(Debug)]
pub struct Lease {
    bucket: Store,
    role: String,
    holder: String,
    life: Duration,
    /// What the next renewal compares.
    revision: u64,
    /// The revision of the first renewal: later holders have larger ones.
    term: u64,
    /// When the newest renewal was sent.
    renewed: Instant,
}

impl Leases {
    pub(crate) fn new(bucket: Store, life: Duration) -> Self {
        Self { bucket, life }
    }

    /// Takes the role if no process holds it; `None` if one does. `holder` is what others read, such as an address.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`].
    pub async fn acquire(&self, role: &str, holder: &str) -> Result<Option<Lease>, FleetError> {
        let renewed = Instant::now();
        match self.bucket.create(role, holder.to_owned().into()).await {
            Ok(revision) => Ok(Some(Lease {
                bucket: self.bucket.clone(),
                role: role.to_owned(),
                holder: holder.to_owned(),
                life: self.life,
                revision,
                term: revision,
                renewed,
            })),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(FleetError::nats("acquire a lease", &error)),
        }
    }

    /// Who holds a role; `None` if no process does.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`].
    pub async fn holder(&self, role: &str) -> Result<Option<String>, FleetError> {
        let value = self.bucket.get(role).await.map_err(|error| FleetError::nats("read a lease", &error))?;
        Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()).filter(|holder| !holder.is_empty()))
    }
}

impl Lease {
    /// How often to renew it: four times in its life.
    pub fn period(&self) -> Duration {
        self.life / 4
    }

    /// The number of this term. A later holder has a larger one.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// Whether the lease is certainly still held: it was renewed so recently that the server cannot have removed it.
    pub fn is_held(&self) -> bool {
        self.renewed.elapsed() + MARGIN.min(self.life / 4) < self.life
    }

    /// Renews the lease. Returns false if another process holds it, or it has run out.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`] if it is not known; it may be tried again as long as [`is_held`](Self::is_held).
    pub async fn renew(&mut self) -> Result<bool, FleetError> {
        let sent = Instant::now();
        match self.bucket.update(&self.role, self.holder.clone().into(), self.revision).await {
            Ok(revision) => {
                (self.revision, self.renewed) = (revision, sent);
                Ok(true)
            }
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => self.adopt_lost_answer(sent).await,
            Err(error) => Err(FleetError::nats("renew a lease", &error)),
        }
    }

    /// Frees the role for another process.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`]; then it is free after its life.
    pub async fn release(self) -> Result<(), FleetError> {
        let deleted = self.bucket.delete_expect_revision(&self.role, Some(self.revision)).await;
        deleted.map_err(|error| FleetError::nats("release a lease", &error))
    }

    /// A renewal may have been stored although its answer was lost: then the newest value is this process's own.
    async fn adopt_lost_answer(&mut self, sent: Instant) -> Result<bool, FleetError> {
        let entry = self.bucket.entry(&self.role).await.map_err(|error| FleetError::nats("read a lease", &error))?;
        match entry {
            Some(entry) if entry.value == self.holder.as_bytes() && entry.revision > self.revision => {
                self.revision = entry.revision;
                let sent_again = self.bucket.update(&self.role, self.holder.clone().into(), self.revision).await;
                if let Ok(revision) = sent_again {
                    (self.revision, self.renewed) = (revision, sent);
                }
                Ok(self.is_held())
            }
            _ => Ok(false),
        }
    }
}
