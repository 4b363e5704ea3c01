//! The order of the checks of a call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sakuga_model_core::{ModelDescription, TokenCount, TokenCounter};
use sakuga_proto::generation::v1::{GenerateRequest, JobOptions, Sampling, generate_request};

use super::*;
use crate::adapters::Adapters;
use crate::assets::{AssetSettings, Assets};
use crate::devices::DeviceInfo;
use crate::encoder::Encoder;
use crate::engine::scripted::{self, Script};
use crate::error::ServerError;
use crate::gpu::{self, Sampler};
use crate::job::HeldImages;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::models::{Catalog, MemoryBudget, ModelId, ServedModel};
use crate::retention::{Retention, RetentionGate};
use crate::scheduler::{EngineThread, OpenDevice, Ready, Scheduler};
use crate::store::artifacts::ObjectArtifacts;
use crate::store::place::DataPlace;
use crate::store::redb::RedbStore;
use crate::store::writer::StoreWriter;
use crate::store::{JobStore, StoreFault};
use crate::telemetry::Telemetry;

/// Counts how often prompts are tokenised, which comes after they are parsed.
struct Counting {
    inner: Arc<dyn TokenCounter>,
    calls: AtomicUsize,
}

impl TokenCounter for Counting {
    fn count(&self, system_prompt: &str, text: &str) -> Vec<TokenCount> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.inner.count(system_prompt, text)
    }
}

/// A registry over stores in memory whose engine takes an hour for a step.
async fn registry(limits: Limits) -> (Arc<Jobs>, Arc<Counting>) {
    let script = Script { step_ms: 3_600_000, ..Script::default() };
    let (thread, ready) =
        EngineThread::open(vec![scripted::source(script)], MemoryBudget::default()).expect("a thread");
    let Ready { models, table } = ready.await.expect("an answer").unwrap_or_else(|error| panic!("{error}"));
    let store: Arc<dyn JobStore> = Arc::new(RedbStore::in_memory().expect("memory"));
    let artifacts = Arc::new(ObjectArtifacts::in_memory());
    let gate = Arc::new(RetentionGate::new(Retention::default()));
    let fault = StoreFault::default();
    let runtime = tokio::runtime::Handle::current();
    let encoder = Encoder::start(artifacts.clone(), gate.clone(), fault.clone(), runtime).expect("a thread");
    let sampler = Arc::new(Sampler::start(vec![("cpu".into(), gpu::probe("cpu"))]).expect("a thread"));
    let metrics = Metrics::new([]).models;
    let devices = vec![OpenDevice { info: DeviceInfo::new("cpu"), thread, table }];
    let scheduler = Scheduler::start(devices, encoder, sampler, Telemetry::default(), metrics, &limits);
    let ModelDescription { info, tokens, adapters, .. } = models.into_iter().next().expect("a model");
    let tokens = Arc::new(Counting { inner: tokens, calls: AtomicUsize::new(0) });
    let served = ServedModel { id: ModelId::DEFAULT, info, tokens: tokens.clone(), limits: limits.clone(), adapters };
    let writer = Arc::new(StoreWriter::start(store).expect("a thread"));
    let assets = Assets::open(&DataPlace::Memory, writer.clone(), AssetSettings::default()).expect("readable");
    let jobs = Jobs::new(Dependencies {
        models: Arc::new(Catalog::new(vec![served])),
        adapters: Arc::new(Adapters::new(None, Vec::new())),
        memory_budget: MemoryBudget::default(),
        limits,
        scheduler: Arc::new(scheduler),
        device_memory: None,
        writer,
        artifacts,
        artifact_fault: fault,
        assets,
        telemetry: Telemetry::default(),
        gate,
        observer: None,
        is_durable: false,
        held_images: HeldImages::default(),
    });
    (jobs, tokens)
}

fn call(client: &str) -> Call {
    let request = GenerateRequest {
        prompt: Some(generate_request::Prompt::Xml("<caption>A girl looks at the sea.</caption>".into())),
        sampling: Some(Sampling { steps: 1, ..Sampling::default() }),
        ..GenerateRequest::default()
    };
    let caller = Caller { client: client.into(), owner: "".into(), former_owner: None, sees_all: true };
    Call { caller, request, options: JobOptions::default(), trace_parent: None, is_watched: false }
}

async fn refusal(jobs: &Arc<Jobs>, call: Call) -> ServerError {
    match jobs.create(call).await {
        Ok(created) => panic!("job {} was created", created.job.job_id),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_that_the_rate_refuses_is_not_parsed() {
    let (jobs, tokens) = registry(Limits { client_rate_max: 2, ..Limits::default() }).await;
    for _ in 0..2 {
        jobs.create(call("flood")).await.map(drop).expect("two a minute");
    }
    let before = tokens.calls.load(Ordering::SeqCst);
    assert!(before >= 2, "accepted calls are parsed");
    for _ in 0..200 {
        assert!(matches!(refusal(&jobs, call("flood")).await, ServerError::ClientRate { .. }));
    }
    assert_eq!(tokens.calls.load(Ordering::SeqCst), before);
    // An invalid request counts towards the rate too.
    let mut invalid = call("other");
    invalid.request.width = 1;
    for _ in 0..2 {
        assert!(matches!(refusal(&jobs, invalid.clone()).await, ServerError::InvalidRequest(_)));
    }
    assert!(matches!(refusal(&jobs, call("other")).await, ServerError::ClientRate { .. }));
    jobs.dependencies.scheduler.close(Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_that_the_queue_refuses_is_not_parsed() {
    let (jobs, tokens) = registry(Limits { queued_max: 1, ..Limits::default() }).await;
    // One runs and one waits: the second is refused until the device has taken the first.
    let mut accepted = 0;
    while accepted < 2 {
        accepted += usize::from(jobs.create(call("flood")).await.is_ok());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let before = tokens.calls.load(Ordering::SeqCst);
    for _ in 0..200 {
        assert!(matches!(refusal(&jobs, call("flood")).await, ServerError::QueueFull { .. }));
    }
    assert_eq!(tokens.calls.load(Ordering::SeqCst), before);
    jobs.dependencies.scheduler.close(Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_job_is_answered_as_cancelled_and_foreign_jobs_are_not_found() {
    let (jobs, _) = registry(Limits::default()).await;
    let owned = |owner: &str| Caller { client: owner.into(), owner: owner.into(), former_owner: None, sees_all: false };
    let mut ids = Vec::new();
    for _ in 0..2 {
        let created = jobs.create(Call { caller: owned("alice"), ..call("alice") }).await;
        ids.push(created.map(|created| created.job.job_id).expect("accepted"));
    }
    let foreign = jobs.cancel(&owned("bob"), &ids[1]).await;
    assert!(matches!(foreign, Err(ServerError::UnknownJob(_))), "{foreign:?}");
    let job = jobs.cancel(&owned("alice"), &ids[1].to_uppercase()).await.expect("her own");
    assert_eq!(job.state(), sakuga_proto::generation::v1::JobState::Cancelled);
    jobs.dependencies.scheduler.close(Duration::ZERO);
}
