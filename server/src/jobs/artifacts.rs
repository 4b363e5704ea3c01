//! Reads pictures, for GetArtifact and for the events that carry their pieces.

use std::ops::Range;

use bytes::Bytes;
use prost::Message as _;
use sakuga_proto::generation::v1::{self as generation, generate_event};

use super::caller::Caller;
use super::registry::Jobs;
use super::stored_events;
use crate::error::ServerError;
use crate::job_id::JobId;
use crate::journal::Entry;

impl Jobs {
    /// The description of a picture of a job.
    ///
    /// # Errors
    ///
    /// [`ServerError::UnknownJob`], [`ServerError::InvalidRequest`], [`ServerError::NoPicture`] or [`ServerError::Store`].
    pub async fn picture(
        &self,
        caller: &Caller,
        job_id: &str,
        image_index: u32,
    ) -> Result<(JobId, generation::ImageInfo), ServerError> {
        let (id, record) = self.accessible(caller, job_id).await?;
        let why = match record.job().state() {
            generation::JobState::Completed => "it has fewer",
            _ if record.is_ended() => "it was not completed",
            _ => "it has not ended yet",
        };
        let missing = || ServerError::NoPicture { job_id: id.to_string(), image_index, why };
        let image = record.into_job().images.into_iter().nth(image_index as usize).ok_or_else(missing)?;
        Ok((id, image))
    }

    /// A part of a picture.
    ///
    /// # Errors
    ///
    /// [`ServerError::Store`].
    pub async fn piece(&self, id: &JobId, image_index: u32, range: Range<u64>) -> Result<Bytes, ServerError> {
        Ok(self.dependencies.artifacts.get(id.as_str(), image_index, range).await?)
    }

    /// The encoded `GenerateEvent` of an entry. All readers share the bytes, except for a piece of a picture, which is read
    /// from the artifact store.
    ///
    /// # Errors
    ///
    /// [`ServerError::Store`], also if the job was deleted meanwhile.
    pub async fn event(&self, id: &JobId, entry: Entry) -> Result<Bytes, ServerError> {
        let Some(piece) = entry.piece else { return Ok(entry.message) };
        let mut event = stored_events::decode(entry.sequence, &entry.message)?;
        if let Some(generate_event::Event::ImageChunk(chunk)) = &mut event.event {
            chunk.data = self.piece(id, piece.image_index, piece.offset..piece.offset + piece.len).await?;
        }
        Ok(event.encode_to_vec().into())
    }
}
