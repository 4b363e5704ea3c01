//! Whatever the engine, the clients and the shutdown do: each job's stream is lawful and ends with one terminal event.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use sakuga_server::encoder::Encoder;
use sakuga_server::engine::scripted::{self, Fault, Script, ScriptedFault};
use sakuga_server::engine::{JobSpec, PreviewMethod, Solver};
use sakuga_server::event::{CancelReason, Event, EventBody, EventClass};
use sakuga_server::gpu::{self, Sampler};
use sakuga_server::job::{Job, JobOrder, Ticket};
use sakuga_server::preview::{PreviewFormat, PreviewPolicy};
use sakuga_server::scheduler::Scheduler;
use sakuga_server::scheduler::worker::EngineThread;
use sakuga_server::stream::{self, EventStream};
use tokio_stream::Stream;

/// What happens to one job after a while.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// Its reader reads to the end.
    Read,
    /// A call cancels it.
    Cancel,
    /// Its reader goes.
    Drop,
    /// Its deadline passes.
    Deadline,
}

#[derive(Clone, Debug)]
struct Plan {
    steps: u32,
    images: u32,
    fate: Fate,
    after_us: u64,
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
    let fault = prop_oneof![Just(Fault::Fail), Just(Fault::LoseDevice), Just(Fault::Panic), Just(Fault::Hang(3))];
    (1..8_u64, 0..6_u32, fault).prop_map(|(job, after_step, fault)| ScriptedFault { job, after_step, fault })
}

fn order(plan: &Plan) -> JobOrder {
    JobOrder {
        request_id: "property".into(),
        spec: JobSpec {
            text: "a sentence".into(),
            system_prompt: String::new(),
            negative: String::new(),
            width_px: 16,
            height_px: 16,
            images: plan.images,
            seed: 1,
            solver: Solver::Euler,
            steps: plan.steps,
            guidance_scale: 5.0,
            guidance_until: 1.0,
            guidance_renorm: 0.0,
            shift: 6.0,
        },
        preview: PreviewPolicy {
            method: Some(PreviewMethod::Linear),
            format: PreviewFormat::Png,
            max_edge_px: 64,
            every_steps: 1,
            min_interval: Duration::ZERO,
        },
        stats_interval: Duration::from_millis(100),
        texts: Vec::new(),
    }
}

fn scheduler(script: Script) -> Arc<Scheduler> {
    let (thread, ready) = EngineThread::open(scripted::opener(script)).expect("a thread");
    ready.blocking_recv().expect("an answer").expect("the scripted engine opens");
    let sampler = Arc::new(Sampler::start(gpu::probe("cpu")).expect("a thread"));
    Arc::new(Scheduler::start(thread, Encoder::start().expect("a thread"), sampler, 3))
}

/// Everything that has come so far; whether the stream has ended.
fn read(stream: &mut EventStream, events: &mut Vec<Event>) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match Pin::new(&mut *stream).poll_next(&mut context) {
            Poll::Ready(Some(event)) => events.push(event),
            Poll::Ready(None) => return true,
            Poll::Pending => return false,
        }
    }
}

fn assert_lawful(events: &[Event], plan: &Plan) -> Result<(), TestCaseError> {
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
        let script = Script { step_ms, text_encode_ms: 0, decode_ms: 0, default_size_px: 16, faults };
        let scheduler = scheduler(script);
        let mut jobs = Vec::new();
        for plan in &plans {
            let deadline = Instant::now() + Duration::from_micros(plan.after_us);
            let ticket = Ticket::new(matches!(plan.fate, Fate::Deadline).then_some(deadline));
            let (on_drop, dropped) = (scheduler.clone(), ticket.clone());
            let (sink, stream) = stream::pipe(move || on_drop.cancel(&dropped, CancelReason::ClientGone));
            let job = Job::new(ticket.clone(), order(plan), sink.clone(), scheduler.live());
            let accepted = scheduler.submit(job, Vec::new());
            prop_assert!(accepted.is_ok() || sink.is_ended(), "a refused job is over");
            jobs.push((plan, ticket, Some(stream), sink, Vec::new()));
        }
        for (plan, ticket, stream, _, events) in &mut jobs {
            std::thread::sleep(Duration::from_micros(plan.after_us));
            match plan.fate {
                Fate::Read | Fate::Deadline => {}
                Fate::Cancel => scheduler.cancel(ticket, CancelReason::Requested),
                Fate::Drop => *stream = None,
            }
            if let Some(stream) = stream {
                read(stream, events);
            }
        }
        if is_shut_down {
            scheduler.drain();
            scheduler.cancel_all();
        }
        let until = Instant::now() + Duration::from_secs(20);
        while *scheduler.live().count().borrow() > 0 {
            prop_assert!(Instant::now() < until, "jobs are left: {:?}", scheduler.live().tickets());
            std::thread::sleep(Duration::from_millis(1));
        }
        for (plan, _, stream, sink, events) in &mut jobs {
            prop_assert!(sink.is_ended());
            if let Some(stream) = stream {
                prop_assert!(read(stream, events), "the stream ends");
                assert_lawful(events, plan)?;
            }
        }
    }
}
