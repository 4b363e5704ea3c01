//! The server with the embedded model, on the CPU: a first start without any download.
//!
//! That model is trained if a checkpoint was built in, and random otherwise; these tests hold for both.
#![cfg(feature = "burn")]

use sakuga_model_core::{DeviceChoice, EmbeddedModel, ModelOptions};
use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::generate_request::Prompt;
use sakuga_proto::generation::v1::generation_service_client::GenerationServiceClient;
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_proto::generation::v1::{
    Box as MaskBox, CreateJobRequest, EvaluationReuse, GenerateEvent, GenerateRequest, ImageSource, InitImage,
    JobOptions, Mask, Placement, PreviewMethod, PreviewOptions, ReuseInSteps, Sampling, Scene, SecondPass, Solver,
    Stage, Started, StepCache, WatchJobRequest, image_source, scene, step_cache, watch_job_response,
};
use sakuga_proto::model::v1::model_service_client::ModelServiceClient;
use sakuga_proto::model::v1::{self as model, ModelState};
use sakuga_proto::system::v1::system_service_client::SystemServiceClient;
use sakuga_proto::system::v1::{DrainDeviceRequest, EnableDeviceRequest, ListModelsRequest, Model};
use sakuga_server::config::{ConfiguredModel, DevicesChoice, EngineChoice, ModelsConfig};
use sakuga_server::{App, Config};
use tonic::transport::Channel;

use crate::server::TestServer;

#[path = "shared/server.rs"]
mod server;

const XML: &str = "<character_1>\n<n>rem</n>\n<gender>1girl</gender>\n<appearance>blue_hair</appearance>\n\
                   </character_1>\n\n<caption>A girl looks at the sea.</caption>\n";

fn config(cache_dir: &std::path::Path) -> Config {
    let burn =
        ModelOptions { device: DeviceChoice::Cpu, cache_dir: Some(cache_dir.to_owned()), ..ModelOptions::default() };
    Config { models: EngineChoice::Burn(burn).into(), ..Config::default() }
}

async fn draw(client: &mut GenerationServiceClient<Channel>, images: u32, seed: u64) -> Vec<GenerateEvent> {
    events(client, small(images, seed)).await
}

/// A request for small pictures in two steps.
fn small(images: u32, seed: u64) -> GenerateRequest {
    GenerateRequest {
        prompt: Some(Prompt::Xml(XML.into())),
        sampling: Some(Sampling { steps: 2, ..Sampling::default() }),
        width: 64,
        height: 96,
        images,
        seed: Some(seed),
        preview: Some(PreviewOptions { method: PreviewMethod::Linear.into(), ..PreviewOptions::default() }),
        ..GenerateRequest::default()
    }
}

async fn events(client: &mut GenerationServiceClient<Channel>, request: GenerateRequest) -> Vec<GenerateEvent> {
    let mut stream = client.generate(request).await.expect("accepted").into_inner();
    let mut events = Vec::new();
    while let Some(response) = stream.message().await.expect("the stream does not break") {
        events.push(response.event.expect("every message has an event"));
    }
    events
}

fn pixels(events: &[GenerateEvent]) -> Vec<String> {
    let Some(Event::Completed(completed)) = &events.last().expect("events").event else {
        panic!("not completed: {:?}", events.last());
    };
    assert!(completed.images.iter().all(|image| (image.width, image.height) == (64, 96)));
    completed.images.iter().map(|image| image.pixels_sha256.clone()).collect()
}

fn started(events: &[GenerateEvent]) -> &Started {
    let started = events.iter().find_map(|event| match &event.event {
        Some(Event::Started(started)) => Some(started),
        _ => None,
    });
    started.expect("the job started")
}

async fn served_model(server: &TestServer) -> Model {
    let mut system = SystemServiceClient::new(server.channel.clone());
    system.list_models(ListModelsRequest {}).await.expect("an answer").into_inner().models.remove(0)
}

