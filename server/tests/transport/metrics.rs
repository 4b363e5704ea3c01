//! The page of metrics: its counters, and who may read it.

use std::net::SocketAddr;

use sakuga_proto::generation::v1::generation_service_client::GenerationServiceClient;
use sakuga_proto::generation::v1::{GenerateRequest, Sampling, generate_request};
use sakuga_server::config::TransportConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Request;

use crate::support::{PATIENCE, Server, ask, eventually, line, with_tokens};

/// The answer to a GET, its head included.
pub(crate) async fn get(address: SocketAddr, path: &str, head: &str) -> String {
    let mut connection = TcpStream::connect(address).await.expect("metrics are served");
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{head}\r\n");
    connection.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    let read = tokio::time::timeout(PATIENCE, connection.read_to_string(&mut answer)).await;
    read.expect("an answer in time").expect("an answer");
    answer
}

/// The figure of a line that begins like this.
fn figure(page: &str, name: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

fn on_loopback() -> Option<SocketAddr> {
    Some(SocketAddr::from(([127, 0, 0, 1], 0)))
}

#[tokio::test]
async fn jobs_steps_calls_and_bytes_are_counted() {
    let server = Server::start(TransportConfig { metrics_listen: on_loopback(), ..TransportConfig::default() }).await;
    let figures = server.metrics.expect("metrics are served");
    let channel = server.channel().await;
    let request = GenerateRequest {
        prompt: Some(generate_request::Prompt::Xml("<caption>The sea.</caption>".into())),
        sampling: Some(Sampling { steps: 7, ..Sampling::default() }),
        ..GenerateRequest::default()
    };
    let stream = GenerationServiceClient::new(channel.clone()).generate(request).await;
    let mut stream = stream.expect("accepted").into_inner();
    while stream.message().await.expect("no break").is_some() {}
    ask(channel, None).await.expect("an answer");

    let page = get(figures, "/metrics", "").await;
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("application/openmetrics-text"), "{page}");
    for (name, expected) in [
        ("sakuga_jobs_total{outcome=\"completed\"}", 1.0),
        ("sakuga_images_total", 1.0),
        ("sakuga_step_seconds_count", 7.0),
        ("sakuga_stage_seconds_count{stage=\"denoise\"}", 1.0),
        ("sakuga_grpc_calls_total{method=\"sakuga.generation.v1.GenerationService/Generate\",code=\"OK\"}", 1.0),
        ("sakuga_grpc_calls_total{method=\"sakuga.system.v1.SystemService/GetServerInfo\",code=\"OK\"}", 1.0),
        ("sakuga_connections", 1.0),
        ("sakuga_jobs_live", 0.0),
        ("sakuga_jobs_running", 0.0),
        ("sakuga_engine_serving", 1.0),
        ("sakuga_engine_device_serving{engine=\"cpu\"}", 1.0),
        ("sakuga_engine_device_jobs_total{engine=\"cpu\"}", 1.0),
        ("sakuga_model_loaded{model=\"scripted\"}", 1.0),
        ("sakuga_model_load_seconds_count{model=\"scripted\"}", 1.0),
    ] {
        assert_eq!(figure(&page, name), Some(expected), "{name} in\n{page}");
    }
    for name in ["sakuga_sent_bytes_total", "sakuga_received_bytes_total", "sakuga_step_seconds_sum"] {
        assert!(figure(&page, name).is_some_and(|figure| figure > 0.0), "{name} in\n{page}");
    }
    assert!(figure(&page, "sakuga_device_memory_total_bytes{device=\"0\"}").is_some_and(|bytes| bytes > 0.0));
    assert!(get(figures, "/", "").await.starts_with("HTTP/1.1 404"));
    server.stop().await;
}

#[tokio::test]
async fn a_call_that_the_client_drops_counts_as_cancelled() {
    let server = Server::start(TransportConfig { metrics_listen: on_loopback(), ..TransportConfig::default() }).await;
    let figures = server.metrics.expect("metrics are served");
    let mut health = tonic_health::pb::health_client::HealthClient::new(server.channel().await);
    let watch = health.watch(Request::new(tonic_health::pb::HealthCheckRequest::default())).await.expect("watched");
    let open = "sakuga_grpc_calls_open";
    assert_eq!(figure(&get(figures, "/metrics", "").await, open), Some(1.0));
    drop(watch);
    let cancelled = "sakuga_grpc_calls_total{method=\"grpc.health.v1.Health/Watch\",code=\"CANCELLED\"}";
    eventually("the call has ended", || async {
        let page = get(figures, "/metrics", "").await;
        figure(&page, cancelled) == Some(1.0) && figure(&page, open) == Some(0.0)
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn with_tokens_a_scrape_needs_one_for_it() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let text = line("alice", "generate", "a", "") + &line("grafana", "metrics", "m", "");
    std::fs::write(file.path(), text).expect("written");
    let server = Server::start(TransportConfig { metrics_listen: on_loopback(), ..with_tokens(file.path()) }).await;
    let figures = server.metrics.expect("metrics are served");
    ask(server.channel().await, Some("guess")).await.expect_err("refused");
    for (head, status) in [
        ("", "401"),
        ("authorization: Bearer x\r\n", "401"),
        ("authorization: Bearer a\r\n", "403"),
        ("authorization: Bearer m\r\n", "200"),
    ] {
        let answer = get(figures, "/metrics", head).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{head}: {answer}");
    }
    let page = get(figures, "/metrics", "authorization: Bearer m\r\n").await;
    assert_eq!(figure(&page, "sakuga_grpc_calls_refused_total{reason=\"TOKEN_UNKNOWN\"}"), Some(1.0));
    server.stop().await;
}

#[tokio::test]
async fn idle_connections_of_the_metrics_do_not_keep_a_scrape_out() {
    let server = Server::start(TransportConfig { metrics_listen: on_loopback(), ..TransportConfig::default() }).await;
    let metrics = server.metrics.expect("metrics are served");
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(TcpStream::connect(metrics).await.expect("connected"));
    }
    assert!(get(metrics, "/metrics", "").await.starts_with("HTTP/1.1 200"));
    // The oldest ones were closed for the newer ones.
    let mut byte = [0];
    let read = tokio::time::timeout(PATIENCE, idle[0].read(&mut byte)).await.expect("closed in time");
    assert_eq!(read.unwrap_or(0), 0);
    server.stop().await;
}
