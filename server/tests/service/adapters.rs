//! Adapters of requests: the watched folder, what is listed, and what is refused before a job is accepted.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sakuga_proto::asset::v1::asset_service_client::AssetServiceClient;
use sakuga_proto::generation::v1::adapter::Source;
use sakuga_proto::generation::v1::{
    Adapter, EstimateRequest, EstimatedPartKind, GenerateEvent, GenerateRequest, Stage,
};
use sakuga_proto::model::v1::model_service_client::ModelServiceClient;
use sakuga_proto::model::v1::{ListAdaptersRequest, ListAdaptersResponse, LoadModelRequest, UnloadModelRequest};
use sakuga_server::Config;
use sakuga_server::config::Limits;
use sakuga_server::config::{ConfiguredModel, DevicesChoice, EngineChoice, ModelsConfig};
use sakuga_server::engine::scripted::Script;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{PATIENCE, Server, expect_event, files, name, quick, request, run, scripted};
use crate::uploads::{parts, picture};

/// Writes a safetensors file with a value for each name.
fn write(folder: &Path, file: &str, names: &[&str]) {
    let entry = |(index, name): (usize, &&str)| {
        let (begin, end) = (4 * index, 4 * index + 4);
        format!(r#""{name}":{{"dtype":"F32","shape":[1],"data_offsets":[{begin},{end}]}}"#)
    };
    let entries: Vec<String> = names.iter().enumerate().map(entry).collect();
    let header = format!("{{{}}}", entries.join(","));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + 4 * names.len(), 0);
    fs::write(folder.join(format!("{file}.safetensors")), bytes).expect("writable");
}

async fn start(folder: &Path) -> Server {
    let mut config: Config = scripted(quick());
    config.models.adapters = Some(folder.to_owned());
    Server::start(config).await
}

async fn list(server: &Server) -> ListAdaptersResponse {
    let mut models = ModelServiceClient::new(server.channel.clone());
    models.list_adapters(ListAdaptersRequest {}).await.expect("an answer").into_inner()
}

fn named(name: &str) -> Adapter {
    Adapter { source: Some(Source::Name(name.into())), ..Adapter::default() }
}

fn with(adapters: Vec<Adapter>) -> GenerateRequest {
    GenerateRequest { adapters, seed: Some(7), ..request(1) }
}

/// Field, reason and text of each violation.
async fn violations(server: &Server, request: GenerateRequest) -> Vec<(String, String, String)> {
    let refused: Status = server.generation().generate(request).await.expect_err("refused");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    let found = refused.get_details_bad_request().expect("details").field_violations;
    found.into_iter().map(|violation| (violation.field, violation.reason, violation.description)).collect()
}

/// Whether the estimate of a request counts a change of adapters.
async fn counts_switch(server: &Server, request: GenerateRequest) -> bool {
    let message = EstimateRequest { request: Some(request), options: None };
    let estimate = server.generation().estimate(message).await.expect("valid").into_inner().estimate;
    let parts = estimate.expect("an estimate").parts;
    parts.iter().any(|part| part.kind() == EstimatedPartKind::LoadAdapters)
}

fn is_switched(events: &[GenerateEvent]) -> bool {
    events.iter().any(|event| name(event) == "stage" && expect_event!(event, Stage).stage() == Stage::LoadAdapters)
}

