//! [`Claims`]: which job a repeated call means, decided by compare-and-set.

use async_nats::jetstream::kv::{CreateErrorKind, Operation, Store, UpdateErrorKind};
use sakuga_proto::digest::hex;
use sha2::{Digest as _, Sha256};

use crate::error::FleetError;
use crate::layout::DELETED_MARK;

/// Which job belongs to the name that a call gave: the `request_id` of one client. The dedupe window of JetStream lasts two
/// minutes only, so it cannot replace claims.
#[derive(Clone, Debug)]
pub struct Claims {
    bucket: Store,
}

/// Which job a name belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// To the job of this call. No other call gets this answer.
    New,
    /// To the job of an earlier call.
    Taken {
        /// That job.
        job: String,
        /// What [`Claims::replace`] compares.
        revision: u64,
    },
}

impl Claims {
    pub(crate) fn new(bucket: Store) -> Self {
        Self { bucket }
    }

    /// Gives the name `key` to `job` unless it belongs to another one. Of calls at the same time, on any gateways, one gets
    /// [`Claim::New`]. A call that is repeated for the same job gets it again.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`].
    pub async fn claim(&self, key: &[u8], job: &str) -> Result<Claim, FleetError> {
        let name = name(key);
        match self.bucket.create(&name, job.to_owned().into()).await {
            Ok(_) => return Ok(Claim::New),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {}
            Err(error) => return Err(FleetError::nats("claim a request_id", &error)),
        }
        match self.find(key).await? {
            // The answer to an earlier try of this call was lost.
            Some((taken_by, _)) if taken_by == job => Ok(Claim::New),
            Some((job, revision)) => Ok(Claim::Taken { job, revision }),
            None => Err(FleetError::Conflict("the request_id".into())),
        }
    }

    /// The job of a name and the revision of the claim; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`FleetError`].
    pub async fn find(&self, key: &[u8]) -> Result<Option<(String, u64)>, FleetError> {
        let entry = self.bucket.entry(name(key)).await;
        let entry = entry.map_err(|error| FleetError::nats("read a request_id", &error))?;
        let Some(entry) = entry.filter(|entry| entry.operation == Operation::Put) else { return Ok(None) };
        let job = String::from_utf8(entry.value.to_vec());
        let job = job.map_err(|_| FleetError::Damaged(format!("claim {}: not the id of a job", entry.key)))?;
        Ok(Some((job, entry.revision)))
    }

    /// Gives a name to another job: the gateway of the first one died between the claim and the record.
    ///
    /// # Errors
    ///
    /// [`FleetError::Conflict`] if another call was first, or [`FleetError::Nats`].
    pub async fn replace(&self, key: &[u8], job: &str, revision: u64) -> Result<(), FleetError> {
        let replaced = self.bucket.update(name(key), job.to_owned().into(), revision).await;
        replaced.map(drop).map_err(|error| match error.kind() {
            UpdateErrorKind::WrongLastRevision => FleetError::Conflict("the request_id".into()),
            _ => FleetError::nats("claim a request_id", &error),
        })
    }

    /// Frees the name of a job that was deleted.
    ///
    /// # Errors
    ///
    /// [`FleetError::Nats`].
    pub async fn release(&self, key: &[u8]) -> Result<(), FleetError> {
        let freed = self.bucket.purge_with_ttl(name(key), DELETED_MARK).await;
        freed.map_err(|error| FleetError::nats("free a request_id", &error))
    }
}

/// The key of the bucket: names of clients hold any bytes.
fn name(key: &[u8]) -> String {
    hex(&Sha256::digest(key))
}
