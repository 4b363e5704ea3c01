//! Several models in one server: which one draws, which are evicted, and which jobs wait.

use std::time::Duration;

use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_proto::generation::v1::{CreateJobRequest, GenerateEvent, GenerateRequest, JobState, Stage};
use sakuga_proto::model::v1::model_service_client::ModelServiceClient;
use sakuga_proto::model::v1::{
    ListModelsRequest, ListModelsResponse, LoadModelRequest, ModelState, ModelStatus, UnloadModelRequest,
};
use sakuga_server::config::{ConfiguredModel, DevicesChoice, EngineChoice, ModelsConfig};
use sakuga_server::engine::scripted::{Fault, Script};
use sakuga_server::{App, Config};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

use crate::support::{PATIENCE, Server, ended, expect_event, fault, job, name, quick, request, run, steps_of_ms};

/// Bytes of each model's weights.
const WEIGHTS: u64 = 1000;
/// How many jobs of a loaded model may go before one that waits for another model; `scheduler/queue.rs` has the bound.
const OVERTAKEN_MAX: u32 = 8;

/// A server of these scripts, named `a`, `b` and so on. The budget has room for `room` models.
pub(crate) fn config(scripts: Vec<Script>, room: Option<u64>, host_budget: u64) -> Config {
    let configured = |(index, script): (usize, Script)| ConfiguredModel {
        name: Some(["a", "b", "c"][index].to_owned()),
        engine: EngineChoice::Scripted(Script { weight_bytes: WEIGHTS, ..script }),
    };
    let models = ModelsConfig {
        models: scripts.into_iter().enumerate().map(configured).collect(),
        device_budget: room.map(|models| models * WEIGHTS),
        host_budget: Some(host_budget),
        adapters: None,
        devices: DevicesChoice::default(),
    };
    Config { models, ..Config::default() }
}

pub(crate) fn of_model(model: &str, steps: u32) -> GenerateRequest {
    GenerateRequest { model: model.into(), ..request(steps) }
}

fn service(server: &Server) -> ModelServiceClient<tonic::transport::Channel> {
    ModelServiceClient::new(server.channel.clone())
}

async fn list(server: &Server) -> ListModelsResponse {
    service(server).list_models(ListModelsRequest {}).await.expect("an answer").into_inner()
}

pub(crate) async fn states(server: &Server) -> Vec<ModelState> {
    list(server).await.models.iter().map(ModelStatus::state).collect()
}

async fn load(server: &Server, model: &str) -> Result<ModelStatus, Status> {
    let loaded = service(server).load_model(LoadModelRequest { name: model.into() }).await?;
    Ok(loaded.into_inner().model.expect("a model"))
}

async fn unload(server: &Server, model: &str) -> Result<ModelStatus, Status> {
    let unloaded = service(server).unload_model(UnloadModelRequest { name: model.into() }).await?;
    Ok(unloaded.into_inner().model.expect("a model"))
}

/// The stages of a job before its first step.
fn first_stages(events: &[GenerateEvent]) -> Vec<Stage> {
    let before = events.iter().take_while(|event| name(event) != "step").filter(|event| name(event) == "stage");
    before.map(|event| expect_event!(event, Stage).stage()).collect()
}

fn reason(status: &Status) -> (Code, String) {
    (status.code(), status.get_details_error_info().expect("ErrorInfo").reason)
}