#[tokio::test]
async fn adapters_are_listed_used_and_recorded_by_their_content() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), "ink", &["a", "b", "text.c"]);
    let server = start(folder.path()).await;
    let listed = list(&server).await.adapters;
    let fit = &listed[0].fits[0];
    assert_eq!((listed.len(), listed[0].name.as_str(), listed[0].algorithm.as_str()), (1, "ink", "LoRA"));
    assert_eq!((fit.model.as_str(), fit.is_usable, fit.modules, fit.text_modules), ("scripted", true, 2, 1));

    assert!(!is_switched(&run(&server, with(Vec::new())).await), "no adapters, nothing to change");
    let adapter = Adapter { scale: Some(0.5), ..named("ink") };
    let events = run(&server, with(vec![adapter.clone()])).await;
    assert!(is_switched(&events));
    let started = events.iter().find(|event| name(event) == "started").expect("it started");
    let resolved = expect_event!(started, Started).resolved.clone().expect("the request");
    let by_content =
        Adapter { source: Some(Source::Sha256(listed[0].sha256.clone())), scale: Some(0.5), text_scale: Some(0.5) };
    assert_eq!(resolved.adapters, [by_content]);
    let completed = expect_event!(events.last().expect("events"), Completed);
    let metadata = completed.images[0].metadata.as_ref().expect("metadata");
    let applied = &metadata.adapters[0];
    assert_eq!((applied.name.as_str(), &applied.sha256, applied.scale), ("ink", &listed[0].sha256, 0.5));
    let text = String::from_utf8_lossy(&files(&events)[0]).into_owned();
    assert!(text.contains("<lora:ink:0.5>") && text.contains(&listed[0].sha256), "the file names it");

    // The resolved request, as a picture carries it, gives the same file, and does not switch again.
    let again = run(&server, GenerateRequest { request_id: String::new(), ..resolved }).await;
    assert_eq!((is_switched(&again), files(&again)), (false, files(&events)));
    assert!(is_switched(&run(&server, with(Vec::new())).await), "back to the model itself");
    server.stop().await;
}

#[tokio::test]
async fn every_fault_of_adapters_is_a_violation() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), "ink-wash", &["a"]);
    write(folder.path(), "other", &["foreign.x"]);
    fs::write(folder.path().join("half.safetensors"), "version https://git-lfs.github.com/spec/v1").expect("writable");
    let server = start(folder.path()).await;
    assert_eq!(list(&server).await.unusable[0].name, "half");
    let scaled = |scale, text_scale| Adapter { scale: Some(scale), text_scale, ..named("ink-wash") };
    let digest = "ab".repeat(32);
    for (adapters, field, reason, text) in [
        (vec![named("ink-wsh")], "adapters[0].name", "unknown-value", "did you mean `ink-wash`?"),
        (vec![named("half")], "adapters[0].name", "unknown-value", "cannot be used"),
        (vec![named("other")], "adapters[0]", "does-not-fit", "`foreign.x`"),
        (vec![named("other")], "adapters[0]", "does-not-fit", "another model"),
        (vec![Adapter::default()], "adapters[0]", "required", "ListAdapters"),
        (vec![named("ink-wash"); 9], "adapters", "out-of-range", "at most 8"),
        (vec![scaled(f32::NAN, None)], "adapters[0].scale", "out-of-range", "-10 to 10"),
        (vec![scaled(1.0, Some(11.0))], "adapters[0].text_scale", "out-of-range", "-10 to 10"),
        (
            vec![named("ink-wash"), Adapter { source: Some(Source::Sha256(digest.clone())), ..Adapter::default() }],
            "adapters[1].sha256",
            "unknown-value",
            digest.as_str(),
        ),
    ] {
        let found = violations(&server, with(adapters)).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].0.as_str(), found[0].1.as_str()), (field, reason), "{found:?}");
        assert!(found[0].2.contains(text), "{found:?}");
    }
    let both = violations(&server, GenerateRequest { width: 7, ..with(vec![named("zzz")]) }).await;
    assert_eq!(both.iter().map(|fault| fault.0.as_str()).collect::<Vec<_>>(), ["adapters[0].name", "width"]);
    server.stop().await;

    let server = Server::start(scripted(quick())).await;
    let found = violations(&server, with(vec![named("ink-wash")])).await;
    assert!(found[0].2.contains("--adapters"), "{found:?}");
    server.stop().await;
}

