//! A journal over a store in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use sakuga_model_core::{PreviewMethod, Stage};

use bytes::Bytes;

use super::lossy::{LossyKind, PREVIEW_BYTES_MAX, PREVIEWS_MAX};
use super::state::RESERVE;
use super::*;
use crate::event::{CancelReason, Event, EventBody, EventClass, JobTimings, Preview};
use crate::event_frame::EventFrame;
use crate::gpu::DeviceSample;
use crate::job_id::JobId;
use crate::preview::PreviewFormat;
use crate::store::JobStore;
use crate::store::redb::RedbStore;
use crate::store::writer::StoreWriter;

/// Writes an event as its number, padded to the size of what it holds.
struct Numbers;

impl EventEncoder for Numbers {
    fn encode(&mut self, event: Event) -> (EventFrame, Option<Vec<u8>>) {
        let bytes = match &event.body {
            EventBody::Preview(preview) => preview.data.len(),
            _ => 8,
        };
        (EventFrame::new(vec![0; bytes].into(), bytes), None)
    }

    fn set_labels(&mut self, labels: Vec<String>) -> Vec<u8> {
        labels.concat().into_bytes()
    }
}

#[derive(Default)]
struct Calls {
    unwatched: AtomicUsize,
    ended: AtomicUsize,
}

impl JournalHooks for Calls {
    fn unwatched(&self, _: &JobId) {
        self.unwatched.fetch_add(1, Ordering::SeqCst);
    }

    fn ended(&self, _: &JobId) {
        self.ended.fetch_add(1, Ordering::SeqCst);
    }
}

struct Bench {
    journal: Arc<Journal>,
    calls: Arc<Calls>,
    store: Arc<RedbStore>,
    writer: Arc<StoreWriter>,
}

fn bench() -> Bench {
    let store = Arc::new(RedbStore::in_memory().expect("memory"));
    let writer = Arc::new(StoreWriter::start(store.clone()).expect("a thread"));
    let calls = Arc::new(Calls::default());
    let journal = Arc::new(Journal::new(JobId::new(), Box::new(Numbers), writer.clone(), calls.clone()));
    Bench { journal, calls, store, writer }
}

impl Bench {
    /// A job that has begun.
    async fn begun() -> Self {
        let bench = bench();
        assert!(bench.journal.publish(EventBody::Accepted { diagnostics: vec![] }));
        assert!(bench.journal.publish(started()));
        bench.settle().await;
        bench
    }

    fn read(&self, next_sequence: u64) -> Reader {
        Reader::of_live(self.journal.clone(), next_sequence)
    }

    /// Waits until everything that was published is committed.
    async fn settle(&self) {
        self.writer.write_once(vec![]).await.expect("memory");
    }
}

fn started() -> EventBody {
    EventBody::Started { device: "cpu".into() }
}

fn preview(bytes: usize) -> EventBody {
    EventBody::Preview(Preview {
        image_index: 0,
        step: 1,
        method: PreviewMethod::Linear,
        format: PreviewFormat::Jpeg,
        width_px: 1,
        height_px: 1,
        data: Bytes::from(vec![0; bytes]),
    })
}

/// The numbers that a reader gets until it would have to wait.
async fn numbers(reader: &mut Reader) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Ok(Next::Event(entry)) = tokio::time::timeout(std::time::Duration::from_millis(20), reader.next()).await {
        numbers.push(entry.sequence);
    }
    numbers
}

#[tokio::test]
async fn a_slow_reader_loses_the_oldest_previews_and_sees_the_gap() {
    let bench = Bench::begun().await;
    let mut reader = bench.read(0);
    for _ in 0..40 {
        assert!(bench.journal.publish(preview(10)));
    }
    let seen = numbers(&mut reader).await;
    assert_eq!((seen.len(), seen[1], seen[2]), (2 + PREVIEWS_MAX, 1, 2 + 40 - PREVIEWS_MAX as u64));
}

#[tokio::test]
async fn previews_are_bounded_in_bytes_but_one_is_always_kept_and_samples_are_one() {
    let bench = Bench::begun().await;
    for _ in 0..3 {
        bench.journal.publish(preview(PREVIEW_BYTES_MAX + 1));
        bench.journal.publish(EventBody::GpuStats(DeviceSample::default()));
    }
    assert_eq!(numbers(&mut bench.read(2)).await, [6, 7]);
}

