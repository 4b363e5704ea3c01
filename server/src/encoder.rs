//! The thread that turns pixels into files, so that the worker never waits for a codec.
//!
//! It works in order, so a job's previews are out before its pictures are. A preview that is still waiting when a newer
//! one of the same picture comes is replaced. At most [`FINISHED_MAX`] finished jobs wait; then the worker does.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sakuga_model_core::{PreviewMethod, Rgb8, Stage, Timings};
use tokio::runtime::Handle;

use crate::error::ServerError;
use crate::event::{CancelReason, EventBody, FinishedImage, JobTimings, Preview};
use crate::job::{Job, JobHandle};
use crate::journal::Journal;
use crate::limits::Limits;
use crate::picture::{self, EncodeError};
use crate::preview::{self, PreviewPolicy};
use crate::retention::RetentionGate;
use crate::store::{ArtifactStore, StoreError};
use crate::sync::lock;

/// Finished jobs whose pictures may wait: one in work and one in reserve keep this thread busy.
pub const FINISHED_MAX: usize = 2;
/// How long a picture that cannot be written is tried again, and how often.
const PUT_PATIENCE: Duration = Duration::from_secs(30);
const PUT_PAUSE: Duration = Duration::from_millis(250);

/// A picture to be previewed.
#[derive(Debug)]
pub struct PreviewTask {
    /// Its job.
    pub handle: JobHandle,
    /// Where the preview goes.
    pub events: Arc<Journal>,
    /// How it is encoded.
    pub policy: PreviewPolicy,
    /// Which picture.
    pub image_index: u32,
    /// The step after which it was drawn.
    pub step: u32,
    /// How it was drawn.
    pub method: PreviewMethod,
    /// Its pixels.
    pub picture: Rgb8,
}

/// A job whose pictures are drawn.
#[derive(Debug)]
pub struct FinishTask {
    /// The job.
    pub job: Job,
    /// Its pictures.
    pub images: Vec<Rgb8>,
    /// Where the engine's time went.
    pub timings: Timings,
    /// How long it waited.
    pub queued: Duration,
    /// Steps that were done.
    pub steps_done: u32,
}

