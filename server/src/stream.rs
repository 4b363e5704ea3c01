//! The pipe between a job and its reader: numbers events, keeps their order lawful, and stays bounded.
//!
//! Writers never wait. What a reader has not taken yet is buffered: state events always (they are bounded by a job's
//! steps, its place in the queue and its pictures, whose pieces share the pictures' memory), statistics one at the most,
//! previews up to [`PREVIEWS_MAX`] and [`PREVIEW_BYTES_MAX`], the oldest given up first. Numbers are given before
//! anything is given up, so the reader sees the hole.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use tokio_stream::Stream;

use crate::event::{Event, EventBody, EventClass};
use crate::sync::lock;

/// Most previews that wait for one reader: two for each picture of a large batch.
pub const PREVIEWS_MAX: usize = 32;
/// Most bytes of previews that wait for one reader; a single larger one is kept all the same.
pub const PREVIEW_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A new pipe. `on_drop` runs when the reader goes, also after the terminal event.
pub fn pipe(on_drop: impl FnOnce() + Send + 'static) -> (EventSink, EventStream) {
    let shared = Arc::new(Mutex::new(Pipe::default()));
    (EventSink { shared: shared.clone() }, EventStream { shared, on_drop: Some(Box::new(on_drop)) })
}

/// The job's end; cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct EventSink {
    shared: Arc<Mutex<Pipe>>,
}

impl EventSink {
    /// Numbers an event and hands it to the reader. Returns whether it was lawful at this point: after the terminal
    /// event nothing is, and statistics and previews only between `started` and the first piece of a picture.
    pub fn publish(&self, body: EventBody) -> bool {
        let (lawful, waker) = {
            let mut pipe = lock(&self.shared);
            (pipe.push(body), pipe.waker.take())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        lawful
    }

    /// Whether the terminal event was published.
    pub fn is_ended(&self) -> bool {
        lock(&self.shared).phase == Phase::Ended
    }
}

/// The reader's end: every event in order, and nothing after the terminal one.
pub struct EventStream {
    shared: Arc<Mutex<Pipe>>,
    on_drop: Option<Box<dyn FnOnce() + Send>>,
}

impl Stream for EventStream {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut pipe = lock(&self.shared);
        if let Some(event) = pipe.pop() {
            return Poll::Ready(Some(event));
        }
        if pipe.phase == Phase::Ended {
            return Poll::Ready(None);
        }
        pipe.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        let unread = {
            let mut pipe = lock(&self.shared);
            pipe.reader_gone = true;
            pipe.waker = None;
            pipe.preview_bytes = 0;
            std::mem::take(&mut pipe.unread)
        };
        drop(unread);
        if let Some(on_drop) = self.on_drop.take() {
            on_drop();
        }
    }
}

/// Where a job is, as far as the order of its events goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
enum Phase {
    #[default]
    Waiting,
    Running,
    Sending,
    Ended,
}

#[derive(Debug, Default)]
struct Pipe {
    phase: Phase,
    next_sequence: u64,
    unread: VecDeque<Event>,
    preview_bytes: usize,
    reader_gone: bool,
    waker: Option<Waker>,
}