/// Waits until the health of a model is this one.
async fn health_becomes(server: &Server, model: &str, expected: ServingStatus) {
    let mut health = HealthClient::new(server.channel.clone());
    let wait = async {
        loop {
            let check = health.check(HealthCheckRequest { service: format!("model/{model}") }).await;
            if check.expect("known").into_inner().status() == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("the health of {model} is not {expected:?}"));
}

async fn create(server: &Server, model: &str, steps: u32) -> String {
    let call = CreateJobRequest { request: Some(of_model(model, steps)), options: None };
    let created = JobServiceClient::new(server.channel.clone()).create_job(call).await.expect("accepted");
    created.into_inner().job.expect("a job").job_id
}

#[tokio::test]
async fn a_request_chooses_its_model() {
    let large = Script { default_size_px: 128, ..quick() };
    let server = Server::start(config(vec![quick(), large], None, 0)).await;
    for (model, drawn, width) in [("", "a", 64), ("a", "a", 64), ("b", "b", 128)] {
        let events = run(&server, of_model(model, 1)).await;
        let started = events.iter().find(|event| name(event) == "started").expect("it started");
        let resolved = expect_event!(started, Started).resolved.as_ref().expect("the request");
        assert_eq!((resolved.model.as_str(), resolved.width), (drawn, width));
        let completed = expect_event!(events.last().expect("events"), Completed);
        let metadata = completed.images[0].metadata.as_ref().expect("metadata");
        assert!(metadata.model.starts_with(&format!("{drawn}@")), "{}", metadata.model);
        assert_eq!(first_stages(&events)[0], Stage::TextEncode, "both models are loaded");
        assert_eq!(completed.timings.as_ref().expect("timings").load_model, None);
    }
    let refused = server.generation().generate(of_model("bb", 1)).await.expect_err("no such model");
    assert_eq!(reason(&refused), (Code::NotFound, "MODEL_NOT_FOUND".into()));
    assert!(refused.message().contains("did you mean `b`") && refused.message().contains("a, b"), "{refused:?}");
    let listed = list(&server).await;
    let shown: Vec<_> = listed.models.iter().map(|model| (model.name.as_str(), model.is_default)).collect();
    assert_eq!(shown, [("a", true), ("b", false)]);
    assert_eq!(listed.models[0].information.as_ref().expect("information").name, "a");
    assert_eq!((listed.models[0].weight_bytes, listed.memory_budget_bytes), (WEIGHTS, None));
    server.stop().await;
}

#[tokio::test]
async fn a_model_without_room_is_loaded_for_its_job_and_another_evicted() {
    use ModelState::{Loaded, OnHost, Unloaded};
    for (host_budget, evicted) in [(10 * WEIGHTS, OnHost), (0, Unloaded)] {
        let slow = || Script { load_ms: 30, ..quick() };
        let server = Server::start(config(vec![slow(), slow()], Some(1), host_budget)).await;
        assert_eq!(states(&server).await, [Loaded, Unloaded]);
        let events = run(&server, of_model("b", 1)).await;
        assert_eq!(first_stages(&events), [Stage::LoadModel, Stage::TextEncode, Stage::Denoise]);
        let timings = expect_event!(events.last().expect("events"), Completed).timings.as_ref().expect("timings");
        let took = timings.load_model.and_then(|time| Duration::try_from(time).ok()).expect("it was loaded");
        assert!(took.as_millis() >= 30, "{took:?}");
        let listed = list(&server).await;
        assert_eq!(states(&server).await, [evicted, Loaded]);
        let host_bytes = if evicted == OnHost { WEIGHTS } else { 0 };
        assert_eq!((listed.models[0].host_bytes, listed.models[0].last_used), (host_bytes, None));
        assert!(listed.models[1].last_used.is_some());
        assert_eq!((listed.memory_budget_bytes, listed.host_memory_budget_bytes), (Some(WEIGHTS), host_budget));
        assert_eq!(first_stages(&run(&server, of_model("b", 1)).await)[0], Stage::TextEncode, "it is there now");
        assert_eq!(first_stages(&run(&server, of_model("a", 1)).await)[0], Stage::LoadModel);
        assert_eq!(states(&server).await, [Loaded, evicted]);
        server.stop().await;
    }
}

#[tokio::test]
async fn calls_load_and_unload_models() {
    use ModelState::{Loaded, OnHost, Unloaded};
    let server = Server::start(config(vec![quick(), quick(), quick()], Some(2), 10 * WEIGHTS)).await;
    assert_eq!(states(&server).await, [Loaded, Loaded, Unloaded]);
    assert_eq!(load(&server, "c").await.expect("loaded").state(), Loaded);
    assert_eq!(states(&server).await, [OnHost, Loaded, Loaded], "`a` is the least recently used");
    let unloaded = unload(&server, "a").await.expect("unloaded");
    assert_eq!((unloaded.state(), unloaded.host_bytes), (Unloaded, 0));
    assert_eq!(unload(&server, "b").await.expect("unloaded").state(), Unloaded);
    assert_eq!(load(&server, "b").await.expect("loaded").state(), Loaded);
    assert_eq!(load(&server, "b").await.expect("it is there").state(), Loaded);
    assert_eq!(first_stages(&run(&server, of_model("b", 1)).await)[0], Stage::TextEncode);
    assert_eq!(reason(&load(&server, "z").await.expect_err("no such model")).1, "MODEL_NOT_FOUND");
    assert_eq!(
        reason(&unload(&server, "").await.expect_err("no name")),
        (Code::InvalidArgument, "INVALID_REQUEST".into())
    );
    server.stop().await;
}

#[tokio::test]
async fn a_model_that_cannot_be_loaded_is_refused_until_a_load_succeeds() {
    let fails = Script { failing_openings: vec![1, 2], ..quick() };
    let server = Server::start(config(vec![steps_of_ms(20), fails], Some(1), 0)).await;
    let running = create(&server, "a", 10).await;
    let waiting = [create(&server, "b", 1).await, create(&server, "b", 1).await];
    for job_id in &waiting {
        let error = ended(&server, job_id).await.error.expect("it failed");
        assert_eq!(error.code, Code::FailedPrecondition as i32);
        assert!(error.message.contains("`b`") && error.message.contains("fails opening 1"), "{}", error.message);
    }
    assert_eq!(ended(&server, &running).await.state(), JobState::Completed);
    let listed = list(&server).await;
    assert_eq!(listed.models[1].state(), ModelState::Failed);
    assert!(listed.models[1].failure.contains("fails opening 1"));
    let refused = server.generation().generate(of_model("b", 1)).await.expect_err("refused");
    assert_eq!(reason(&refused), (Code::FailedPrecondition, "MODEL_UNUSABLE".into()));
    assert_eq!(refused.get_details_error_info().expect("ErrorInfo").metadata["model"], "b");
    health_becomes(&server, "b", ServingStatus::NotServing).await;
    assert_eq!(reason(&load(&server, "b").await.expect_err("it fails again")).1, "MODEL_UNUSABLE");
    // `a` was evicted for the attempts.
    assert_eq!(first_stages(&run(&server, of_model("a", 1)).await)[0], Stage::LoadModel);
    health_becomes(&server, "a", ServingStatus::Serving).await;
    assert_eq!(load(&server, "b").await.expect("the third opening works").state(), ModelState::Loaded);
    assert_eq!(name(run(&server, of_model("b", 1)).await.last().expect("events")), "completed");
    health_becomes(&server, "b", ServingStatus::Serving).await;
    server.stop().await;
}

#[tokio::test]
async fn jobs_of_a_loaded_model_go_first_within_the_bound() {
    let server = Server::start(config(vec![steps_of_ms(10), quick()], Some(1), 0)).await;
    // A second, in which the others are created.
    let first = create(&server, "a", 100).await;
    let other = create(&server, "b", 1).await;
    let mut same = Vec::new();
    for _ in 0..OVERTAKEN_MAX + 2 {
        same.push(create(&server, "a", 1).await);
    }
    assert_eq!(job(&server, &first).await.end_time, None, "it runs long enough for the others to wait");
    let begun = async |job_id: &str| {
        let time = ended(&server, job_id).await.start_time.expect("it started");
        (time.seconds, time.nanos)
    };
    let other = begun(&other).await;
    let mut before = 0;
    for job_id in &same {
        before += u32::from(begun(job_id).await < other);
    }
    assert_eq!(before, OVERTAKEN_MAX);
    server.stop().await;
}

#[tokio::test]
async fn after_the_loss_of_the_device_all_models_are_opened_again() {
    let lost = Script { faults: vec![fault(1, 1, Fault::LoseDevice)], ..quick() };
    let server = Server::start(config(vec![lost, quick()], None, 0)).await;
    assert_eq!(name(run(&server, of_model("a", 2)).await.last().expect("events")), "failed");
    for model in ["b", "a"] {
        let events = run(&server, of_model(model, 1)).await;
        assert_eq!(name(events.last().expect("events")), "completed");
        assert_eq!(first_stages(&events)[0], Stage::TextEncode, "{model} is loaded");
    }
    assert_eq!(states(&server).await, [ModelState::Loaded; 2]);
    server.stop().await;
}

#[tokio::test]
async fn a_model_larger_than_the_budget_is_refused_at_the_start() {
    let mut config = config(vec![quick(), quick()], Some(1), 0);
    config.models.device_budget = Some(WEIGHTS - 1);
    let error = App::build(config).await.err().expect("it does not fit").to_string();
    assert!(error.contains("1000 bytes") && error.contains("999") && error.contains("--memory-budget"), "{error}");
}
