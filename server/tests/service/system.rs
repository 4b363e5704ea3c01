//! Reports of the server: models, limits, statistics, health, reflection.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sakuga_proto::system::v1::system_service_client::SystemServiceClient;
use sakuga_proto::system::v1::{
    GetServerInfoRequest, ListModelsRequest, PromptText, StatsSource, WatchGpuStatsRequest,
};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::support::{Server, quick, request, run, scripted, steps_of_ms};

#[tokio::test]
async fn the_server_tells_what_it_is() {
    let server = Server::start(scripted(steps_of_ms(5))).await;
    let mut system = SystemServiceClient::new(server.channel.clone());
    let info = system.get_server_info(GetServerInfoRequest {}).await.expect("an answer").into_inner();
    assert_eq!((info.engine.as_str(), info.device.as_str(), info.jobs), ("scripted", "cpu", 0));
    assert_eq!(info.step_time, None, "nothing was measured yet");
    let limits = info.limits.expect("limits");
    assert_eq!((limits.max_steps, limits.max_images, limits.size_multiple), (200, 8, 16));
    run(&server, request(3)).await;
    let info = system.get_server_info(GetServerInfoRequest {}).await.expect("an answer").into_inner();
    let step_time = Duration::try_from(info.step_time.expect("measured")).expect("a duration");
    assert!(step_time >= Duration::from_millis(5), "{step_time:?}");

    let models = system.list_models(ListModelsRequest {}).await.expect("an answer").into_inner().models;
    assert_eq!(models.len(), 1);
    assert_eq!((models[0].name.as_str(), models[0].default_size), ("scripted", 64));
    assert!(!models[0].notice.is_empty());
    let sampling = models[0].default_sampling.as_ref().expect("defaults");
    assert_eq!((sampling.solver.as_str(), sampling.steps, sampling.shift), ("euler", 28, 6.0));
    assert_eq!(models[0].text_encoders.len(), 2);
    assert!(models[0].text_encoders.iter().all(|encoder| !encoder.name.is_empty() && encoder.max_tokens > 0));
    assert_eq!(models[0].stages, ["text_encode", "denoise", "decode"]);
    assert_eq!(models[0].solvers, ["euler", "midpoint", "rk4", "dpm", "euler_ancestral", "ddim", "unipc"]);
    assert_eq!(models[0].schedules, ["native", "karras", "exponential"]);
    assert!(models[0].has_shift);
    assert_eq!((models[0].size_multiple, models[0].max_pixels), (limits.size_multiple, limits.max_pixels));
    assert!(u64::from(models[0].max_edge) >= u64::from(models[0].default_size));
    assert_eq!(models[0].prompt_text(), PromptText::Markup);
    server.stop().await;
}

#[tokio::test]
async fn statistics_flow_until_the_caller_hangs_up() {
    let server = Server::start(scripted(quick())).await;
    let mut system = SystemServiceClient::new(server.channel.clone());
    let refused = system
        .watch_gpu_stats(WatchGpuStatsRequest { interval_ms: 99, all_devices: false })
        .await
        .expect_err("too often");
    assert_eq!(refused.code(), Code::InvalidArgument);
    let begun = Instant::now();
    let watch = system.watch_gpu_stats(WatchGpuStatsRequest { interval_ms: 100, all_devices: false }).await;
    let mut watch = watch.expect("samples").into_inner();
    for _ in 0..3 {
        let stats = watch.message().await.expect("a sample").expect("no end").stats.expect("figures");
        assert_eq!(stats.source(), StatsSource::Host, "the scripted engine has no GPU");
        assert!(stats.memory_used_bytes.is_some_and(|bytes| bytes > 0));
        assert!(stats.process_memory_bytes.is_some_and(|bytes| bytes > 0));
    }
    assert!(begun.elapsed() >= Duration::from_millis(200));
    server.stop().await;
}

#[tokio::test]
async fn health_is_reported_for_each_service() {
    let server = Server::start(scripted(quick())).await;
    let mut health = HealthClient::new(server.channel.clone());
    for service in [
        "",
        "sakuga.generation.v1.GenerationService",
        "sakuga.generation.v1.JobService",
        "sakuga.model.v1.ModelService",
        "sakuga.prompt.v1.PromptService",
        "sakuga.system.v1.SystemService",
        "model/scripted",
    ] {
        let check = health.check(HealthCheckRequest { service: service.into() }).await.expect("known").into_inner();
        assert_eq!(check.status(), ServingStatus::Serving, "{service}");
    }
    let unknown = health.check(HealthCheckRequest { service: "no.such".into() }).await.expect_err("unknown");
    assert_eq!(unknown.code(), Code::NotFound);
    server.stop().await;
}

#[tokio::test]
async fn reflection_lists_the_public_services() {
    let server = Server::start(scripted(quick())).await;
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(server.channel.clone());
    let answers = reflection.server_reflection_info(tokio_stream::once(ask)).await.expect("reflection");
    let answer = answers.into_inner().message().await.expect("an answer").expect("an answer").message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
    let names: BTreeSet<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    let expected = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "sakuga.asset.v1.AssetService",
        "sakuga.generation.v1.GenerationService",
        "sakuga.generation.v1.JobService",
        "sakuga.model.v1.ModelService",
        "sakuga.prompt.v1.PromptService",
        "sakuga.system.v1.SystemService",
    ];
    assert_eq!(names, expected.into());
    server.stop().await;
}

#[tokio::test]
async fn older_clients_reflect_too() {
    use tonic_reflection::pb::v1alpha::ServerReflectionRequest;
    use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1alpha::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1alpha::server_reflection_response::MessageResponse;

    let server = Server::start(scripted(quick())).await;
    let symbol = "sakuga.generation.v1.GenerationService".to_owned();
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::FileContainingSymbol(symbol)),
    };
    let mut reflection = ServerReflectionClient::new(server.channel.clone());
    let answers = reflection.server_reflection_info(tokio_stream::once(ask)).await.expect("reflection");
    let answer = answers.into_inner().message().await.expect("an answer").expect("an answer").message_response;
    let Some(MessageResponse::FileDescriptorResponse(files)) = answer else { panic!("{answer:?}") };
    assert!(!files.file_descriptor_proto.is_empty());
    server.stop().await;
}
