//! What a server reports about itself: information, health and reflection.

use sakuga_proto::system::v1::{GetServerInfoRequest, ListModelsRequest, StatsSource, WatchGpuStatsRequest};
use sakuga_tests::server::TestServer;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

/// The services of the API.
const SERVICES: [&str; 3] =
    ["sakuga.generation.v1.GenerationService", "sakuga.prompt.v1.PromptService", "sakuga.system.v1.SystemService"];

async fn channel(server: &TestServer) -> Channel {
    Channel::from_shared(server.address().to_owned()).unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn every_service_is_healthy() {
    let server = TestServer::scripted().await;
    let mut health = HealthClient::new(channel(&server).await);
    for service in SERVICES.into_iter().chain([""]) {
        let answer = health.check(HealthCheckRequest { service: service.into() }).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
    let unknown = health.check(HealthCheckRequest { service: "sakuga.none".into() }).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);
    server.stop().await;
}

#[tokio::test]
async fn reflection_tells_every_service_and_its_files() {
    let server = TestServer::scripted().await;
    let mut reflection = ServerReflectionClient::new(channel(&server).await);
    let mut ask = vec![MessageRequest::ListServices(String::new())];
    ask.extend(SERVICES.map(|service| MessageRequest::FileContainingSymbol(service.into())));
    let asked = ask.len();
    let questions =
        ask.into_iter().map(|request| ServerReflectionRequest { host: String::new(), message_request: Some(request) });
    let mut answers = reflection
        .server_reflection_info(tokio_stream::iter(questions.collect::<Vec<_>>()))
        .await
        .unwrap()
        .into_inner();
    let mut seen = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        seen += 1;
        match answer.message_response {
            Some(MessageResponse::ListServicesResponse(list)) => {
                let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
                assert!(SERVICES.iter().all(|service| names.iter().any(|name| name == service)), "{names:?}");
            }
            Some(MessageResponse::FileDescriptorResponse(files)) => assert!(!files.file_descriptor_proto.is_empty()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, asked);
    server.stop().await;
}

#[tokio::test]
async fn the_server_says_what_it_is() {
    let server = TestServer::scripted().await;
    let mut system = server.client().await.system();
    let info = system.get_server_info(GetServerInfoRequest {}).await.unwrap().into_inner();
    assert_eq!((info.engine.as_str(), info.version.as_str()), ("scripted", env!("CARGO_PKG_VERSION")));
    let limits = info.limits.expect("limits");
    assert!(limits.max_pixels > 0 && limits.max_images > 0 && limits.max_steps > 0 && limits.size_multiple == 16);
    let models = system.list_models(ListModelsRequest {}).await.unwrap().into_inner().models;
    assert_eq!(models.len(), 1);
    assert!(!models[0].notice.is_empty(), "the scripted engine says that it draws no pictures");
    server.stop().await;
}

#[tokio::test]
async fn the_device_can_be_watched() {
    let server = TestServer::scripted().await;
    let mut system = server.client().await.system();
    let call = WatchGpuStatsRequest { interval_ms: 100, all_devices: false };
    let mut samples = system.watch_gpu_stats(call).await.unwrap().into_inner();
    for _ in 0..3 {
        let stats = samples.message().await.unwrap().expect("the stream continues").stats.expect("a sample");
        assert!(matches!(stats.source(), StatsSource::Host | StatsSource::Nvml), "{stats:?}");
        assert!(stats.memory_total_bytes.is_some_and(|total| total > 0), "{stats:?}");
        assert!(stats.time.is_some());
    }
    drop(samples);
    server.stop().await;
}
