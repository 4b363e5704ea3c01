//! The pictures of jobs, from the fleet's object store.

use bytes::Bytes;
use sakuga_proto::generation::v1::{ImageFormat, ImageInfo, JobState};

use super::Gateway;
use crate::error::ServerError;
use crate::fleet::error::to_server;
use crate::jobs::{Caller, Record, Thumbnail, check_edge, shrink};

/// What GetArtifact sends.
pub(super) struct Artifact {
    pub(super) file: Bytes,
    pub(super) sha256: String,
    pub(super) format: ImageFormat,
}

impl Gateway {
    /// The file of a picture, compared with its SHA-256, or a smaller version of it.
    ///
    /// # Errors
    ///
    /// [`ServerError::UnknownJob`], [`ServerError::InvalidRequest`], [`ServerError::NoPicture`] or [`ServerError::Store`].
    pub(super) async fn artifact(
        &self,
        caller: &Caller,
        (job_id, image_index): (&str, u32),
        max_edge_px: u32,
    ) -> Result<Artifact, ServerError> {
        if max_edge_px > 0 {
            check_edge(max_edge_px)?;
        }
        let record = self.accessible(caller, job_id).await?;
        let job = record.job().job_id.clone();
        let image = picture(&record, image_index)?;
        if max_edge_px == 0 {
            let file = self.whole(&job, &image.sha256).await?;
            return Ok(Artifact { file, sha256: image.sha256.clone(), format: ImageFormat::Png });
        }
        let make = async {
            let file = self.whole(&job, &image.sha256).await?;
            let made = tokio::task::spawn_blocking(move || shrink(&file, max_edge_px)).await;
            made.unwrap_or_else(|error| Err(ServerError::Internal(error.to_string())))
        };
        let Thumbnail { file, sha256 } = self.thumbnails.get(&(image.sha256.clone(), max_edge_px), make).await?;
        Ok(Artifact { file, sha256: sha256.to_string(), format: ImageFormat::Jpeg })
    }

    async fn whole(&self, job: &str, sha256: &str) -> Result<Bytes, ServerError> {
        self.objects.of_job(job).get_whole(sha256).await.map_err(to_server)
    }
}

/// The description of a picture of a job.
fn picture(record: &Record, image_index: u32) -> Result<&ImageInfo, ServerError> {
    let job = record.job();
    let mut images = job.images.iter().enumerate();
    let found = images.find(|(position, image)| image.index_at(*position) == image_index);
    let why = match job.state() {
        JobState::Completed => "it was not asked for",
        _ if record.is_ended() => "it was not completed",
        _ => "it has not ended yet",
    };
    found.map(|(_, image)| image).ok_or_else(|| ServerError::NoPicture { job_id: job.job_id.clone(), image_index, why })
}