#[tokio::test]
async fn adapters_count_as_memory_and_make_room_for_another_model() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), "ink", &["a", "b", "text.c"]);
    let named_model =
        |name: &str, script| ConfiguredModel { name: Some(name.to_owned()), engine: EngineChoice::Scripted(script) };
    let fails = Script { failing_openings: vec![3], ..quick() };
    let models = ModelsConfig {
        models: vec![named_model("one", quick()), named_model("two", fails)],
        device_budget: None,
        host_budget: None,
        adapters: Some(folder.path().to_owned()),
        devices: DevicesChoice::default(),
    };
    let server = Server::start(Config { models, ..Config::default() }).await;
    let adapted = || with(vec![named("ink")]);
    assert!(is_switched(&run(&server, adapted()).await));
    assert!(!is_switched(&run(&server, adapted()).await), "the same adapters again");
    assert!(!counts_switch(&server, adapted()).await);
    let mut lists = ModelServiceClient::new(server.channel.clone());
    for is_loaded in [true, false] {
        lists.unload_model(UnloadModelRequest { name: "two".into() }).await.expect("unloaded");
        let loaded = lists.load_model(LoadModelRequest { name: "two".into() }).await;
        assert_eq!(loaded.is_ok(), is_loaded, "its third opening fails");
        assert!(counts_switch(&server, adapted()).await, "they were taken back before the other model was loaded");
        assert!(!counts_switch(&server, with(Vec::new())).await);
        assert!(is_switched(&run(&server, adapted()).await));
        assert!(!counts_switch(&server, adapted()).await);
    }
    drop(lists);
    server.stop().await;

    // 64 MiB of weights and the pixels fit, and 3 MiB for three modules do not.
    let limits = Limits { job_memory_max: Some(65 << 20), ..Limits::default() };
    let mut config = Config { limits, ..scripted(quick()) };
    config.models.adapters = Some(folder.path().to_owned());
    let server = Server::start(config).await;
    run(&server, with(Vec::new())).await;
    let refused = server.generation().generate(adapted()).await.expect_err("refused before it is accepted");
    let reason = refused.get_details_error_info().map(|info| info.reason);
    assert_eq!((refused.code(), reason.as_deref()), (Code::FailedPrecondition, Some("NOT_ENOUGH_MEMORY")));
    server.stop().await;
}

/// Also on a server without a folder of adapters.
#[tokio::test]
async fn an_uploaded_file_is_an_adapter_by_its_hash() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), "own", &["a", "text.b"]);
    write(folder.path(), "other", &["foreign.x"]);
    let file = |name: &str| fs::read(folder.path().join(format!("{name}.safetensors"))).expect("written");
    let server = Server::start(scripted(quick())).await;
    let mut assets = AssetServiceClient::new(server.channel.clone());
    let mut upload = async |file: &[u8]| -> Adapter {
        let sent = assets.upload_asset(tokio_stream::iter(parts(file, 0))).await.expect("kept").into_inner();
        let sha256 = sent.asset.expect("an asset").sha256;
        Adapter { source: Some(Source::Sha256(sha256)), scale: Some(0.5), text_scale: Some(0.5) }
    };
    let [own, other, image] = [&file("own")[..], &file("other"), &picture(3)];
    let [own, other, image] = [upload(own).await, upload(other).await, upload(image).await];
    let events = run(&server, with(vec![own.clone()])).await;
    assert!(is_switched(&events));
    let started = events.iter().find(|event| name(event) == "started").expect("it started");
    let resolved = expect_event!(started, Started).resolved.clone().expect("the request");
    assert_eq!(resolved.adapters, std::slice::from_ref(&own));
    let again = run(&server, GenerateRequest { request_id: String::new(), ..resolved }).await;
    assert_eq!((is_switched(&again), files(&again)), (false, files(&events)));
    for (adapter, field, reason, text) in [
        (other, "adapters[0]", "does-not-fit", "`foreign.x`"),
        (image, "adapters[0].sha256", "unknown-value", "it is a picture"),
        (
            Adapter { source: Some(Source::Sha256("x".into())), ..own },
            "adapters[0].sha256",
            "unknown-value",
            "upload it",
        ),
    ] {
        let found = violations(&server, with(vec![adapter])).await;
        assert_eq!((found.len(), found[0].0.as_str(), found[0].1.as_str()), (1, field, reason), "{found:?}");
        assert!(found[0].2.contains(text), "{found:?}");
    }
    drop(assets);
    server.stop().await;
}

#[tokio::test]
async fn a_file_that_is_copied_into_the_folder_is_offered_once_it_is_complete() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start(folder.path()).await;
    assert_eq!(list(&server).await, ListAdaptersResponse::default());
    write(folder.path(), "new", &["a"]);
    let offered = async {
        while list(&server).await.adapters.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, offered).await.expect("it is offered");
    run(&server, with(vec![named("new")])).await;
    fs::remove_file(folder.path().join("new.safetensors")).expect("removable");
    let gone = async {
        while !list(&server).await.adapters.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("it is gone");
    server.stop().await;
}
