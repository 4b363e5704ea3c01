//! [`FinishTask`]: encodes, stores and announces the pictures of a job.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sakuga_model_core::{EvaluationReuse, Rgb8, Stage, Timings};

use super::sink::ArtifactSink;
use crate::error::ServerError;
use crate::estimate::JobMeasurements;
use crate::event::{CancelReason, EventBody, FinishedImage, JobTimings};
use crate::job::{Job, JobRequest};
use crate::limits::Limits;
use crate::picture::{self, TextChunk};
use crate::wire::metadata;

/// Records the time from a job's pixels to its files, and returns the job's measurements.
pub(crate) type OnEncoded = Box<dyn FnOnce(&JobRequest, Duration) -> JobMeasurements + Send>;

/// A job whose pixels are complete.
pub(crate) struct FinishTask {
    pub job: Job,
    /// The full name of the device that drew it.
    pub device: Arc<str>,
    /// Its pictures, as [`GenerationSpec::drawn`](sakuga_model_core::GenerationSpec::drawn) names them.
    pub images: Vec<Rgb8>,
    /// What the step cache reused for each picture; empty without a step cache.
    pub reused: Vec<EvaluationReuse>,
    /// Times of the engine's stages.
    pub timings: Timings,
    /// When the pixels were complete.
    pub drawn_at: Instant,
    /// How long the job waited in the queue.
    pub queued: Duration,
    /// How long its model took to be loaded; `None`: it was on the device.
    pub load_model: Option<Duration>,
    /// Steps that were done.
    pub steps_done: u32,
    /// Called when the pictures are files.
    pub on_encoded: OnEncoded,
}

impl FinishTask {
    pub(super) fn run(self, sink: &ArtifactSink) {
        let FinishTask { job, device, images, reused, timings, drawn_at, queued, load_model, steps_done, on_encoded } =
            self;
        let handed_over = drawn_at.elapsed();
        let span = tracing::info_span!("job", job_id = %job.handle.id, request_id = %job.request.request_id);
        let _entered = span.enter();
        let pass = job.request.passes();
        job.events.publish(EventBody::Stage { stage: Stage::EncodeImage, pass });
        sink.gate.wait_for_room(&job.handle);
        let begun = Instant::now();
        let texts = match job.request.texts.on(&device) {
            Ok(texts) => texts,
            Err(error) => {
                tracing::error!(%error, "failed");
                job.events.publish(EventBody::Failed(error));
                return;
            }
        };
        let mut texts = texts.into_iter();
        let mut finished = Vec::with_capacity(images.len());
        let drawn = job.request.spec.drawn();
        for ((position, index), picture) in drawn.iter().copied().enumerate().zip(images) {
            let texts = texts.next().unwrap_or_default();
            if job.handle.cancel_reason().is_none() {
                match store(&job, index, (&picture, reused.get(position)), texts, sink) {
                    Ok(image) => {
                        finished.push(image);
                        continue;
                    }
                    Err(error) if job.handle.cancel_reason().is_none() => {
                        tracing::error!(%error, "failed");
                        sink.discard(&job.handle, index + 1);
                        job.events.publish(EventBody::Failed(error));
                        return;
                    }
                    // The job was cancelled while its picture could not be stored.
                    Err(_) => {}
                }
            }
            let reason = job.handle.cancel_reason().unwrap_or(CancelReason::Requested);
            tracing::info!(at_step = steps_done, ?reason, "cancelled");
            sink.discard(&job.handle, index + 1);
            return job.cancelled(steps_done, reason);
        }
        // All pieces are stored before the first is announced.
        drawn.iter().zip(&finished).for_each(|(index, image)| announce(&job, *index, image.size));
        let encode_image = begun.elapsed();
        let measured = Box::new(on_encoded(&job.request, handed_over + encode_image));
        let timings = JobTimings {
            queued,
            load_model,
            text_encode: timings.text_encode,
            denoise: timings.denoise(),
            vae_encode: Some(timings.vae_encode).filter(|time| !time.is_zero()),
            decode: timings.decode,
            encode_image,
            total: job.accepted.elapsed(),
        };
        tracing::info!(images = finished.len(), total_ms = timings.total.as_millis() as u64, "completed");
        job.events.publish(EventBody::Completed { images: finished, timings, measured });
    }
}

/// Encodes and stores a picture.
fn store(
    job: &Job,
    image_index: u32,
    picture: (&Rgb8, Option<&EvaluationReuse>),
    texts: Vec<TextChunk>,
    sink: &ArtifactSink,
) -> Result<FinishedImage, ServerError> {
    let (file, image) = encode(picture, texts)?;
    sink.put(&job.handle, image_index, file)?;
    Ok(image)
}

/// Announces a picture piece by piece.
fn announce(job: &Job, image_index: u32, total_size: u64) {
    for offset in (0..total_size).step_by(Limits::CHUNK_BYTES_MAX) {
        let len = (total_size - offset).min(Limits::CHUNK_BYTES_MAX as u64);
        job.events.publish(EventBody::ImageChunk { image_index, offset, total_size, len });
    }
}

fn encode(
    (picture, reused): (&Rgb8, Option<&EvaluationReuse>),
    mut texts: Vec<TextChunk>,
) -> Result<(Bytes, FinishedImage), ServerError> {
    let internal = |error: &dyn std::error::Error| ServerError::Internal(error.to_string());
    if let Some(reused) = reused {
        texts.push(metadata::reuse_chunk(reused).map_err(|error| internal(&error))?);
    }
    let file = Bytes::from(picture::encode_png(picture, &texts).map_err(|error| internal(&error))?);
    let image = FinishedImage {
        sha256: picture::sha256_hex(&file),
        pixels_sha256: picture::sha256_hex(&picture.pixels),
        width_px: picture.width_px,
        height_px: picture.height_px,
        size: file.len() as u64,
        reused: reused.cloned(),
    };
    Ok((file, image))
}