/// The thread. Dropping it gives up what waits.
pub struct Encoder {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Where the thread puts files, whether there is room for them, and the runtime that does it.
struct ArtifactSink {
    artifacts: Arc<dyn ArtifactStore>,
    gate: Arc<RetentionGate>,
    runtime: Handle,
}

enum Task {
    Preview(PreviewTask),
    Finish(Box<FinishTask>),
}

#[derive(Default)]
struct Waiting {
    tasks: VecDeque<Task>,
    is_closing: bool,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Told when there is a task, or the end has come.
    work: Condvar,
    /// Told when a finished job was taken.
    room: Condvar,
}

impl Encoder {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// What the system says if there can be no thread.
    pub fn start(
        artifacts: Arc<dyn ArtifactStore>,
        gate: Arc<RetentionGate>,
        runtime: Handle,
    ) -> std::io::Result<Self> {
        let sink = ArtifactSink { artifacts, gate, runtime };
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        let thread = thread::Builder::new().name("sakuga-encode".into()).spawn(move || {
            while let Some(task) = own.next() {
                // A job whose encoder panics ends as lost, and the thread goes on.
                if catch_unwind(AssertUnwindSafe(|| task.run(&sink))).is_err() {
                    tracing::error!("the encoder panicked");
                }
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Hands over a preview; an older one of the same picture that still waits is given up.
    pub fn preview(&self, task: PreviewTask) {
        let mut waiting = lock(&self.shared.waiting);
        let older = waiting.tasks.iter_mut().find_map(|waiting| match waiting {
            Task::Preview(older) if older.handle.id == task.handle.id && older.image_index == task.image_index => {
                Some(older)
            }
            _ => None,
        });
        match older {
            Some(older) => *older = task,
            None => waiting.tasks.push_back(Task::Preview(task)),
        }
        drop(waiting);
        self.shared.work.notify_one();
    }

    /// Hands over a finished job; waits while too many wait already.
    pub fn finish(&self, task: FinishTask) {
        let mut waiting = lock(&self.shared.waiting);
        while waiting.finished() >= FINISHED_MAX && !waiting.is_closing {
            waiting = self.shared.room.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.tasks.push_back(Task::Finish(Box::new(task)));
        drop(waiting);
        self.shared.work.notify_one();
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        lock(&self.shared.waiting).is_closing = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // Panics of tasks were caught and logged.
            let _ = thread.join();
        }
        for task in std::mem::take(&mut lock(&self.shared.waiting).tasks) {
            if let Task::Finish(task) = task {
                task.job.cancelled(task.steps_done, CancelReason::Shutdown);
            }
        }
    }
}

impl Waiting {
    fn finished(&self) -> usize {
        self.tasks.iter().filter(|task| matches!(task, Task::Finish(_))).count()
    }
}

impl Shared {
    fn next(&self) -> Option<Task> {
        let mut waiting = lock(&self.waiting);
        loop {
            if waiting.is_closing {
                return None;
            }
            if let Some(task) = waiting.tasks.pop_front() {
                if matches!(task, Task::Finish(_)) {
                    self.room.notify_one();
                }
                return Some(task);
            }
            waiting = self.work.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Task {
    fn run(self, sink: &ArtifactSink) {
        match self {
            Task::Preview(task) => task.run(),
            Task::Finish(task) => task.run(sink),
        }
    }
}

impl PreviewTask {
    fn run(self) {
        if self.handle.cancel_reason().is_some() {
            return;
        }
        match preview::encode(self.picture, self.policy.format, self.policy.max_edge_px) {
            Ok(encoded) => {
                self.events.publish(EventBody::Preview(Preview {
                    image_index: self.image_index,
                    step: self.step,
                    method: self.method,
                    format: self.policy.format,
                    width_px: encoded.width_px,
                    height_px: encoded.height_px,
                    data: encoded.data,
                }));
            }
            Err(error) => tracing::warn!(job_id = %self.handle.id, %error, "a preview could not be encoded"),
        }
    }
}

impl FinishTask {
    fn run(self, sink: &ArtifactSink) {
        let FinishTask { job, images, timings, queued, steps_done } = self;
        let span = tracing::info_span!("job", job_id = %job.handle.id, request_id = %job.request.request_id);
        let _entered = span.enter();
        job.events.publish(EventBody::Stage(Stage::EncodeImage));
        // A flood of jobs waits here until old ones are deleted, and through this queue the engine does.
        sink.gate.wait_for_room(&job.handle);
        let begun = Instant::now();
        let mut finished = Vec::with_capacity(images.len());
        for (index, picture) in images.into_iter().enumerate() {
            if let Some(reason) = job.handle.cancel_reason() {
                tracing::info!(at_step = steps_done, ?reason, "cancelled");
                return job.cancelled(steps_done, reason);
            }
            let file = encode(&job, index, &picture)
                .map_err(|error| ServerError::Internal(error.to_string()))
                .and_then(|(file, image)| {
                    sink.put(&job, index as u32, file).map_err(ServerError::from)?;
                    Ok(image)
                });
            match file {
                Ok(image) => finished.push(image),
                Err(error) => {
                    tracing::error!(%error, "failed");
                    job.events.publish(EventBody::Failed(error));
                    return;
                }
            }
        }
        // Once pieces are announced they are there.
        finished.iter().enumerate().for_each(|(index, image)| announce(&job, index as u32, image.size));
        let timings = JobTimings {
            queued,
            text_encode: timings.text_encode,
            denoise: timings.denoise(),
            decode: timings.decode,
            encode_image: begun.elapsed(),
            total: job.accepted.elapsed(),
        };
        tracing::info!(images = finished.len(), total_ms = timings.total.as_millis() as u64, "completed");
        job.events.publish(EventBody::Completed { images: finished, timings });
    }
}

impl ArtifactSink {
    /// Writes a file; tries again for a while, since a full disk may get room.
    fn put(&self, job: &Job, image_index: u32, file: Bytes) -> Result<(), StoreError> {
        let begun = Instant::now();
        loop {
            let put = self.artifacts.put(job.handle.id.as_str(), image_index, file.clone());
            match self.runtime.block_on(put) {
                Err(error) if begun.elapsed() < PUT_PATIENCE && job.handle.cancel_reason().is_none() => {
                    tracing::warn!(%error, "a picture could not be written; trying again");
                    thread::sleep(PUT_PAUSE);
                }
                done => return done,
            }
        }
    }
}

/// Announces a picture piece by piece.
fn announce(job: &Job, image_index: u32, total_size: u64) {
    for offset in (0..total_size).step_by(Limits::CHUNK_BYTES_MAX) {
        let len = (total_size - offset).min(Limits::CHUNK_BYTES_MAX as u64);
        job.events.publish(EventBody::ImageChunk { image_index, offset, total_size, len });
    }
}

/// Encodes a picture.
fn encode(job: &Job, index: usize, picture: &Rgb8) -> Result<(Bytes, FinishedImage), EncodeError> {
    let texts = job.request.texts.get(index).map_or(&[][..], Vec::as_slice);
    let file = Bytes::from(picture::encode_png(picture, texts)?);
    let image = FinishedImage {
        sha256: picture::sha256_hex(&file),
        pixels_sha256: picture::sha256_hex(&picture.pixels),
        width_px: picture.width_px,
        height_px: picture.height_px,
        size: file.len() as u64,
    };
    Ok((file, image))
}
