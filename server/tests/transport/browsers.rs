//! gRPC-Web: pages of the configured origins, and no others.

use std::net::SocketAddr;

use sakuga_server::config::TransportConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{PATIENCE, Server, line, with_tokens};

const PAGE: &str = "https://studio.example";

async fn send(address: SocketAddr, method: &str, head: &str, body: &[u8]) -> String {
    let mut connection = TcpStream::connect(address).await.expect("connected");
    let length = body.len();
    let request = format!(
        "{method} /sakuga.system.v1.SystemService/GetServerInfo HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-length: {length}\r\n{head}\r\n"
    );
    connection.write_all(&[request.as_bytes(), body].concat()).await.expect("sent");
    let mut answer = Vec::new();
    // A connection that is reset has ended too.
    let _ = tokio::time::timeout(PATIENCE, connection.read_to_end(&mut answer)).await.expect("an answer in time");
    String::from_utf8_lossy(&answer).to_lowercase()
}

fn call(origin: &str, more: &str) -> String {
    format!("origin: {origin}\r\ncontent-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\n{more}")
}

/// An empty message.
const EMPTY: [u8; 5] = [0; 5];

#[tokio::test]
async fn a_page_of_a_configured_origin_calls() {
    let config = TransportConfig { cors_origins: vec![PAGE.into()], ..TransportConfig::default() };
    let server = Server::start(config).await;
    let ask = "access-control-request-method: POST\r\naccess-control-request-headers: authorization,x-grpc-web\r\n";
    let allowed = send(server.address, "OPTIONS", &format!("origin: {PAGE}\r\n{ask}"), b"").await;
    assert!(allowed.starts_with("http/1.1 200"), "{allowed}");
    for header in [
        &format!("access-control-allow-origin: {PAGE}"),
        "access-control-allow-methods: post",
        "access-control-allow-headers: authorization,x-grpc-web",
    ] {
        assert!(allowed.contains(header), "{header} in {allowed}");
    }
    let answer = send(server.address, "POST", &call(PAGE, ""), &EMPTY).await;
    assert!(answer.starts_with("http/1.1 200") && answer.contains("grpc-status:0"), "{answer}");
    assert!(answer.contains("access-control-expose-headers: grpc-status"), "{answer}");

    let other = send(server.address, "OPTIONS", &format!("origin: https://evil.example\r\n{ask}"), b"").await;
    assert!(!other.contains("access-control-allow-origin"), "{other}");
    server.stop().await;
}

#[tokio::test]
async fn a_page_needs_a_token_like_any_other_client() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), line("alice", "generate", "a", "")).expect("written");
    let config = TransportConfig { cors_origins: vec![PAGE.into()], ..with_tokens(file.path()) };
    let server = Server::start(config).await;
    let refused = send(server.address, "POST", &call(PAGE, ""), &EMPTY).await;
    assert!(refused.contains("grpc-status: 16") || refused.contains("grpc-status:16"), "{refused}");
    let answer = send(server.address, "POST", &call(PAGE, "authorization: Bearer a\r\n"), &EMPTY).await;
    assert!(answer.contains("grpc-status:0"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn nothing_of_it_is_there_unless_it_is_asked_for() {
    let server = Server::start(TransportConfig::default()).await;
    let answer = send(server.address, "POST", &call(PAGE, ""), &EMPTY).await;
    assert!(!answer.contains("grpc-status"), "{answer}");
    server.stop().await;
}
