//! Under any behaviour of engine, clients and shutdown, each job's events are in a valid order and end with one terminal event.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use proptest::prelude::*;
use sakuga_model_core::{GenerationSpec, Guidance, NoiseSchedule, PreviewMethod, Quality, Sampling, Solver};
use tokio::runtime::Runtime;

use crate::devices::DeviceInfo;
use crate::encoder::Encoder;
use crate::engine::scripted::{self, Fault, Script, ScriptedFault};
use crate::estimate::JobWork;
use crate::event::{CancelReason, Event, EventBody, EventClass};
use crate::event_frame::EventFrame;
use crate::gpu::{self, Sampler};
use crate::job::{Job, JobHandle, JobRequest, PictureTexts, Placement, Priority};
use crate::job_id::JobId;
use crate::journal::{EventEncoder, Journal, JournalHooks, Next, Reader};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::models::{MemoryBudget, ModelId};
use crate::preview::{PreviewFormat, PreviewPolicy};
use crate::retention::{Retention, RetentionGate};
use crate::scheduler::{EngineThread, OpenDevice, Scheduler};
use crate::store::StoreFault;
use crate::store::artifacts::ObjectArtifacts;
use crate::store::redb::RedbStore;
use crate::store::writer::StoreWriter;
use crate::telemetry::Telemetry;

/// What happens to one job after a while.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// Its reader reads to the end.
    Read,
    /// A call cancels it.
    Cancel,
    /// Its reader is dropped.
    Drop,
    /// Its deadline passes.
    Deadline,
}

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) steps: u32,
    pub(super) images: u32,
    pub(super) fate: Fate,
    pub(super) after_us: u64,
}

fn plan() -> impl Strategy<Value = Plan> {
    let fate = prop_oneof![Just(Fate::Read), Just(Fate::Cancel), Just(Fate::Drop), Just(Fate::Deadline)];
    (1..6_u32, 1..3_u32, fate, 0..8_000_u64).prop_map(|(steps, images, fate, after_us)| Plan {
        steps,
        images,
        fate,
        after_us,
    })
}

fn fault() -> impl Strategy<Value = ScriptedFault> {
    let fault = prop_oneof![
        Just(Fault::Fail),
        Just(Fault::LoseDevice),
        Just(Fault::ExhaustMemory(9)),
        Just(Fault::Panic),
        Just(Fault::Hang(3))
    ];
    (1..8_u64, 0..6_u32, fault).prop_map(|(job, after_step, fault)| ScriptedFault { job, after_step, fault })
}

pub(super) fn job_request(plan: &Plan) -> JobRequest {
    let sampling = Sampling {
        solver: Solver::Euler,
        schedule: NoiseSchedule::Native,
        steps: plan.steps,
        guidance: Guidance::new(5.0),
        shift: 6.0,
        quality: Quality::Exact,
        step_cache: None,
    };
    let spec = GenerationSpec {
        images: plan.images,
        seed: 1,
        profile: plan.steps.is_multiple_of(2),
        ..GenerationSpec::new("a sentence", 16, 16, sampling)
    };
    let preview = PreviewPolicy {
        method: Some(PreviewMethod::Linear),
        format: PreviewFormat::Png,
        max_edge_px: 64,
        every_steps: 1,
        min_interval: Duration::ZERO,
    };
    let info = scripted::source(Script::default()).describe().unwrap_or_else(|error| panic!("{error}")).info;
    JobRequest {
        request_id: "property".into(),
        client: "property".into(),
        model: ModelId::DEFAULT,
        placement: Placement::default(),
        timeout: None,
        priority: Priority::Normal,
        is_kept: false,
        work: JobWork::new(&spec, &info, [&[], &[]], &preview),
        spec,
        scene: None,
        held_images: None,
        preview,
        stats_interval: Duration::from_millis(100),
        texts: PictureTexts::new(|_| Ok(Vec::new())),
    }
}

fn scheduler(script: Script) -> Arc<Scheduler> {
    let (thread, ready) =
        EngineThread::open(vec![scripted::source(script)], MemoryBudget::default()).expect("a thread");
    let ready = ready.blocking_recv().expect("an answer").unwrap_or_else(|error| panic!("{error}"));
    let sampler = Arc::new(Sampler::start(vec![("cpu".into(), gpu::probe("cpu"))]).expect("a thread"));
    let artifacts = Arc::new(ObjectArtifacts::in_memory());
    // Nobody counts or deletes ended jobs here.
    let gate = Arc::new(RetentionGate::new(Retention { count: usize::MAX, ..Retention::default() }));
    let encoder = Encoder::start(artifacts, gate, StoreFault::default(), RUNTIME.handle().clone()).expect("a thread");
    let limits = Limits { queued_max: 3, ..Limits::default() };
    let device = OpenDevice { info: DeviceInfo::new("cpu"), thread, table: ready.table };
    Arc::new(Scheduler::start(vec![device], encoder, sampler, Telemetry::default(), Metrics::new([]).models, &limits))
}