#[tokio::test]
async fn the_embedded_model_draws_the_same_picture_after_a_restart() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let mut drawn = Vec::new();
    for _ in 0..2 {
        let server = TestServer::start(config(cache.path())).await;
        let mut client = GenerationServiceClient::new(server.channel.clone());
        let events = draw(&mut client, 2, 5).await;
        let previews = events.iter().filter(|event| matches!(event.event, Some(Event::Preview(_)))).count();
        assert_eq!(previews, 4, "two pictures, two steps");
        let model = served_model(&server).await;
        assert_eq!(started(&events).model_notice, model.notice);
        assert_eq!(model.notice.contains("random"), model.name.starts_with("random-"), "{model:?}");
        let both = pixels(&events);
        assert_ne!(both[0], both[1]);
        assert_ne!(pixels(&draw(&mut client, 1, 6).await)[0], both[0]);
        drawn.push(both);
        drop(client);
        server.stop().await;
    }
    assert_eq!(drawn[0], drawn[1]);
    assert_eq!(std::fs::read_dir(cache.path()).expect("a folder").count(), 1, "it was unpacked once");
}

/// A picture is drawn again in whole, in part and larger; with the files, its record draws the same pixels.
#[tokio::test]
async fn the_embedded_model_begins_from_a_picture_of_its_own() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let server = TestServer::start(config(cache.path())).await;
    assert!(served_model(&server).await.encodes_images);
    let mut client = GenerationServiceClient::new(server.channel.clone());
    let mut drawn = async |request: GenerateRequest| {
        let events = events(&mut client, request).await;
        let mut file = Vec::new();
        let mut passes = Vec::new();
        for event in &events {
            match &event.event {
                Some(Event::ImageChunk(chunk)) => file.extend_from_slice(&chunk.data),
                Some(Event::Step(step)) => passes.push(step.pass_number),
                _ => {}
            }
        }
        let Some(Event::Completed(completed)) = events.last().and_then(|event| event.event.clone()) else {
            panic!("not completed: {:?}", events.last());
        };
        (file, passes, completed.images[0].clone())
    };
    let plain = GenerateRequest {
        prompt: Some(Prompt::Xml(XML.into())),
        sampling: Some(Sampling { steps: 4, ..Sampling::default() }),
        width: 64,
        height: 64,
        seed: Some(5),
        ..GenerateRequest::default()
    };
    let (file, ..) = drawn(plain.clone()).await;
    // A picture that reuses differs, says what it reused, and is drawn again by its record.
    let rule = Some(step_cache::Rule::InSteps(ReuseInSteps { steps: vec![3] }));
    let cache = StepCache { front_blocks: 1, back_blocks: 1, rule, taylor_order: 1 };
    let cached = Sampling { steps: 4, step_cache: Some(cache), ..Sampling::default() };
    let (reusing, _, info) = drawn(GenerateRequest { sampling: Some(cached), ..plain.clone() }).await;
    assert_ne!(reusing, file);
    let reuse = EvaluationReuse { evaluations: 4, conditional: vec![3], unconditional: vec![3] };
    assert_eq!(info.reuse, Some(reuse));
    let record = info.metadata.expect("a record").request.expect("the request");
    assert_eq!(drawn(record).await.0, reusing);
    let source = ImageSource { source: Some(image_source::Source::Inline(file.clone().into())) };
    let init = InitImage { image: Some(source), strength: Some(0.5), ..InitImage::default() };
    let area = MaskBox { left: 16, top: 8, width: 32, height: 16 };
    let mask = Mask { boxes: vec![area], feather: 4, ..Mask::default() };
    let asked = GenerateRequest { init: Some(init.clone()), mask: Some(mask), seed: Some(6), ..plain.clone() };
    let (part, passes, info) = drawn(asked).await;
    assert_eq!(passes, [1, 1]);
    let decode = |file: &[u8]| image::load_from_memory(file).expect("a PNG file").into_rgb8();
    let (before, after) = (decode(&file), decode(&part));
    let changed = before.enumerate_pixels().filter(|(x, y, pixel)| {
        let near = (12..52).contains(x) && (4..28).contains(y);
        assert!(near || after.get_pixel(*x, *y) == *pixel, "{x}, {y}");
        after.get_pixel(*x, *y) != *pixel
    });
    assert!(changed.count() > 100);
    let mut again = info.metadata.expect("a record").request.expect("the request");
    assert!(matches!(
        again.init.as_ref().and_then(|init| init.image.as_ref()?.source.as_ref()),
        Some(image_source::Source::Asset(_))
    ));
    again.init.as_mut().expect("the image").image = init.image.clone();
    assert_eq!(drawn(again).await.2.pixels_sha256, info.pixels_sha256);

    let second = SecondPass { strength: Some(0.5), ..SecondPass::default() };
    let (_, passes, info) = drawn(GenerateRequest { second_pass: Some(second), ..plain }).await;
    assert_eq!((passes, info.width, info.height), (vec![1, 1, 1, 1, 2, 2], 96, 96));
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_model_says_how_it_draws_unless_a_request_does() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    TestServer::start(config(cache.path())).await.stop().await;
    let folder =
        std::fs::read_dir(cache.path()).expect("a folder").next().expect("the model").expect("readable").path();
    let index = folder.join("model_index.json");
    let text = std::fs::read_to_string(&index).expect("an index");
    let mut keys: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).expect("an object");
    for (key, value) in [
        ("_sakuga_default_solver", serde_json::json!("midpoint")),
        ("_sakuga_default_steps", serde_json::json!(3)),
        ("_sakuga_default_guidance_scale", serde_json::json!(2.5)),
        ("_sakuga_default_guidance_until", serde_json::json!(0.5)),
        ("_sakuga_default_guidance_renorm", serde_json::json!(1.0)),
        ("_sakuga_default_shift", serde_json::json!(2.0)),
        ("_sakuga_system_prompt", serde_json::json!("")),
    ] {
        keys.insert(key.to_owned(), value);
    }
    std::fs::write(&index, serde_json::Value::Object(keys).to_string()).expect("writable");
    let burn = ModelOptions { device: DeviceChoice::Cpu, model: Some(folder), ..ModelOptions::default() };
    let server = TestServer::start(Config { models: EngineChoice::Burn(burn).into(), ..Config::default() }).await;

    let model = served_model(&server).await;
    let stated = model.default_sampling.expect("defaults");
    assert_eq!((stated.solver.as_str(), stated.steps, stated.guidance_scale), ("midpoint", 3, 2.5));
    assert_eq!((stated.guidance_until, stated.guidance_renorm, stated.shift), (0.5, 1.0, 2.0));
    assert_eq!(model.default_system_prompt, "");

    let mut client = GenerationServiceClient::new(server.channel.clone());
    let mut resolved = async |sampling: Option<Sampling>| {
        let request = GenerateRequest {
            prompt: Some(Prompt::Xml(XML.into())),
            sampling,
            width: 64,
            height: 96,
            ..GenerateRequest::default()
        };
        let events = events(&mut client, request).await;
        assert_eq!(pixels(&events).len(), 1);
        started(&events).resolved.clone().expect("the resolved request")
    };
    let silent = resolved(None).await;
    assert_eq!(silent.system_prompt.as_deref(), Some(""));
    let given = silent.sampling.expect("every option");
    assert_eq!((given.solver(), given.steps, given.guidance_scale), (Solver::Midpoint, 3, Some(2.5)));
    assert_eq!((given.guidance_until, given.guidance_renorm, given.shift), (Some(0.5), Some(1.0), Some(2.0)));
    let mut asked = Sampling { solver: Solver::Euler.into(), steps: 2, shift: Some(6.0), ..given };
    (asked.guidance_scale, asked.guidance_until, asked.guidance_renorm) = (Some(1.0), Some(1.0), Some(0.0));
    assert_eq!(resolved(Some(asked.clone())).await.sampling, Some(asked), "0 is a bound like any other: none");
    server.stop().await;
}

