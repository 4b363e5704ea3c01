//! Callers without a token: they cannot keep others out, however many calls they open and however slowly they send.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream;
use sakuga_server::config::TransportConfig;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

use crate::raw::RawCodec;
use crate::support::{PATIENCE, Server, ask, eventually, line, with_tokens};

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}")).reason
}

/// Calls a method with these bytes.
async fn call(channel: Channel, path: &'static str, message: Vec<u8>) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.expect("the connection is there");
    let path = http::uri::PathAndQuery::from_static(path);
    client.unary(Request::new(Bytes::from(message)), path, RawCodec).await.map(|_| ())
}

#[tokio::test]
async fn a_call_whose_message_does_not_arrive_ends() {
    let server =
        Server::start(TransportConfig { handshake_timeout: Duration::from_millis(300), ..TransportConfig::default() })
            .await;
    for path in ["/grpc.health.v1.Health/Check", "/sakuga.prompt.v1.PromptService/ValidatePrompt"] {
        let mut client = tonic::client::Grpc::new(server.channel().await);
        client.ready().await.expect("the connection is there");
        let path = http::uri::PathAndQuery::from_static(path);
        let never = Request::new(stream::pending::<Bytes>());
        let answered = tokio::time::timeout(PATIENCE, client.client_streaming(never, path, RawCodec)).await;
        let refused = answered.expect("it ends by itself").expect_err("there was no message");
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::DeadlineExceeded, "MESSAGE_TOO_SLOW"));
    }
    server.stop().await;
}

#[tokio::test]
async fn connections_without_a_token_give_way_to_those_with_one() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), line("alice", "generate", "a", "")).expect("written");
    let server = Server::start(TransportConfig { connections_max: 4, ..with_tokens(file.path()) }).await;
    let mut watches = Vec::new();
    for _ in 0..4 {
        let mut health = HealthClient::new(server.channel().await);
        let mut watch = health.watch(HealthCheckRequest::default()).await.expect("watched").into_inner();
        watch.message().await.expect("an answer").expect("no end");
        watches.push((health, watch));
    }
    ask(server.channel().await, Some("a")).await.expect("every place is taken by calls without a token");
    server.stop().await;
}

#[tokio::test]
async fn health_checks_have_few_places_and_a_new_one_is_always_answered() {
    let server = Server::start(TransportConfig::default()).await;
    let [one, two] = [server.channel().await, server.channel().await];
    let mut watches = Vec::new();
    for index in 0..256 {
        let channel = if index % 2 == 0 { one.clone() } else { two.clone() };
        let mut watch = HealthClient::new(channel).watch(HealthCheckRequest::default()).await.expect("watched");
        watch.get_mut().message().await.expect("an answer").expect("no end");
        watches.push(watch.into_inner());
    }
    HealthClient::new(server.channel().await).check(HealthCheckRequest::default()).await.expect("answered");
    let ended = tokio::time::timeout(PATIENCE, watches[0].message()).await.expect("the oldest has ended");
    let status = ended.expect_err("it was displaced");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "TOO_MANY_OPEN_CALLS"));
    let second = tokio::time::timeout(Duration::from_millis(200), watches[1].message()).await;
    assert!(second.is_err(), "the others go on: {second:?}");
    server.stop().await;
}

#[tokio::test]
async fn what_tonic_and_the_transport_refuse_has_a_reason() {
    let server = Server::start(TransportConfig::default()).await;
    let channel = server.channel().await;
    for (path, message, code, expected) in [
        ("/grpc.health.v1.Health/Check", vec![0; 5000], Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
        ("/sakuga.generation.v1.JobService/GetJob", vec![0; 20_000], Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
        ("/sakuga.prompt.v1.PromptService/ParsePrompt", vec![0; 600_000], Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
        // Empty characters of a typed prompt.
        (
            "/sakuga.prompt.v1.PromptService/FormatPrompt",
            [&[0x0a, 0x80, 0x80, 0x01][..], &[0x0a, 0x00].repeat(8192)].concat(),
            Code::InvalidArgument,
            "TOO_MANY_FIELDS",
        ),
        ("/sakuga.system.v1.SystemService/GetServerInfo", vec![0xff; 9], Code::Internal, "MESSAGE_MALFORMED"),
        ("/sakuga.system.v1.SystemService/NoSuchMethod", vec![], Code::Unimplemented, "METHOD_NOT_FOUND"),
        ("/grpc.health.v1.Health/Check", [&[0x0a, 0x01][..], b"x"].concat(), Code::NotFound, "SERVICE_NOT_FOUND"),
    ] {
        let refused = call(channel.clone(), path, message).await.expect_err("refused");
        assert_eq!((refused.code(), reason(&refused).as_str()), (code, expected), "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_revoked_token_ends_its_open_streams_within_two_seconds() {
    use sakuga_proto::system::v1::WatchGpuStatsRequest;
    use sakuga_proto::system::v1::system_service_client::SystemServiceClient;

    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let kept = line("bob", "generate", "b", "");
    std::fs::write(file.path(), line("alice", "generate", "a", "") + &kept).expect("written");
    // The interval is the default.
    let server =
        Server::start(TransportConfig { tokens: Some(file.path().to_owned()), ..TransportConfig::default() }).await;
    let watch = |token: &str| {
        let mut request = Request::new(WatchGpuStatsRequest { interval_ms: 100, all_devices: false });
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
        let channel = server.channel();
        async move { SystemServiceClient::new(channel.await).watch_gpu_stats(request).await.expect("watched").into_inner() }
    };
    let (mut revoked, mut other) = (watch("a").await, watch("b").await);
    revoked.message().await.expect("a sample").expect("no end");

    std::fs::write(file.path(), &kept).expect("written");
    let begun = Instant::now();
    let status = loop {
        match tokio::time::timeout(PATIENCE, revoked.message()).await.expect("samples, or the end") {
            Ok(sample) => assert!(sample.is_some(), "a stream does not end as if all were well"),
            Err(status) => break status,
        }
    };
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "TOKEN_REVOKED"));
    // Two seconds on a free machine: the file is looked at once a second.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    other.message().await.expect("the other token's stream continues").expect("no end");

    std::fs::remove_file(file.path()).expect("removed");
    eventually("a file that is missing has no token", || async {
        ask(server.channel().await, Some("b")).await.is_err()
    })
    .await;
    server.stop().await;
}
