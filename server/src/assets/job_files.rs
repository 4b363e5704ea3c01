//! The files that came within the request of a job. Each is an asset that belongs to the job alone: no client sees it, it counts
//! towards no quota, and it is kept until the job has ended, so that the job can be drawn again after a restart.

use bytes::Bytes;
use sakuga_proto::asset::v1 as pb;

use super::blocking::blocking;
use super::error::AssetError;
use super::id::{AssetId, AssetOwner};
use super::registry::Assets;
use crate::job_id::JobId;

impl Assets {
    /// Keeps the files of a job's request until [`Assets::release_job`]. They are not examined here.
    ///
    /// # Errors
    ///
    /// [`AssetError::Store`] if they cannot be written. Those that were written before stay.
    pub(crate) async fn keep_for_job(&self, job: &JobId, contents: Vec<Bytes>) -> Result<(), AssetError> {
        let owner = AssetOwner::of_job(job);
        for content in contents {
            let asset = pb::Asset { size: content.len() as u64, ..pb::Asset::default() };
            let (id, files) = (AssetId::of_bytes(&content), self.files.clone());
            let path = blocking(move || files.write_unfinished(&content)).await?;
            if let Err(error) = self.keep(&owner.name, (id, asset), path.clone()).await {
                // There is nothing to remove if it has become the file of the asset.
                let _ = std::fs::remove_file(path);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Removes the files of a job's request. A file that cannot be removed now is removed at the next start.
    pub(crate) async fn release_job(&self, job: &JobId) {
        let owner = AssetOwner::of_job(job);
        let ids: Vec<AssetId> = self.state.lock().index.of(&owner.name).map(|record| record.id()).collect();
        for id in ids {
            match self.remove(&owner.name, id).await {
                Ok(()) | Err(AssetError::Unknown(_)) => {}
                Err(error) => {
                    tracing::warn!(%id, job_id = %job, %error, "a file of an ended job stays until the next start");
                }
            }
        }
    }

    /// Whether files of a job's request are kept.
    pub(crate) fn has_files_of_job(&self, job: &JobId) -> bool {
        self.state.lock().index.of(&AssetOwner::of_job(job).name).next().is_some()
    }

    /// The owners of stored files that are jobs, in any state.
    pub(crate) fn jobs_with_files(&self) -> Vec<JobId> {
        self.state.lock().index.owners().filter_map(AssetOwner::job_of).collect()
    }
}