#[tokio::test]
async fn a_folder_that_is_no_model_is_named() {
    let empty = tempfile::tempdir().expect("a temporary folder");
    let burn =
        ModelOptions { device: DeviceChoice::Cpu, model: Some(empty.path().to_owned()), ..ModelOptions::default() };
    let error = App::build(Config { models: EngineChoice::Burn(burn).into(), ..Config::default() }).await.err();
    let text = error.expect("an empty folder is not a model").to_string();
    assert!(text.contains(&empty.path().display().to_string()), "{text}");
    let burn = ModelOptions { device: DeviceChoice::Cuda(4000), ..ModelOptions::default() };
    let error = App::build(Config { models: EngineChoice::Burn(burn).into(), ..Config::default() }).await.err();
    let text = error.expect("there is no such GPU").to_string();
    assert!(text.contains("--device cpu"), "{text}");
}

/// Two embedded models, as `one` and `two`.
fn two_models(embedded: [EmbeddedModel; 2], cache_dir: &std::path::Path, device_budget: Option<u64>) -> Config {
    let named = |(name, embedded): (&str, EmbeddedModel)| {
        let options = ModelOptions {
            device: DeviceChoice::Cpu,
            embedded,
            cache_dir: Some(cache_dir.to_owned()),
            ..ModelOptions::default()
        };
        ConfiguredModel { name: Some(name.to_owned()), engine: EngineChoice::Burn(options) }
    };
    let models = ["one", "two"].into_iter().zip(embedded).map(named).collect();
    let models = ModelsConfig {
        models,
        device_budget,
        host_budget: Some(0),
        adapters: None,
        devices: DevicesChoice::List(vec![DeviceChoice::Cpu]),
    };
    Config { models, ..Config::default() }
}

