//! [`EventStream`]: the encoded events of a job, for Generate and WatchJob, and [`EventBody`], which sends them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::HeaderMap;
use http_body::Frame;
use sakuga_proto::generation::v1::Job;
use tonic::Status;
use tonic::body::Body;

use crate::error::ServerError;
use crate::event_frame::EventFrame;
use crate::job_id::JobId;
use crate::jobs::{CheckedPictures, Jobs};
use crate::journal::{Next, Reader};
use crate::transport::outgoing::OutgoingStream;
use crate::transport::raw_answer::RawAnswer;

/// One message, encoded for the connection.
pub(super) struct StreamMessage {
    /// The gRPC message.
    pub(super) frame: Bytes,
    /// Whether it may be left out when clients do not keep up.
    pub(super) is_preview: bool,
}

/// The messages of a stream, in order; `None` after the last one or an error.
pub(super) trait StreamMessages: Send + 'static {
    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<StreamMessage, Status>>>;
}

/// The encoded events of a job, in order, until its terminal event or the first error.
///
/// Implements `Stream` directly instead of by an async block: an event in memory then costs a reader one poll of the journal.
pub(super) struct EventStream {
    jobs: Arc<Jobs>,
    id: JobId,
    /// `None` after the end. Dropping it removes the reader from the journal.
    reader: Option<Reader>,
    /// The event whose piece of a picture is being read from the artifact store.
    reading: Option<BoxFuture<'static, (Result<EventFrame, ServerError>, CheckedPictures)>>,
    /// The pictures that were compared with their checksums; with `reading` while that is set.
    pictures: CheckedPictures,
}

/// An event, and whether it is a preview.
pub(super) type StreamEvent = (EventFrame, bool);

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
    fn fail(&mut self, error: ServerError) -> Poll<Option<Result<StreamEvent, ServerError>>> {
        self.reader = None;
        Poll::Ready(Some(Err(error)))
    }

    pub(super) fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<StreamEvent, ServerError>>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let (event, pictures) = ready!(reading.poll_unpin(context));
                (self.reading, self.pictures) = (None, pictures);
                return event.map_or_else(|error| self.fail(error), |event| Poll::Ready(Some(Ok((event, false)))));
            }
            let Some(reader) = &mut self.reader else { return Poll::Ready(None) };
            match ready!(reader.poll_next(context)) {
                Next::Event(entry) if entry.piece.is_none() => {
                    return Poll::Ready(Some(Ok((entry.frame, entry.is_preview))));
                }
                Next::Event(entry) => {
                    let (jobs, id) = (self.jobs.clone(), self.id.clone());
                    let mut pictures = std::mem::take(&mut self.pictures);
                    let read = async move { (jobs.event(&id, entry, &mut pictures).await, pictures) };
                    self.reading = Some(read.boxed());
                }
                Next::End => {
                    self.reader = None;
                    return Poll::Ready(None);
                }
                Next::Sealed => return self.fail(ServerError::ShuttingDown),
            }
        }
    }
}

/// Sends the messages of a stream without copying them, within the budget of unread bytes. A preview that exceeds the
/// budget is left out.
pub(super) struct EventBody<S> {
    messages: S,
    outgoing: OutgoingStream,
    /// Whether the trailers were returned. HTTP/2 asks for nothing after them; gRPC-Web does.
    is_ended: bool,
}

impl<S: StreamMessages + Unpin> EventBody<S> {
    /// The extension of a response that sends these messages.
    pub(super) fn answer(messages: S, outgoing: OutgoingStream) -> RawAnswer {
        RawAnswer::new(Body::new(Self { messages, outgoing, is_ended: false }))
    }
}

impl<S: StreamMessages + Unpin> http_body::Body for EventBody<S> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.is_ended {
            return Poll::Ready(None);
        }
        loop {
            let room = ready!(this.outgoing.poll_room(context));
            let status = match ready!(this.messages.poll_message(context)) {
                Some(Ok(StreamMessage { frame, is_preview: true })) => {
                    // The preview counts by itself.
                    drop(room);
                    match this.outgoing.hand_over_preview(frame) {
                        Some(frame) => return Poll::Ready(Some(Ok(Frame::data(frame)))),
                        None => continue,
                    }
                }
                Some(Ok(StreamMessage { frame, is_preview: false })) => {
                    return Poll::Ready(Some(Ok(Frame::data(this.outgoing.hand_over(frame, room)))));
                }
                Some(Err(status)) => status,
                None => Status::ok(""),
            };
            this.is_ended = true;
            let mut trailers = HeaderMap::new();
            return Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_ended
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::transport::outgoing::Outgoing;

    /// One message, and then the end or an error.
    struct One(Option<StreamMessage>, Option<Status>);

    impl StreamMessages for One {
        fn poll_message(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<StreamMessage, Status>>> {
            Poll::Ready(self.0.take().map(Ok).or_else(|| self.1.take().map(Err)))
        }
    }

    #[test]
    fn nothing_follows_the_trailers() {
        for (error, code) in [(None, "0"), (Some(Status::data_loss("gone")), "15")] {
            let message = StreamMessage { frame: Bytes::from_static(b"event"), is_preview: false };
            let outgoing = Outgoing::new(1 << 20).stream();
            let mut body = EventBody { messages: One(Some(message), error), outgoing, is_ended: false };
            let mut next = || body.frame().now_or_never().expect("ready");
            assert_eq!(next().unwrap().unwrap().into_data().unwrap(), "event");
            assert_eq!(next().unwrap().unwrap().into_trailers().unwrap()["grpc-status"], code);
            assert!(next().is_none() && next().is_none());
        }
    }
}
