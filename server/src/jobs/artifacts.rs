//! Reads pictures, for GetArtifact and for the events that carry their pieces. A picture of an ended job is compared with its
//! SHA-256 before the first piece of it is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use sakuga_proto::digest::hex;
use sakuga_proto::generation::v1::{self as generation, generate_event};
use sha2::{Digest as _, Sha256};

use super::caller::Caller;
use super::registry::Jobs;
use super::stored_events;
use crate::error::ServerError;
use crate::event_frame::EventFrame;
use crate::job_id::JobId;
use crate::journal::Entry;
use crate::limits::Limits;
use crate::store::{ArtifactStore, StoreError};
use crate::wire::frame;

/// The pictures of a job that a stream has compared with their SHA-256.
#[derive(Default)]
pub(crate) struct CheckedPictures {
    /// Size and SHA-256 of each picture by its index; empty while the job has not completed.
    expected: BTreeMap<u32, (u64, String)>,
    checked: BTreeSet<u32>,
}

impl CheckedPictures {
    /// None of the job's pictures is checked yet.
    pub(crate) fn of(job: &generation::Job) -> Self {
        let of_image = |(position, image): (usize, &generation::ImageInfo)| {
            (image.index_at(position), (image.size, image.sha256.clone()))
        };
        let expected = job.images.iter().enumerate().map(of_image).collect();
        Self { expected, checked: BTreeSet::new() }
    }
}

/// Reads a whole picture in pieces and compares it with its SHA-256.
///
/// # Errors
///
/// [`StoreError::Damaged`] if it is not what was written, or cannot be read as a whole.
pub(crate) async fn check_picture(
    artifacts: &dyn ArtifactStore,
    job: &str,
    image_index: u32,
    (size, sha256): (u64, &str),
) -> Result<(), StoreError> {
    let mut hash = Sha256::new();
    let mut offset = 0;
    while offset < size {
        let end = size.min(offset + Limits::CHUNK_BYTES_MAX as u64);
        hash.update(artifacts.get(job, image_index, offset..end).await?);
        offset = end;
    }
    compare(image_index, hash, sha256)
}

/// Compares the SHA-256 of a picture's file with that of what was written.
///
/// # Errors
///
/// [`StoreError::Damaged`] if they differ.
fn compare(image_index: u32, found: Sha256, sha256: &str) -> Result<(), StoreError> {
    match hex(&found.finalize()) == sha256 {
        true => Ok(()),
        false => Err(StoreError::Damaged(format!(
            "picture {image_index} is not what was written: its SHA-256 is not {sha256}"
        ))),
    }
}

impl Jobs {
    /// The description of a picture of a job. The file is compared with its SHA-256.
    ///
    /// # Errors
    ///
    /// [`ServerError::UnknownJob`], [`ServerError::InvalidRequest`], [`ServerError::NoPicture`], or [`ServerError::Store`], also
    /// for a file that is missing or not what was written.
    pub(crate) async fn picture(
        &self,
        caller: &Caller,
        job_id: &str,
        image_index: u32,
    ) -> Result<(JobId, generation::ImageInfo), ServerError> {
        let (id, image) = self.described(caller, job_id, image_index).await?;
        self.check_picture(&id, image_index, (image.size, &image.sha256)).await?;
        Ok((id, image))
    }

    /// The description of a picture of a job. Its file is not read.
    ///
    /// # Errors
    ///
    /// As of [`picture`](Self::picture), except for the file.
    pub(crate) async fn described(
        &self,
        caller: &Caller,
        job_id: &str,
        image_index: u32,
    ) -> Result<(JobId, generation::ImageInfo), ServerError> {
        let (id, record) = self.accessible(caller, job_id).await?;
        let why = match record.job().state() {
            generation::JobState::Completed => "it was not asked for",
            _ if record.is_ended() => "it was not completed",
            _ => "it has not ended yet",
        };
        let missing = || ServerError::NoPicture { job_id: id.to_string(), image_index, why };
        let mut images = record.into_job().images.into_iter().enumerate();
        let found = images.find(|(position, image)| image.index_at(*position) == image_index);
        let (_, image) = found.ok_or_else(missing)?;
        Ok((id, image))
    }

    async fn check_picture(&self, id: &JobId, image_index: u32, expected: (u64, &str)) -> Result<(), ServerError> {
        let checked = check_picture(self.dependencies.artifacts.as_ref(), id.as_str(), image_index, expected).await;
        Ok(checked.map_err(|error| error.of_job(id.as_str()))?)
    }

    /// The whole file of a picture of this size, compared with its SHA-256.
    ///
    /// # Errors
    ///
    /// [`ServerError::Store`], also for a file that is missing or not what was written.
    pub(crate) async fn whole_picture(
        &self,
        id: &JobId,
        image_index: u32,
        (size, sha256): (u64, &str),
    ) -> Result<Bytes, ServerError> {
        let mut file = BytesMut::new();
        while (file.len() as u64) < size {
            let begin = file.len() as u64;
            let end = size.min(begin + Limits::CHUNK_BYTES_MAX as u64);
            file.extend_from_slice(&self.piece(id, image_index, begin..end).await?);
        }
        let compared = compare(image_index, Sha256::new_with_prefix(&file), sha256);
        compared.map_err(|error| error.of_job(id.as_str()))?;
        Ok(file.freeze())
    }

    /// A part of a picture. It is not compared with anything.
    ///
    /// # Errors
    ///
    /// [`ServerError::Store`].
    pub(crate) async fn piece(&self, id: &JobId, image_index: u32, range: Range<u64>) -> Result<Bytes, ServerError> {
        let piece = self.dependencies.artifacts.get(id.as_str(), image_index, range).await;
        Ok(piece.map_err(|error| error.of_job(id.as_str()))?)
    }

    /// The encoded event of an entry. All readers share the bytes, except for a piece of a picture, which is read
    /// from the artifact store. The first piece of a picture that `pictures` knows has the whole picture checked.
    ///
    /// # Errors
    ///
    /// [`ServerError::Store`], also if the job was deleted meanwhile.
    pub(crate) async fn event(
        &self,
        id: &JobId,
        entry: Entry,
        pictures: &mut CheckedPictures,
    ) -> Result<EventFrame, ServerError> {
        let Some(piece) = entry.piece else { return Ok(entry.frame) };
        let expected = pictures.expected.get(&piece.image_index);
        if let Some((size, sha256)) = expected
            && pictures.checked.insert(piece.image_index)
        {
            self.check_picture(id, piece.image_index, (*size, sha256)).await?;
        }
        let mut event = stored_events::decode(entry.sequence, &entry.frame.event())?;
        if let Some(generate_event::Event::ImageChunk(chunk)) = &mut event.event {
            chunk.data = self.piece(id, piece.image_index, piece.offset..piece.offset + piece.len).await?;
        }
        Ok(frame::of_event(event))
    }
}
