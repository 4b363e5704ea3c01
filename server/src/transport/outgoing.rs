//! [`Outgoing`]: bounds the bytes of answers that wait for their clients to read them.
//!
//! A connection buffers a stream up to the client's flow-control window. A client that opens many streams with large windows and
//! reads none of them would cost hundreds of kilobytes for each. Here all bytes that are handed to connections and not yet written
//! to their sockets count towards one budget of the process:
//!
//! - Each stream may have one frame in flight, so that no client can stop the streams of others. Further frames need room in the
//!   budget.
//! - A preview of an event stream is handed over only if there is room for it, and is left out otherwise. A stream whose client has
//!   not read its last frame gets previews only from the first half of the budget.
//! - Streams that send the same preview share its bytes, which count once.
//! - Once half of the budget is used, files are read in small pieces, so that a stream that stops within one holds little.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::task::AtomicWaker;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tonic::Status;
use tonic::body::Body;

/// Bytes that are reserved before a stream is asked for a frame, whose size is not known then: those of the largest usual one.
const FRAME_BYTES: usize = 320 << 10;

/// Bytes of a piece of a file while half of the budget or more is used.
const SMALL_PIECE_BYTES: u64 = 16 << 10;

/// The budget of all streams. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing(Arc<Budget>);

#[derive(Debug)]
struct Budget {
    bytes_max: usize,
    /// Bytes of all frames that are under way, those of [`Budget::shared`] once.
    bytes: AtomicUsize,
    /// How many streams have the frame at this address under way.
    shared: Mutex<HashMap<usize, usize>>,
}

impl Outgoing {
    /// Without any frame in flight.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Budget { bytes_max, bytes: AtomicUsize::new(0), shared: Mutex::default() }))
    }

    /// A new stream.
    pub(crate) fn stream(&self) -> OutgoingStream {
        OutgoingStream { budget: self.0.clone(), state: Arc::default() }
    }

    /// Bytes of the next piece of a file that a stream reads: `piece_bytes`, or less while half of the budget or more is used.
    pub(crate) fn piece_bytes(&self, piece_bytes: u64) -> u64 {
        let is_half_used = self.0.bytes.load(Ordering::Acquire) >= self.0.bytes_max / 2;
        if is_half_used { piece_bytes.min(SMALL_PIECE_BYTES) } else { piece_bytes }
    }

    /// The body with its frames bounded.
    pub(super) fn bound(&self, body: Body) -> BoundBody {
        BoundBody { inner: body, stream: self.stream() }
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Acquire)
    }
}

impl Budget {
    /// Counts these bytes if `bytes_max` has room for them; returns whether it has.
    fn try_count(&self, bytes: usize, bytes_max: usize) -> bool {
        let counted = self.bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, |before| {
            before.checked_add(bytes).filter(|after| *after <= bytes_max)
        });
        counted.is_ok()
    }
}

