//! The studio: its page, its calls, and requests of other pages, which are refused.

use std::net::SocketAddr;

use sakuga_server::Config;
use sakuga_server::config::EngineChoice;
use sakuga_server::config::TransportConfig;
use sakuga_server::config::{StudioConfig, StudioPlace};
use sakuga_server::engine::scripted::Script;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::process;
use crate::support::{PATIENCE, Server, line, with_tokens};

const CALL: &str = "/sakuga.system.v1.SystemService/GetServerInfo";
const WEB: &str = "content-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\n";
/// An empty message.
const EMPTY: [u8; 5] = [0; 5];

async fn start(transport: TransportConfig) -> (Server, SocketAddr) {
    let studio = StudioConfig { place: StudioPlace::Auto, ..StudioConfig::default() };
    let models = EngineChoice::Scripted(Script { default_size_px: 64, ..Script::default() }).into();
    let server = Server::start_config(Config { models, transport, studio, ..Config::default() }).await;
    let address = server.studio.expect("the studio is served next to an API on the loopback");
    (server, address)
}

/// The answer to a request with this head after its first line, in lower case.
async fn send(address: SocketAddr, first: &str, head: &str, body: &[u8]) -> String {
    let mut connection = TcpStream::connect(address).await.expect("connected");
    let length = body.len();
    let request = format!("{first} HTTP/1.1\r\nconnection: close\r\ncontent-length: {length}\r\n{head}\r\n");
    connection.write_all(&[request.as_bytes(), body].concat()).await.expect("sent");
    let mut answer = Vec::new();
    // A connection that is reset has ended too.
    let _ = tokio::time::timeout(PATIENCE, connection.read_to_end(&mut answer)).await.expect("an answer in time");
    String::from_utf8_lossy(&answer).to_lowercase()
}

fn assert_status(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("http/1.1 {status}")), "{status} in {answer}");
}

#[tokio::test]
async fn the_page_and_its_calls_are_served_with_strict_headers() {
    let (server, studio) = start(TransportConfig::default()).await;
    let own = format!("host: {studio}\r\norigin: http://{studio}\r\n");
    let page = send(studio, "GET /", &format!("host: {studio}\r\n"), b"").await;
    assert_status(&page, 200);
    let call = send(studio, &format!("POST {CALL}"), &format!("{own}{WEB}"), &EMPTY).await;
    assert_status(&call, 200);
    assert!(call.contains("grpc-status:0"), "{call}");
    for answer in [&page, &call] {
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self';",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
            "cross-origin-opener-policy: same-origin",
        ] {
            assert!(answer.contains(header), "{header} in {answer}");
        }
        assert!(!answer.contains("access-control-allow-origin") && !answer.contains("unsafe-inline"), "{answer}");
    }
    assert_status(&send(studio, "GET /no/such/file", &format!("host: {studio}\r\n"), b"").await, 404);
    assert_status(&send(studio, "DELETE /", &own, b"").await, 405);
    server.stop().await;
}

#[tokio::test]
async fn a_page_of_somebody_else_can_do_nothing() {
    let (server, studio) = start(TransportConfig::default()).await;
    let port = studio.port();
    let post = format!("POST {CALL}");
    for (host, origin) in [
        (studio.to_string(), "http://evil.example".to_owned()),
        (studio.to_string(), "null".to_owned()),
        // Another program of this machine.
        (studio.to_string(), "http://127.0.0.1:1".to_owned()),
    ] {
        let head = format!("host: {host}\r\norigin: {origin}\r\n{WEB}");
        assert_status(&send(studio, &post, &head, &EMPTY).await, 403);
    }
    // DNS rebinding: one origin in the browser's eyes, under a name of the attacker's.
    for first in [post.as_str(), "GET /", "GET /assets/index.js", "HEAD /"] {
        let head = format!("host: evil.example:{port}\r\norigin: http://evil.example:{port}\r\n{WEB}");
        assert_status(&send(studio, first, &head, &EMPTY).await, 421);
    }
    // A preflight, and what a page may send without one.
    let ask = format!("host: {studio}\r\norigin: http://evil.example\r\naccess-control-request-method: POST\r\n");
    let refused = send(studio, &format!("OPTIONS {CALL}"), &ask, b"").await;
    assert_status(&refused, 403);
    assert!(!refused.contains("access-control-allow"), "{refused}");
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a"] {
        let head = format!("host: {studio}\r\ncontent-type: {kind}\r\n");
        assert_status(&send(studio, &post, &head, &EMPTY).await, 415);
    }
    // A script or a picture of the studio in a page of another site.
    let head = format!("host: {studio}\r\nsec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors\r\n");
    assert_status(&send(studio, "GET /", &head, b"").await, 403);
    server.stop().await;
}

#[tokio::test]
async fn calls_need_the_same_tokens_as_those_of_grpc() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), line("alice", "generate", "a", "")).expect("written");
    let (server, studio) = start(with_tokens(file.path())).await;
    let own = format!("host: {studio}\r\norigin: http://{studio}\r\n{WEB}");
    let post = format!("POST {CALL}");
    assert_status(&send(studio, "GET /", &format!("host: {studio}\r\n"), b"").await, 200);
    let refused = send(studio, &post, &own, &EMPTY).await;
    assert!(refused.contains("grpc-status: 16") || refused.contains("grpc-status:16"), "{refused}");
    let answered = send(studio, &post, &format!("{own}authorization: Bearer a\r\n"), &EMPTY).await;
    assert!(answered.contains("grpc-status:0"), "{answered}");
    server.stop().await;
}

#[tokio::test]
async fn many_idle_connections_do_not_keep_the_page_out() {
    let (server, studio) = start(TransportConfig { connections_max: 8, ..TransportConfig::default() }).await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(TcpStream::connect(studio).await.expect("connected"));
    }
    assert_status(&send(studio, "GET /", &format!("host: {studio}\r\n"), b"").await, 200);
    server.stop().await;
}

#[test]
fn the_program_refuses_to_serve_it_openly() {
    let flags = ["--check-config", "--engine=scripted", "--studio=0.0.0.0:8080"];
    let (refused, _, complained) = process::run(&flags);
    assert_eq!(refused, Some(64));
    assert!(complained.contains("--studio") && complained.contains("--tokens"), "{complained}");
    let (allowed, ..) = process::run(&[&flags[..], &["--insecure-listen"]].concat());
    assert_eq!(allowed, Some(0));
}