impl Pipe {
    fn push(&mut self, body: EventBody) -> bool {
        let lawful = match (&body, body.class()) {
            (_, EventClass::Terminal) => self.phase < Phase::Ended,
            (_, EventClass::Lossy) | (EventBody::Step { .. }, _) => self.phase == Phase::Running,
            (EventBody::Accepted { .. } | EventBody::Queued { .. } | EventBody::Started, _) => {
                self.phase == Phase::Waiting
            }
            (EventBody::Stage(_), _) => self.phase == Phase::Running,
            (_, EventClass::State) => matches!(self.phase, Phase::Running | Phase::Sending),
        };
        if !lawful {
            return false;
        }
        match body {
            EventBody::Started => self.phase = Phase::Running,
            EventBody::ImageChunk { .. } => self.phase = Phase::Sending,
            _ if body.class() == EventClass::Terminal => self.phase = Phase::Ended,
            _ => {}
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        if !self.reader_gone {
            if let EventBody::GpuStats(_) = body {
                self.unread.retain(|event| !matches!(event.body, EventBody::GpuStats(_)));
            }
            if let EventBody::Preview(preview) = &body {
                self.make_room(preview.data.len());
                self.preview_bytes += preview.data.len();
            }
            self.unread.push_back(Event { sequence, time: SystemTime::now(), body });
        }
        true
    }

    fn pop(&mut self) -> Option<Event> {
        let event = self.unread.pop_front()?;
        self.forget(&event);
        Some(event)
    }

    /// Gives up the oldest previews until one of `bytes` has room.
    fn make_room(&mut self, bytes: usize) {
        let is_preview = |event: &Event| matches!(event.body, EventBody::Preview(_));
        let mut previews = self.unread.iter().filter(|event| is_preview(event)).count();
        while previews > 0 && (previews >= PREVIEWS_MAX || self.preview_bytes + bytes > PREVIEW_BYTES_MAX) {
            let Some(oldest) = self.unread.iter().position(is_preview) else { return };
            if let Some(event) = self.unread.remove(oldest) {
                self.forget(&event);
            }
            previews -= 1;
        }
    }

    fn forget(&mut self, event: &Event) {
        if let EventBody::Preview(preview) = &event.body {
            self.preview_bytes -= preview.data.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::engine::{PreviewMethod, Stage};
    use crate::error::ServerError;
    use crate::event::{CancelReason, JobTimings, Preview};
    use crate::gpu::DeviceSample;
    use crate::preview::PreviewFormat;

    fn preview(image_index: u32, bytes: usize) -> EventBody {
        EventBody::Preview(Preview {
            image_index,
            step: 1,
            method: PreviewMethod::Linear,
            format: PreviewFormat::Jpeg,
            width_px: 1,
            height_px: 1,
            data: Bytes::from(vec![0; bytes]),
        })
    }

    fn read(stream: &mut EventStream) -> Vec<Event> {
        let mut context = Context::from_waker(Waker::noop());
        let mut events = Vec::new();
        while let Poll::Ready(Some(event)) = Pin::new(&mut *stream).poll_next(&mut context) {
            events.push(event);
        }
        events
    }

    #[test]
    fn a_slow_reader_loses_the_oldest_previews_and_sees_the_hole() {
        let (sink, mut stream) = pipe(|| {});
        sink.publish(EventBody::Started);
        for image_index in 0..40 {
            assert!(sink.publish(preview(image_index, 10)));
        }
        let events = read(&mut stream);
        assert_eq!(events.len(), 1 + PREVIEWS_MAX);
        assert_eq!(events[0].sequence, 0);
        assert_eq!(events[1].sequence, 1 + 40 - PREVIEWS_MAX as u64);
    }

    #[test]
    fn previews_are_bounded_in_bytes_but_one_is_always_kept() {
        let (sink, mut stream) = pipe(|| {});
        sink.publish(EventBody::Started);
        for _ in 0..3 {
            sink.publish(preview(0, PREVIEW_BYTES_MAX + 1));
        }
        assert_eq!(read(&mut stream).iter().map(|event| event.sequence).collect::<Vec<_>>(), [0, 3]);
        assert!(sink.publish(preview(0, 5)));
        assert_eq!(read(&mut stream).len(), 1);
    }

    #[test]
    fn statistics_wait_one_at_a_time() {
        let (sink, mut stream) = pipe(|| {});
        sink.publish(EventBody::Started);
        for _ in 0..5 {
            sink.publish(EventBody::GpuStats(DeviceSample::default()));
        }
        assert_eq!(read(&mut stream).iter().map(|event| event.sequence).collect::<Vec<_>>(), [0, 5]);
    }

    #[test]
    fn the_reader_s_end_is_told_once() {
        let (told, heard) = std::sync::mpsc::channel();
        let (sink, stream) = pipe(move || told.send(()).expect("the test listens"));
        drop(stream);
        assert_eq!(heard.iter().count(), 1);
        assert!(sink.publish(EventBody::Started), "a job goes on until its next step");
    }

    fn any_body() -> impl Strategy<Value = EventBody> {
        prop_oneof![
            Just(EventBody::Accepted { diagnostics: vec![] }),
            Just(EventBody::Queued { position: 1, eta: None }),
            Just(EventBody::Started),
            Just(EventBody::Stage(Stage::Denoise)),
            (0..3_u32).prop_map(|image| preview(image, 100_000)),
            Just(EventBody::GpuStats(DeviceSample::default())),
            Just(EventBody::ImageChunk { image_index: 0, offset: 0, total_size: 1, data: Bytes::from_static(b"x") }),
            Just(EventBody::Completed { images: vec![], timings: JobTimings::default() }),
            Just(EventBody::Failed(ServerError::ShuttingDown)),
            Just(EventBody::Cancelled { at_step: 0, reason: CancelReason::Requested }),
        ]
    }

    proptest! {
        /// Whatever writers do, and however the reader keeps up: numbers rise, only previews and samples are missing,
        /// the terminal event is the last and the only one, and what waits is bounded.
        #[test]
        fn any_writing_gives_a_lawful_stream(writes in prop::collection::vec((any_body(), any::<bool>()), 0..200)) {
            let (sink, mut stream) = pipe(|| {});
            let mut published = Vec::new();
            let mut seen = Vec::new();
            for (body, reads) in writes {
                if sink.publish(body.clone()) {
                    published.push(body.class());
                }
                let waiting = lock(&sink.shared);
                prop_assert!(waiting.preview_bytes <= PREVIEW_BYTES_MAX);
                drop(waiting);
                if reads {
                    seen.extend(read(&mut stream));
                }
            }
            seen.extend(read(&mut stream));
            prop_assert!(seen.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
            let terminal = published.iter().filter(|class| **class == EventClass::Terminal).count();
            prop_assert!(terminal <= 1);
            prop_assert_eq!(terminal == 1, sink.is_ended());
            if terminal == 1 {
                prop_assert_eq!(seen.last().map(|event| event.body.class()), Some(EventClass::Terminal));
            }
            let sequences: std::collections::BTreeSet<u64> = seen.iter().map(|event| event.sequence).collect();
            for (sequence, class) in published.iter().enumerate() {
                prop_assert!(*class == EventClass::Lossy || sequences.contains(&(sequence as u64)));
            }
        }
    }
}