/// Bytes that count until this is dropped.
#[derive(Debug)]
struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Charge {
    /// Counts so many bytes instead.
    fn set(&mut self, bytes: usize) {
        match bytes.checked_sub(self.bytes) {
            Some(more) => self.budget.bytes.fetch_add(more, Ordering::AcqRel),
            None => self.budget.bytes.fetch_sub(self.bytes - bytes, Ordering::AcqRel),
        };
        self.bytes = bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// Room for the next frame of a stream, of a size that is not known yet.
#[derive(Debug)]
pub(crate) struct Room(Charge);

/// A frame that several streams may have under way; it counts until the last of them has written it.
#[derive(Debug)]
struct SharedCharge {
    budget: Arc<Budget>,
    address: usize,
    bytes: usize,
}

impl Drop for SharedCharge {
    fn drop(&mut self) {
        let mut shared = self.budget.shared.lock();
        if let Some(streams) = shared.get_mut(&self.address) {
            *streams -= 1;
            if *streams == 0 {
                shared.remove(&self.address);
                self.budget.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
            }
        }
    }
}

/// A stream that hands over frames within the budget.
pub(crate) struct OutgoingStream {
    budget: Arc<Budget>,
    state: Arc<StreamState>,
}

/// The frames of a stream that are under way.
#[derive(Debug, Default)]
struct StreamState {
    frames: AtomicUsize,
    waker: AtomicWaker,
}

impl OutgoingStream {
    fn has_frames(&self) -> bool {
        self.state.frames.load(Ordering::Acquire) > 0
    }

    /// Room for the next frame: at once if no other is under way. Otherwise the task is woken when one is written.
    pub(crate) fn poll_room(&self, context: &Context<'_>) -> Poll<Room> {
        let room = |bytes| Room(Charge { budget: self.budget.clone(), bytes });
        if !self.has_frames() {
            return Poll::Ready(room(0));
        }
        if self.budget.try_count(FRAME_BYTES, self.budget.bytes_max) {
            return Poll::Ready(room(FRAME_BYTES));
        }
        self.state.waker.register(context.waker());
        // A frame may have been written meanwhile.
        if self.has_frames() { Poll::Pending } else { Poll::Ready(room(0)) }
    }

    /// The frame as it is handed to the connection. It counts until it is dropped.
    pub(crate) fn hand_over(&self, frame: Bytes, room: Room) -> Bytes {
        let Room(mut charge) = room;
        charge.set(frame.len());
        self.under_way(frame, Held::Own { _charge: charge })
    }

    /// The frame of a preview as it is handed to the connection, if the budget has room for it or another stream has the same bytes
    /// under way. It counts until the last of them is dropped.
    pub(crate) fn hand_over_preview(&self, frame: Bytes) -> Option<Bytes> {
        let budget = &self.budget;
        let (address, bytes) = (frame.as_ptr() as usize, frame.len());
        let bytes_max = if self.has_frames() { budget.bytes_max / 2 } else { budget.bytes_max };
        let mut shared = budget.shared.lock();
        match shared.get_mut(&address) {
            Some(streams) => *streams += 1,
            None if budget.try_count(bytes, bytes_max) => _ = shared.insert(address, 1),
            None => return None,
        }
        drop(shared);
        let charge = SharedCharge { budget: budget.clone(), address, bytes };
        Some(self.under_way(frame, Held::Shared { _charge: charge }))
    }

    fn under_way(&self, data: Bytes, held: Held) -> Bytes {
        self.state.frames.fetch_add(1, Ordering::AcqRel);
        Bytes::from_owner(UnderWay { data, _held: held, stream: self.state.clone() })
    }
}

/// What a frame holds of the budget.
enum Held {
    Own { _charge: Charge },
    Shared { _charge: SharedCharge },
}

/// A frame that is not written yet.
struct UnderWay {
    /// Freed before the bytes that it counts for.
    data: Bytes,
    _held: Held,
    stream: Arc<StreamState>,
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

/// A body whose frames are bounded.
pub(super) struct BoundBody {
    inner: Body,
    stream: OutgoingStream,
}

impl http_body::Body for BoundBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Poll::Ready(room) = self.stream.poll_room(context) else { return Poll::Pending };
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        polled.map_ok(|frame| match frame.into_data() {
            Ok(data) => Frame::data(self.stream.hand_over(data, room)),
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

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, StreamExt as _};
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
        let outgoing = Outgoing::new(10 * FRAME_BYTES);
        let mut bodies: Vec<BoundBody> = (0..50).map(|_| body(&outgoing, 40)).collect();
        let held: Vec<Vec<Bytes>> = bodies.iter_mut().map(unread).collect();
        assert!(held.iter().all(|held| !held.is_empty()), "each has one");
        let further: usize = held.iter().map(|held| held.len() - 1).sum();
        assert!(further > 0 && further * FRAME <= 10 * FRAME_BYTES, "{further} more frames");
        let bytes: usize = held.iter().flatten().map(Bytes::len).sum();
        assert_eq!(outgoing.bytes(), bytes);
        drop(held);
        assert_eq!(outgoing.bytes(), 0, "everything is returned");
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

    #[test]
    fn streams_that_stop_within_a_file_hold_little_once_half_of_the_budget_is_used() {
        const PIECE: u64 = 256 << 10;
        const STREAMS: usize = 500;
        let outgoing = Outgoing::new(16 * PIECE as usize);
        let mut held = Vec::new();
        for _ in 0..STREAMS {
            let own = outgoing.clone();
            let piece = move |()| Ok::<_, Status>(Frame::data(Bytes::from(vec![7; own.piece_bytes(PIECE) as usize])));
            let mut body = outgoing.bound(Body::new(StreamBody::new(tokio_stream::iter([(); 40]).map(piece))));
            let frames = unread(&mut body);
            assert!(!frames.is_empty(), "each continues");
            held.push(frames);
        }
        let bytes: usize = held.iter().flatten().map(Bytes::len).sum();
        assert!(bytes <= 16 * PIECE as usize + STREAMS * SMALL_PIECE_BYTES as usize, "{bytes}");
        drop(held);
        assert_eq!(outgoing.piece_bytes(PIECE), PIECE, "large again");
    }

    #[test]
    fn a_preview_counts_once_for_all_streams_and_until_the_last_has_written_it() {
        let outgoing = Outgoing::new(3 * FRAME / 2);
        let preview = Bytes::from(vec![7; FRAME]);
        let streams: Vec<OutgoingStream> = (0..20).map(|_| outgoing.stream()).collect();
        let mut held: Vec<Bytes> =
            streams.iter().map(|stream| stream.hand_over_preview(preview.clone()).expect("room")).collect();
        assert_eq!(outgoing.bytes(), FRAME);
        let other = Bytes::from(vec![8; FRAME]);
        assert!(outgoing.stream().hand_over_preview(other.clone()).is_none(), "it is left out");
        held.truncate(1);
        assert_eq!(outgoing.bytes(), FRAME);
        held.clear();
        assert_eq!(outgoing.bytes(), 0);
        assert!(outgoing.stream().hand_over_preview(other).is_some(), "the next one comes");
    }

    #[test]
    fn what_has_to_be_sent_is_handed_over_beyond_the_budget_and_previews_of_slow_readers_leave_half_of_it() {
        let outgoing = Outgoing::new(4 * FRAME);
        let preview = || Bytes::from(vec![7; FRAME]);
        let slow = outgoing.stream();
        let held: Vec<Option<Bytes>> = (0..4).map(|_| slow.hand_over_preview(preview())).collect();
        assert_eq!(held.iter().flatten().count(), 2, "half of the budget");
        let fast = outgoing.stream();
        let first = fast.hand_over_preview(preview());
        assert!(first.is_some(), "a reader that keeps up has the rest");
        drop(first);
        let context = &mut Context::from_waker(std::task::Waker::noop());
        let Poll::Ready(room) = fast.poll_room(context) else { panic!("nothing of it is under way") };
        let _large = fast.hand_over(Bytes::from(vec![1; 10 * FRAME]), room);
        assert_eq!(outgoing.bytes(), 12 * FRAME);
        assert!(fast.poll_room(context).is_pending());
        let Poll::Ready(room) = outgoing.stream().poll_room(context) else { panic!("another stream continues") };
        drop(room);
        assert!(outgoing.stream().hand_over_preview(preview()).is_none(), "but without previews");
    }
}
