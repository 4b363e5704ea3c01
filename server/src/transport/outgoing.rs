//! [`Outgoing`]: bounds the bytes of answers that wait for their clients to read them.
//!
//! A connection buffers a stream up to the client's flow-control window. A client that opens many streams with large windows and
//! reads none of them would cost hundreds of kilobytes for each. Here each stream may have one buffered frame, and more only while
//! the additional frames of all streams stay within a bound. A frame counts until it is written to the socket and dropped.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::task::AtomicWaker;
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;
use tonic::body::Body;

/// Bytes of the frames under way that are not the only one of their stream, over all connections.
const SHARED_BYTES_MAX: usize = 64 << 20;
/// Bytes that are reserved before a stream is asked for a frame, whose size is not known then: those of the largest usual one.
const FRAME_BYTES: usize = 320 << 10;
/// Bytes of one permit.
const UNIT: usize = 1 << 10;

/// The bound on the frames of all streams. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Outgoing(Arc<Semaphore>);

impl Default for Outgoing {
    fn default() -> Self {
        Self::new(SHARED_BYTES_MAX)
    }
}

impl Outgoing {
    fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / UNIT)))
    }

    /// The body with its frames bounded.
    pub(crate) fn bound(&self, body: Body) -> BoundBody {
        BoundBody { inner: body, stream: Arc::new(Stream::default()), shared: self.0.clone() }
    }
}

/// The frames of a stream that are under way.
#[derive(Debug, Default)]
struct Stream {
    frames: AtomicUsize,
    waker: AtomicWaker,
}

/// A body whose frames are bounded.
pub(super) struct BoundBody {
    inner: Body,
    stream: Arc<Stream>,
    shared: Arc<Semaphore>,
}

impl BoundBody {
    /// Whether the next frame may come, with the room that it takes: none if it is the only one of the stream.
    fn room(&self, context: &Context<'_>) -> Poll<Option<OwnedSemaphorePermit>> {
        let is_first = || self.stream.frames.load(Ordering::Acquire) == 0;
        if is_first() {
            return Poll::Ready(None);
        }
        if let Ok(room) = self.shared.clone().try_acquire_many_owned((FRAME_BYTES / UNIT) as u32) {
            return Poll::Ready(Some(room));
        }
        self.stream.waker.register(context.waker());
        // A frame may have been written meanwhile.
        if is_first() { Poll::Ready(None) } else { Poll::Pending }
    }
}

impl http_body::Body for BoundBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Poll::Ready(mut room) = self.room(context) else { return Poll::Pending };
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        polled.map_ok(|frame| match frame.into_data() {
            Ok(data) => {
                let units = data.len().div_ceil(UNIT);
                // The rest of the room is free again; a larger frame takes all of it.
                let room = room.as_mut().and_then(|room| room.split(units.min(FRAME_BYTES / UNIT)));
                self.stream.frames.fetch_add(1, Ordering::AcqRel);
                Frame::data(Bytes::from_owner(UnderWay { data, stream: self.stream.clone(), _room: room }))
            }
            Err(frame) => frame,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A frame that is not written yet.
struct UnderWay {
    data: Bytes,
    stream: Arc<Stream>,
    _room: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for UnderWay {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.stream.frames.fetch_sub(1, Ordering::AcqRel);
        self.stream.waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    const FRAME: usize = 100 << 10;

    /// A body of `frames` data frames, and trailers.
    fn body(outgoing: &Outgoing, frames: usize) -> BoundBody {
        let data = (0..frames).map(|_| Frame::data(Bytes::from(vec![7; FRAME])));
        let frames = data.chain([Frame::trailers(http::HeaderMap::new())]).map(Ok::<_, Status>);
        outgoing.bound(Body::new(StreamBody::new(tokio_stream::iter(frames))))
    }

    /// The frames that come while nobody reads them.
    fn unread(body: &mut BoundBody) -> Vec<Bytes> {
        let mut held = Vec::new();
        while let Some(Some(Ok(frame))) = body.frame().now_or_never() {
            match frame.into_data() {
                Ok(data) => held.push(data),
                Err(_) => break,
            }
        }
        held
    }

    #[test]
    fn streams_that_nobody_reads_hold_one_frame_each_and_what_is_shared() {
        let outgoing = Outgoing::new(2 * FRAME_BYTES);
        let mut bodies: Vec<BoundBody> = (0..50).map(|_| body(&outgoing, 40)).collect();
        let held: Vec<Vec<Bytes>> = bodies.iter_mut().map(unread).collect();
        let frames: usize = held.iter().map(Vec::len).sum();
        assert!(held.iter().all(|held| !held.is_empty()), "each has one");
        assert!(frames > 50 && (frames - 50) * FRAME <= 2 * FRAME_BYTES, "{frames} frames");
        drop(held);
        assert_eq!(outgoing.0.available_permits(), 2 * FRAME_BYTES / UNIT, "everything is returned");
    }

    #[tokio::test]
    async fn a_stream_goes_on_when_its_frame_is_written_though_others_hold_all_that_is_shared() {
        let outgoing = Outgoing::new(2 * FRAME_BYTES);
        let mut greedy = body(&outgoing, 40);
        let _held = unread(&mut greedy);
        let mut other = body(&outgoing, 40);
        let first = unread(&mut other);
        assert_eq!(first.len(), 1);
        let read = tokio::spawn(other.collect());
        tokio::task::yield_now().await;
        drop(first);
        // `collect` keeps what it reads, so it waits for its second frame to be written.
        tokio::task::yield_now().await;
        assert!(!read.is_finished());
        read.abort();
        let mut third = body(&outgoing, 40);
        let mut bytes = 0;
        while let Some(frame) = third.frame().await {
            bytes += frame.expect("no error").into_data().map_or(0, |data| data.len());
        }
        assert_eq!(bytes, 40 * FRAME);
    }
}
