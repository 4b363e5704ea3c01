//! [`EventStream`]: the encoded events of a job, for Generate and WatchJob.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt as _, Stream};
use sakuga_proto::generation::v1::Job;

use crate::error::ServerError;
use crate::job_id::JobId;
use crate::jobs::{CheckedPictures, Jobs};
use crate::journal::{Next, Reader};

/// The encoded events of a job, in order, until its terminal event or the first error.
///
/// Implements `Stream` directly instead of by an async block: an event in memory then costs a reader one poll of the journal.
pub(super) struct EventStream {
    jobs: Arc<Jobs>,
    id: JobId,
    /// `None` after the end. Dropping it removes the reader from the journal.
    reader: Option<Reader>,
    /// The event whose piece of a picture is being read from the artifact store.
    reading: Option<BoxFuture<'static, (Result<Bytes, ServerError>, CheckedPictures)>>,
    /// The pictures that were compared with their checksums; with `reading` while that is set.
    pictures: CheckedPictures,
}

impl EventStream {
    /// The events of `job` that `reader` reads; without one there are none.
    pub(super) fn new(jobs: Arc<Jobs>, job: &Job, reader: Option<Reader>) -> Self {
        let (id, pictures) = (JobId::named(&job.job_id), CheckedPictures::of(job));
        Self { jobs, id, reader, reading: None, pictures }
    }

    /// Every event below this sequence number was sent, or dropped in favour of a newer one; 0 after the end.
    pub(super) fn next_sequence(&self) -> u64 {
        self.reader.as_ref().map_or(0, Reader::next_sequence)
    }

    /// Ends the stream with an error.
    fn fail(&mut self, error: ServerError) -> Poll<Option<Result<Bytes, ServerError>>> {
        self.reader = None;
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for EventStream {
    type Item = Result<Bytes, ServerError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(reading) = &mut this.reading {
                let (event, pictures) = ready!(reading.poll_unpin(context));
                (this.reading, this.pictures) = (None, pictures);
                return event.map_or_else(|error| this.fail(error), |event| Poll::Ready(Some(Ok(event))));
            }
            let Some(reader) = &mut this.reader else { return Poll::Ready(None) };
            match ready!(reader.poll_next(context)) {
                Next::Event(entry) if entry.piece.is_none() => return Poll::Ready(Some(Ok(entry.message))),
                Next::Event(entry) => {
                    let (jobs, id) = (this.jobs.clone(), this.id.clone());
                    let mut pictures = std::mem::take(&mut this.pictures);
                    let read = async move { (jobs.event(&id, entry, &mut pictures).await, pictures) };
                    this.reading = Some(read.boxed());
                }
                Next::End => {
                    this.reader = None;
                    return Poll::Ready(None);
                }
                Next::Sealed => return this.fail(ServerError::ShuttingDown),
            }
        }
    }
}
