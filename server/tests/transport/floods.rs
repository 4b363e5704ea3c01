//! Hostile clients: silent, idle, too many, or too fast. The server keeps serving the others.

use std::time::{Duration, Instant};

use sakuga_server::config::TransportConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Authority, PATIENCE, Server, ask};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The start of a connection.
pub(crate) fn hello() -> Vec<u8> {
    [PREFACE, &frame(4, 0, 0, &[])].concat()
}

/// POST / over http, from the static table: no call of ours, but a stream.
fn headers(stream: u32) -> Vec<u8> {
    frame(1, 0b100, stream, &[0x83, 0x86, 0x84])
}

/// Everything until the server closes.
pub(crate) async fn to_the_end(connection: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, connection.read_to_end(&mut read)).await.expect("it is closed in time");
    // A reset is an end as well.
    let _ = ended;
    read
}

/// The settings in the server's first frame.
pub(crate) async fn settings(connection: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 9];
    connection.read_exact(&mut head).await.expect("settings");
    assert_eq!(head[3], 4, "SETTINGS come first");
    let mut payload = vec![0; usize::from(head[2])];
    connection.read_exact(&mut payload).await.expect("settings");
    payload
}

/// The error code of the connection's end, if the server gave one.
pub(crate) fn goaway_code(mut bytes: &[u8]) -> Option<u32> {
    while let Some((head, rest)) = bytes.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if head[3] == 7 {
            return Some(u32::from_be_bytes(rest.get(4..8)?.try_into().ok()?));
        }
        bytes = rest.get(length..)?;
    }
    None
}

#[tokio::test]
async fn silent_connections_are_closed_soon_and_idle_ones_later() {
    let config = TransportConfig {
        handshake_timeout: Duration::from_millis(100),
        idle_timeout: Duration::from_millis(600),
        ..TransportConfig::default()
    };
    let server = Server::start(config).await;
    let begun = Instant::now();
    let mut silent = TcpStream::connect(server.address).await.expect("connected");
    let mut idle = TcpStream::connect(server.address).await.expect("connected");
    idle.write_all(&hello()).await.expect("sent");
    tokio::select! {
        biased;
        _ = to_the_end(&mut silent) => {}
        _ = to_the_end(&mut idle) => panic!("the idle connection is closed first"),
    }
    assert!(begun.elapsed() >= Duration::from_millis(100), "{:?}", begun.elapsed());
    to_the_end(&mut idle).await;
    assert!(begun.elapsed() >= Duration::from_millis(600), "{:?}", begun.elapsed());
    ask(server.channel().await, None).await.expect("others are served");
    server.stop().await;
}

#[tokio::test]
async fn a_call_keeps_its_connection_open() {
    use sakuga_proto::system::v1::WatchGpuStatsRequest;
    use sakuga_proto::system::v1::system_service_client::SystemServiceClient;

    let config = TransportConfig { idle_timeout: Duration::from_millis(150), ..TransportConfig::default() };
    let server = Server::start(config).await;
    let mut system = SystemServiceClient::new(server.channel().await);
    let stats = system.watch_gpu_stats(WatchGpuStatsRequest { interval_ms: 100, all_devices: false }).await;
    let mut stats = stats.expect("samples").into_inner();
    for _ in 0..6 {
        stats.message().await.expect("the connection is not closed").expect("no end");
    }
    server.stop().await;
}

/// The headers of a call in the static table's names and literal values.
fn call(stream: u32, path: &str) -> Vec<u8> {
    let mut fields = vec![0x83, 0x86];
    for (name, value) in [(&[0x04][..], path), (&[0x0f, 0x10], "application/grpc")] {
        fields.extend(name);
        fields.push(value.len() as u8);
        fields.extend(value.as_bytes());
    }
    [frame(1, 0b100, stream, &fields), frame(0, 1, stream, &[0; 5])].concat()
}