#[tokio::test]
async fn every_reader_gets_everything_from_its_number_on() {
    let bench = Bench::begun().await;
    bench.journal.publish(EventBody::Stage { stage: Stage::Denoise, pass: 1 });
    bench.settle().await;
    assert_eq!(numbers(&mut bench.read(0)).await, [0, 1, 2]);
    assert_eq!(numbers(&mut bench.read(2)).await, [2]);
    let mut late = bench.read(3);
    bench.journal.publish(EventBody::Cancelled { at_step: 0, reason: CancelReason::Requested });
    assert!(matches!(late.next().await, Next::Event(Entry { sequence: 3, .. })));
    assert_eq!(late.next().await, Next::End);
    bench.settle().await;
    assert_eq!(bench.calls.ended.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn dropping_the_last_reader_calls_the_hook() {
    let bench = Bench::begun().await;
    let (one, two) = (bench.read(0), bench.read(0));
    drop(one);
    assert_eq!(bench.calls.unwatched.load(Ordering::SeqCst), 0);
    drop(two);
    assert_eq!(bench.calls.unwatched.load(Ordering::SeqCst), 1);
    bench.journal.seal();
    assert_eq!(bench.read(2).next().await, Next::Sealed);
    assert!(!bench.journal.publish(EventBody::Stage { stage: Stage::Denoise, pass: 1 }));
}

#[tokio::test]
async fn sequence_numbers_are_not_used_twice() {
    let bench = Bench::begun().await;
    for _ in 0..3 * RESERVE {
        bench.journal.publish(preview(1));
        if bench.journal.next_sequence().is_multiple_of(100) {
            bench.settle().await;
        }
    }
    let last = *numbers(&mut bench.read(0)).await.last().expect("events");
    let id = bench.journal.job().to_string();
    let reserved = bench.store.reserved(&id).expect("memory");
    assert!(last < reserved, "{last} was seen and {reserved} comes next after a restart");
    // The journal after a restart.
    let writer = bench.writer.clone();
    let stored = StoredJournal { next_sequence: reserved, ..StoredJournal::default() };
    let next = Arc::new(Journal::resume(JobId::named(&id), Box::new(Numbers), writer, bench.calls.clone(), stored));
    assert!(next.publish(EventBody::Requeued { attempt: 2 }));
    assert!(next.publish(started()));
    bench.settle().await;
    assert_eq!(numbers(&mut Reader::of_live(next.clone(), last + 1)).await, [reserved, reserved + 1]);
}

fn any_body() -> impl Strategy<Value = EventBody> {
    prop_oneof![
        Just(EventBody::Accepted { diagnostics: vec![] }),
        Just(EventBody::Queued { position: 1, eta: None }),
        Just(EventBody::Requeued { attempt: 2 }),
        Just(started()),
        Just(EventBody::Stage { stage: Stage::Denoise, pass: 1 }),
        Just(preview(100_000)),
        Just(EventBody::GpuStats(DeviceSample::default())),
        Just(EventBody::ImageChunk { image_index: 0, offset: 0, total_size: 1, len: 1 }),
        Just(EventBody::Completed { images: vec![], timings: JobTimings::default(), measured: Box::default() }),
        Just(EventBody::Failed(crate::error::ServerError::ShuttingDown)),
        Just(EventBody::Cancelled { at_step: 0, reason: CancelReason::Requested }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// For any writes and any pace of reading: sequence numbers rise, only lossy events are missing, the terminal event is
    /// the only one and the last, what readers see is committed, and what waits is bounded.
    #[test]
    fn any_writes_give_a_valid_stream(writes in prop::collection::vec((any_body(), any::<bool>()), 0..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let bench = bench();
            let mut reader = bench.read(0);
            let (mut published, mut seen) = (Vec::new(), Vec::new());
            for (body, reads) in writes {
                let is_lossy = LossyKind::of(&body, published.len() as u64).is_some();
                let class = if is_lossy { EventClass::Lossy } else { body.class() };
                if bench.journal.publish(body) {
                    published.push(class);
                }
                prop_assert!(bench.journal.state().lossy.preview_bytes() <= PREVIEW_BYTES_MAX);
                if reads {
                    bench.settle().await;
                    while reader.next_sequence() < bench.journal.next_sequence() {
                        let Some(next) = bench.journal.state().first_from(reader.next_sequence()).cloned() else { break };
                        let Next::Event(entry) = reader.next().await else { break };
                        prop_assert_eq!(&entry, &next);
                        seen.push(entry.sequence);
                    }
                }
            }
            bench.settle().await;
            while bench.journal.state().first_from(reader.next_sequence()).is_some() {
                let Next::Event(entry) = reader.next().await else { break };
                seen.push(entry.sequence);
            }
            prop_assert!(seen.is_sorted_by(|one, next| one < next));
            let terminal = published.iter().filter(|class| **class == EventClass::Terminal).count();
            prop_assert!(terminal <= 1);
            prop_assert_eq!(terminal == 1, bench.journal.is_ended());
            if terminal == 1 {
                prop_assert_eq!(seen.last().copied(), Some(published.len() as u64 - 1));
            }
            let stored = bench.store.events(bench.journal.job().as_str(), 0).expect("memory");
            let stored: Vec<u64> = stored.into_iter().map(|(sequence, _)| sequence).collect();
            for (sequence, class) in published.iter().enumerate() {
                let sequence = sequence as u64;
                prop_assert!(*class == EventClass::Lossy || seen.contains(&sequence));
                prop_assert_eq!(stored.contains(&sequence), *class != EventClass::Lossy);
            }
            Ok(())
        })?;
    }
}
