//! The server with the model that it makes by itself, on the CPU: what a first start without any download does.
#![cfg(feature = "burn")]

use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::generate_request::Prompt;
use sakuga_proto::generation::v1::generation_service_client::GenerationServiceClient;
use sakuga_proto::generation::v1::{GenerateEvent, GenerateRequest, PreviewMethod, PreviewOptions, Sampling};
use sakuga_server::config::{BurnConfig, DeviceChoice, EngineChoice};
use sakuga_server::{App, Config};
use tonic::transport::Channel;

const XML: &str = "<character_1>\n<n>rem</n>\n<gender>1girl</gender>\n<appearance>blue_hair</appearance>\n\
                   </character_1>\n\n<caption>A girl looks at the sea.</caption>\n";

fn config(cache_dir: &std::path::Path) -> Config {
    let burn = BurnConfig { device: DeviceChoice::Cpu, cache_dir: Some(cache_dir.to_owned()), ..BurnConfig::default() };
    Config { engine: EngineChoice::Burn(burn), ..Config::default() }
}

async fn draw(client: &mut GenerationServiceClient<Channel>, images: u32, seed: u64) -> Vec<GenerateEvent> {
    let request = GenerateRequest {
        prompt: Some(Prompt::Xml(XML.into())),
        sampling: Some(Sampling { steps: 2, ..Sampling::default() }),
        width: 64,
        height: 96,
        images,
        seed: Some(seed),
        preview: Some(PreviewOptions { method: PreviewMethod::Linear.into(), ..PreviewOptions::default() }),
        ..GenerateRequest::default()
    };
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

#[tokio::test]
async fn the_embedded_model_draws_the_same_picture_after_a_restart() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let mut drawn = Vec::new();
    for _ in 0..2 {
        let app = App::build(config(cache.path())).await.expect("the embedded model loads");
        let url = format!("http://{}", app.local_addr());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let served = tokio::spawn(app.run_until(async {
            let _ = stopped.await;
        }));
        let channel = Channel::from_shared(url).expect("a URL").connect().await.expect("the server listens");
        let mut client = GenerationServiceClient::new(channel);
        let events = draw(&mut client, 2, 5).await;
        let previews = events.iter().filter(|event| matches!(event.event, Some(Event::Preview(_)))).count();
        assert_eq!(previews, 4, "two pictures, two steps");
        let notice = events.iter().find_map(|event| match &event.event {
            Some(Event::Started(started)) => Some(started.model_notice.clone()),
            _ => None,
        });
        assert!(notice.is_some_and(|notice| notice.contains("random")), "the user is told about the weights");
        let both = pixels(&events);
        assert_ne!(both[0], both[1]);
        assert_ne!(pixels(&draw(&mut client, 1, 6).await)[0], both[0]);
        drawn.push(both);
        drop(client);
        stop.send(()).expect("the server runs");
        served.await.expect("no panic").expect("a clean end");
    }
    assert_eq!(drawn[0], drawn[1]);
}

#[tokio::test]
async fn a_folder_that_is_no_model_is_named() {
    let empty = tempfile::tempdir().expect("a temporary folder");
    let burn = BurnConfig { device: DeviceChoice::Cpu, model: Some(empty.path().to_owned()), ..BurnConfig::default() };
    let error = App::build(Config { engine: EngineChoice::Burn(burn), ..Config::default() }).await.err();
    let text = error.expect("an empty folder is no model").to_string();
    assert!(text.contains(&empty.path().display().to_string()), "{text}");
    let burn = BurnConfig { device: DeviceChoice::Cuda(4000), ..BurnConfig::default() };
    let error = App::build(Config { engine: EngineChoice::Burn(burn), ..Config::default() }).await.err();
    let text = error.expect("there is no such GPU").to_string();
    assert!(text.contains("--device cpu"), "{text}");
}