#[tokio::test]
async fn a_client_that_no_longer_reads_its_socket_is_disconnected() {
    let config = TransportConfig {
        keepalive_interval: Duration::from_millis(500),
        keepalive_timeout: Duration::from_millis(500),
        ..TransportConfig::default()
    };
    let server = Server::start(config).await;
    let mut connection = TcpStream::connect(server.address).await.expect("connected");
    // Large windows, so that only the buffers of the sockets end what the server can send.
    let window = [&[0, 4][..], &0x7fff_ffff_u32.to_be_bytes()].concat();
    let mut start = [PREFACE, &frame(4, 0, 0, &window), &frame(8, 0, 0, &0x4000_0000_u32.to_be_bytes())].concat();
    for stream in (1..400).step_by(2) {
        start.extend(call(stream, "/sakuga.prompt.v1.PromptService/GetSchema"));
    }
    connection.write_all(&start).await.expect("sent");
    // Frames without effect, until the connection is gone.
    let priority = frame(2, 0, 1, &[0, 0, 0, 0, 16]);
    let until = Instant::now() + PATIENCE;
    while connection.write_all(&priority).await.is_ok() {
        assert!(Instant::now() < until, "it holds its connection for as long as it likes");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ask(server.channel().await, None).await.expect("others are served");
    server.stop().await;
}

#[tokio::test]
async fn an_idle_flood_gives_way_to_those_who_come() {
    let server = Server::start(TransportConfig { connections_max: 8, ..TransportConfig::default() }).await;
    let mut flood = Vec::new();
    for _ in 0..200 {
        let mut connection = TcpStream::connect(server.address).await.expect("connected");
        connection.write_all(&hello()).await.expect("sent");
        flood.push(connection);
    }
    ask(server.channel().await, None).await.expect("a client comes through");
    for connection in flood.iter_mut().take(190) {
        to_the_end(connection).await;
    }
    drop(flood);
    server.stop().await;
}

#[tokio::test]
async fn connections_with_calls_do_not_give_way() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    let server = Server::start(TransportConfig { connections_max: 2, ..TransportConfig::default() }).await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut health = HealthClient::new(server.channel().await);
        let mut watch = health.watch(HealthCheckRequest::default()).await.expect("watched").into_inner();
        watch.message().await.expect("an answer").expect("no end");
        busy.push((health, watch));
    }
    let mut refused = TcpStream::connect(server.address).await.expect("the system accepts");
    assert_eq!(to_the_end(&mut refused).await, b"", "closed without a word");
    for (health, _) in &mut busy {
        health.check(HealthCheckRequest::default()).await.expect("the others are served");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_closed() {
    let authority = Authority::new();
    let config = TransportConfig {
        tls: Some(authority.sign_server()),
        handshake_timeout: Duration::from_millis(200),
        ..TransportConfig::default()
    };
    let server = Server::start(config).await;
    let mut slow = TcpStream::connect(server.address).await.expect("connected");
    // The head of a record, whose rest never comes.
    slow.write_all(&[22, 3, 1, 2, 0, 1]).await.expect("sent");
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(authority.connect(&server, None).await.expect("others are not held up"));
    }
    to_the_end(&mut slow).await;
    server.stop().await;
}

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let server = Server::start(TransportConfig { pending_resets_max: 4, ..TransportConfig::default() }).await;
    let mut connection = TcpStream::connect(server.address).await.expect("connected");
    let mut flood = hello();
    for stream in (1..400).step_by(2) {
        flood.extend(headers(stream));
        flood.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
    }
    connection.write_all(&flood).await.expect("sent");
    let answer = to_the_end(&mut connection).await;
    assert_eq!(goaway_code(&answer), Some(11), "ENHANCE_YOUR_CALM");
    ask(server.channel().await, None).await.expect("others are served");
    server.stop().await;
}

#[tokio::test]
async fn headers_and_streams_have_their_limits() {
    let config = TransportConfig { header_bytes_max: 1024, connection_streams_max: 7, ..TransportConfig::default() };
    let server = Server::start(config).await;
    let mut connection = TcpStream::connect(server.address).await.expect("connected");
    connection.write_all(&hello()).await.expect("sent");
    let payload = settings(&mut connection).await;
    let value = |id: u8| {
        let entry = payload.chunks(6).find(|entry| entry[..2] == [0, id])?;
        Some(u32::from_be_bytes(entry[2..].try_into().ok()?))
    };
    assert_eq!((value(3), value(6)), (Some(7), Some(1024)), "MAX_CONCURRENT_STREAMS, MAX_HEADER_LIST_SIZE");

    let mut request = tonic::Request::new(sakuga_proto::system::v1::GetServerInfoRequest {});
    request.metadata_mut().insert("x-long", "x".repeat(2000).parse().expect("a header"));
    let mut system = sakuga_proto::system::v1::system_service_client::SystemServiceClient::new(server.channel().await);
    system.get_server_info(request).await.expect_err("the headers are too long");
    ask(server.channel().await, None).await.expect("others are served");
    drop(connection);
    server.stop().await;
}

#[tokio::test]
async fn no_service_reads_a_message_that_is_too_large() {
    use sakuga_proto::prompt::v1::prompt_service_client::PromptServiceClient;
    use sakuga_proto::prompt::v1::{ParsePromptRequest, ValidatePromptRequest};
    use tonic::Code;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    let server = Server::start(TransportConfig::default()).await;
    let channel = server.channel().await;
    let large = "x".repeat(5 << 20);
    let mut prompts = PromptServiceClient::new(channel.clone());
    let parse = prompts.parse_prompt(ParsePromptRequest { xml: large.clone(), ..ParsePromptRequest::default() }).await;
    let health = HealthClient::new(channel.clone()).check(HealthCheckRequest { service: "x".repeat(100_000) }).await;
    for refused in [parse.map(|_| ()), health.map(|_| ())] {
        assert_eq!(refused.expect_err("too large").code(), Code::ResourceExhausted);
    }
    prompts.validate_prompt(ValidatePromptRequest::default()).await.expect_err("nothing to check");
    server.stop().await;
}
