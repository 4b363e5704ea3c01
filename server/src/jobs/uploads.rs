//! The assets of a job's owner, for the files that its request names: pictures and adapters.

use std::path::PathBuf;

use bytes::Bytes;
use sakuga_proto::asset::v1::{Asset, asset::Facts};

use crate::adapters;
use crate::assets::{AssetError, AssetId, AssetOwner, Assets};
use crate::job_id::JobId;
use crate::request::images::Uploads;

/// The assets that a request may use.
pub(crate) struct OwnFiles<'a> {
    /// The files of all clients.
    pub(crate) assets: &'a Assets,
    /// The owner of the files that may be used.
    pub(crate) owner: &'a AssetOwner,
    /// The job that is recovered after a restart, for which the files from its request are kept.
    pub(crate) job: Option<&'a JobId>,
}

impl Uploads for OwnFiles<'_> {
    fn bytes(&self, sha256: &str) -> Result<Bytes, String> {
        let id = AssetId::parse(sha256).ok_or("has no valid name, which is 64 digits of 0 to 9 and a to f")?;
        // Assets of other owners are treated as unknown.
        let missing = || "does not exist".to_owned();
        let failed = |error: AssetError| match error {
            AssetError::Unknown(_) => missing(),
            error => format!("cannot be read: {error}"),
        };
        if let Some(job) = self.job {
            match self.assets.read(&AssetOwner::of_job(job), id) {
                Err(AssetError::Unknown(_)) => {}
                read => return read.map_err(failed),
            }
        }
        let Ok(Asset { facts, .. }) = self.assets.find(self.owner, id) else { return Err(missing()) };
        if !matches!(facts, Some(Facts::Picture(_))) {
            return Err("is not a picture".into());
        }
        self.assets.read(self.owner, id).map_err(failed)
    }
}

impl adapters::Uploads for OwnFiles<'_> {
    fn tensors(&self, sha256: &str) -> Option<Result<PathBuf, String>> {
        let id = AssetId::parse(sha256)?;
        // Assets of other owners are treated as unknown.
        let Asset { facts, .. } = self.assets.find(self.owner, id).ok()?;
        if !matches!(facts, Some(Facts::Tensors(_))) {
            return Some(Err("it is a picture, and adapters are safetensors files".to_owned()));
        }
        Some(self.assets.file(id).map_err(|error| format!("it cannot be read: {error}")))
    }
}
