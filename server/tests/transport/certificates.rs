//! TLS: certificates of the server and of clients, and their exchange while the server runs.

use std::time::Duration;

use sakuga_server::transport::TlsFiles;
use sakuga_server::transport::TransportConfig;
use sakuga_server::{App, Config};
use tonic::Code;

use crate::support::{Authority, Server, ask, eventually, exchange, line};

fn config(tls: TlsFiles) -> TransportConfig {
    TransportConfig { tls: Some(tls), reload_interval: Duration::from_millis(20), ..TransportConfig::default() }
}

#[tokio::test]
async fn an_encrypted_call_is_answered_and_no_other() {
    let authority = Authority::new();
    let server = Server::start(config(authority.sign_server())).await;
    assert!(server.url.starts_with("https://"));
    ask(authority.connect(&server, None).await.expect("TLS"), None).await.expect("an answer");

    let stranger = Authority::new();
    let refused = stranger.connect(&server, None).await.expect_err("another CA");
    assert!(refused.contains("InvalidCertificate"), "{refused}");
    let plain = tonic::transport::Endpoint::from_shared(server.url.replace("https", "http")).expect("a URL");
    match plain.connect().await {
        Err(_) => {}
        Ok(channel) => assert!(ask(channel, None).await.is_err(), "nothing is answered in the clear"),
    }
    server.stop().await;
}

#[tokio::test]
async fn with_a_client_ca_only_its_clients_come_in() {
    let authority = Authority::new();
    let tls = TlsFiles { client_ca: Some(authority.path("ca.pem")), ..authority.sign_server() };
    let server = Server::start(config(tls)).await;
    let channel = authority.connect(&server, Some(authority.sign("alice"))).await.expect("a client of the CA");
    ask(channel, None).await.expect("its certificate is enough");

    for identity in [None, Some(Authority::new().sign("mallory"))] {
        match authority.connect(&server, identity).await {
            Err(_) => {}
            // With TLS 1.3 a client sees its refusal when it first reads.
            Ok(channel) => assert!(ask(channel, None).await.is_err(), "a stranger is refused"),
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_and_a_token_are_both_needed_if_both_are_asked_for() {
    let authority = Authority::new();
    std::fs::write(authority.path("tokens"), line("alice", "generate", "a", "")).expect("written");
    let tls = TlsFiles { client_ca: Some(authority.path("ca.pem")), ..authority.sign_server() };
    let server = Server::start(TransportConfig { tokens: Some(authority.path("tokens")), ..config(tls) }).await;
    let channel = authority.connect(&server, Some(authority.sign("alice"))).await.expect("a client of the CA");
    let refused = ask(channel.clone(), None).await.expect_err("no token");
    assert_eq!(refused.code(), Code::Unauthenticated);
    ask(channel, Some("a")).await.expect("both");
    server.stop().await;
}

#[tokio::test]
async fn certificates_are_exchanged_without_a_restart() {
    let (old, new) = (Authority::new(), Authority::new());
    let tls = old.sign_server();
    let server = Server::start(config(tls.clone())).await;
    let open = old.connect(&server, None).await.expect("the old CA");
    ask(open.clone(), None).await.expect("an answer");

    exchange(&tls.cert, "nonsense");
    tokio::time::sleep(Duration::from_millis(100)).await;
    old.connect(&server, None).await.expect("a bad file changes nothing");

    let (cert, key) = new.sign("localhost");
    exchange(&tls.cert, &cert);
    exchange(&tls.key, &key);
    eventually("the new certificate is shown", || async { new.connect(&server, None).await.is_ok() }).await;
    old.connect(&server, None).await.expect_err("the old one is not");
    ask(open, None).await.expect("connections that are open go on");
    server.stop().await;
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let good = authority.sign_server();
    let other_key = authority.path("other.key");
    std::fs::write(&other_key, authority.sign("other").1).expect("written");
    let empty = authority.path("empty");
    std::fs::write(&empty, "").expect("written");
    for (tls, named) in [
        (TlsFiles { cert: "/no/such/file".into(), ..good.clone() }, "/no/such/file"),
        (TlsFiles { key: other_key, ..good.clone() }, "other.key"),
        (TlsFiles { key: empty.clone(), ..good.clone() }, "empty"),
        (TlsFiles { cert: empty.clone(), ..good.clone() }, "empty"),
        (TlsFiles { client_ca: Some(empty), ..good }, "empty"),
    ] {
        let failed =
            App::build(Config { transport: config(tls), ..Config::default() }).await.err().expect("not usable");
        assert!(failed.to_string().contains(named), "{failed}");
    }
}