/// The runtime on which the encoder stores pictures.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// Records the events in the order of their numbers.
pub(super) struct Notes(pub(super) Arc<Mutex<Vec<Event>>>);

impl EventEncoder for Notes {
    fn encode(&mut self, event: Event) -> (EventFrame, Option<Vec<u8>>) {
        self.0.lock().push(event);
        (EventFrame::new(Bytes::new(), 0), None)
    }

    fn set_labels(&mut self, _: Vec<String>) -> Vec<u8> {
        Vec::new()
    }
}

/// Cancels jobs without readers.
struct Reaper {
    scheduler: Arc<Scheduler>,
    handle: JobHandle,
}

impl JournalHooks for Reaper {
    fn unwatched(&self, _: &JobId) {
        self.scheduler.cancel(&self.handle, CancelReason::ClientGone);
    }

    fn ended(&self, _: &JobId) {}
}

fn assert_valid_order(events: &[Event], plan: &Plan) -> Result<(), TestCaseError> {
    prop_assert!(events.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    let terminal = events.iter().filter(|event| event.body.class() == EventClass::Terminal).count();
    prop_assert_eq!(terminal, 1, "{:?}", events);
    match &events.last().expect("a terminal event").body {
        EventBody::Completed { images, .. } => {
            prop_assert_eq!(images.len(), plan.images as usize);
            let steps = events.iter().filter(|event| matches!(event.body, EventBody::Step { .. })).count();
            prop_assert_eq!(steps, plan.steps as usize);
        }
        EventBody::Cancelled { at_step, reason } => {
            let steps = events.iter().filter(|event| matches!(event.body, EventBody::Step { .. })).count();
            prop_assert_eq!(steps, *at_step as usize);
            prop_assert!(!matches!(plan.fate, Fate::Read) || *reason == CancelReason::Shutdown);
        }
        EventBody::Failed(_) => {}
        other => prop_assert!(false, "{other:?} is not terminal"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn each_job_has_one_terminal_event(
        plans in prop::collection::vec(plan(), 1..8),
        faults in prop::collection::vec(fault(), 0..3),
        step_ms in 0..2_u64,
        is_shut_down in any::<bool>(),
    ) {
        let script = Script { step_ms, text_encode_ms: 0, decode_ms: 0, default_size_px: 16, faults, ..Script::default() };
        let scheduler = scheduler(script);
        let store = Arc::new(RedbStore::in_memory().expect("memory"));
        let writer = Arc::new(StoreWriter::start(store).expect("a thread"));
        let mut jobs = Vec::new();
        for plan in &plans {
            let deadline = Instant::now() + Duration::from_micros(plan.after_us);
            let handle = JobHandle::new(JobId::new(), matches!(plan.fate, Fate::Deadline).then_some(deadline));
            let events = Arc::new(Mutex::new(Vec::new()));
            let hooks = Arc::new(Reaper { scheduler: scheduler.clone(), handle: handle.clone() });
            let encoder = Box::new(Notes(events.clone()));
            let journal = Arc::new(Journal::new(handle.id.clone(), encoder, writer.clone(), hooks));
            let request = job_request(plan);
            let Ok(reservation) = scheduler.reserve(&request.client) else { continue };
            journal.publish(EventBody::Accepted { diagnostics: Vec::new() });
            let reader = Reader::of_live(journal.clone(), 0);
            let job = Job::new(handle.clone(), request, journal.clone(), scheduler.live());
            drop(reservation);
            scheduler.enqueue(job, 0);
            jobs.push((plan, handle, Some(reader), journal, events));
        }
        for (plan, handle, reader, _, _) in &mut jobs {
            std::thread::sleep(Duration::from_micros(plan.after_us));
            match plan.fate {
                Fate::Read | Fate::Deadline => {}
                Fate::Cancel => scheduler.cancel(handle, CancelReason::Requested),
                Fate::Drop => *reader = None,
            }
        }
        if is_shut_down {
            scheduler.drain();
            scheduler.cancel_all();
        }
        let until = Instant::now() + Duration::from_secs(20);
        while *scheduler.live().count().borrow() > 0 {
            prop_assert!(Instant::now() < until, "jobs are left: {:?}", scheduler.live().handles());
            std::thread::sleep(Duration::from_millis(1));
        }
        for (plan, _, reader, journal, events) in &mut jobs {
            prop_assert!(journal.is_ended());
            let events = events.lock();
            assert_valid_order(&events, plan)?;
            // What a reader gets is what was numbered, but for lossy events.
            if let Some(reader) = reader {
                let mut read = Vec::new();
                while let Next::Event(entry) = RUNTIME.block_on(reader.next()) {
                    read.push(entry.sequence);
                }
                prop_assert!(read.is_sorted_by(|one, next| one < next));
                let state = events.iter().filter(|event| event.body.class() != EventClass::Lossy);
                let state = state.filter(|event| !matches!(event.body, EventBody::Queued { .. }));
                prop_assert!(state.map(|event| event.sequence).all(|sequence| read.contains(&sequence)));
            }
        }
    }
}