#[tokio::test]
async fn two_models_take_turns_on_a_device_that_has_room_for_one() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let drawn_by = async |client: &mut GenerationServiceClient<Channel>, model: &str| {
        let request = GenerateRequest {
            prompt: Some(Prompt::Xml(XML.into())),
            sampling: Some(Sampling { steps: 2, ..Sampling::default() }),
            model: model.to_owned(),
            width: 64,
            height: 96,
            seed: Some(5),
            ..GenerateRequest::default()
        };
        let events = events(client, request).await;
        assert_eq!(started(&events).resolved.as_ref().expect("the request").model, model);
        let loads = events.iter().filter(|event| match &event.event {
            Some(Event::Stage(begun)) => begun.stage() == Stage::LoadModel,
            _ => false,
        });
        (loads.count(), pixels(&events))
    };

    let server = TestServer::start(two_models([EmbeddedModel::Chibi; 2], cache.path(), None)).await;
    let mut client = GenerationServiceClient::new(server.channel.clone());
    let (loads, expected) = drawn_by(&mut client, "one").await;
    assert_eq!((loads, drawn_by(&mut client, "two").await), (0, (0, expected.clone())), "both are loaded");
    let bytes = statuses(&server).await[0].weight_bytes;
    assert!(bytes > 0);
    drop(client);
    server.stop().await;

    let server = TestServer::start(two_models([EmbeddedModel::Chibi; 2], cache.path(), Some(bytes))).await;
    let mut client = GenerationServiceClient::new(server.channel.clone());
    for (model, loads) in [("one", 0), ("two", 1), ("two", 0), ("one", 1)] {
        assert_eq!(drawn_by(&mut client, model).await, (loads, expected.clone()), "{model}");
    }
    let states: Vec<ModelState> = statuses(&server).await.iter().map(model::ModelStatus::state).collect();
    assert_eq!(states, [ModelState::Loaded, ModelState::Unloaded], "the CPU has no use for copies in host memory");
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn the_other_embedded_model_draws_a_scene_over_the_first_ones_picture() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let server = TestServer::start(two_models(EmbeddedModel::ALL, cache.path(), None)).await;
    let mut client = GenerationServiceClient::new(server.channel.clone());
    let characters = GenerateRequest { model: "one".into(), ..small(1, 5) };
    let scene = Scene {
        prompt: Some(scene::Prompt::Xml("1girl, blue hair, outdoors, snow".into())),
        model: "two".into(),
        sampling: Some(Sampling { steps: 5, ..Sampling::default() }),
        ..Scene::default()
    };
    let drawn = events(&mut client, GenerateRequest { scene: Some(scene), ..characters.clone() }).await;
    let steps = drawn.iter().filter(|event| matches!(event.event, Some(Event::Step(_)))).count();
    assert_eq!(steps, 2 + 2, "0.4 of 5 steps of the scene");
    assert_ne!(pixels(&drawn), pixels(&events(&mut client, characters).await));
    assert_eq!(std::fs::read_dir(cache.path()).expect("a folder").count(), 2, "each has a folder of its own");
    drop(client);
    server.stop().await;
}

async fn statuses(server: &TestServer) -> Vec<model::ModelStatus> {
    let mut models = ModelServiceClient::new(server.channel.clone());
    models.list_models(model::ListModelsRequest {}).await.expect("an answer").into_inner().models
}

/// Two engines on the CPU, with half of its cores each, draw what one engine draws with all of them, bit for bit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_engines_draw_the_pixels_of_one() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let server = TestServer::start(config(cache.path())).await;
    let mut client = GenerationServiceClient::new(server.channel.clone());
    let expected = pixels(&draw(&mut client, 2, 5).await);
    drop(client);
    server.stop().await;

    let mut config = config(cache.path());
    config.models.devices = "cpu,cpu".parse().expect("a list of devices");
    let server = TestServer::start(config).await;
    let client = GenerationServiceClient::new(server.channel.clone());
    let drawing = || {
        let mut client = client.clone();
        tokio::spawn(async move { draw(&mut client, 2, 5).await })
    };
    // At once, and on each alone.
    for job in [drawing(), drawing(), drawing()] {
        assert_eq!(pixels(&job.await.expect("no panic")), expected);
    }
    let mut system = SystemServiceClient::new(server.channel.clone());
    for (drained, other) in [("cpu:0", "cpu:1 1/2 of the cores"), ("cpu:1", "cpu:0 1/2 of the cores")] {
        system.drain_device(DrainDeviceRequest { name: drained.into() }).await.expect("drained");
        let events = drawing().await.expect("no panic");
        assert_eq!((started(&events).device.as_str(), pixels(&events)), (other, expected.clone()));
        system.enable_device(EnableDeviceRequest { name: drained.into() }).await.expect("enabled");
    }
    // Both draw one job, and its record draws the same pictures again on one.
    let mut jobs = JobServiceClient::new(server.channel.clone());
    let options = JobOptions { placement: Placement::Latency.into(), ..JobOptions::default() };
    let call = CreateJobRequest { request: Some(small(2, 5)), options: Some(options) };
    let job_id = jobs.create_job(call).await.expect("accepted").into_inner().job.expect("a job").job_id;
    let mut stream =
        jobs.watch_job(WatchJobRequest { job_id, ..Default::default() }).await.expect("there").into_inner();
    let mut both = Vec::new();
    while let Some(response) = stream.message().await.expect("the stream does not break") {
        if let Some(watch_job_response::Message::Event(event)) = response.message {
            both.push(event);
        }
    }
    assert_eq!(started(&both).device, "cpu:0 1/2 of the cores + cpu:1 1/2 of the cores");
    assert_eq!(pixels(&both), expected);
    let resolved = started(&both).resolved.clone().expect("the resolved request");
    let mut again = client.clone();
    assert_eq!(pixels(&events(&mut again, resolved).await), expected);
    drop((client, again, jobs, system));
    server.stop().await;
}
