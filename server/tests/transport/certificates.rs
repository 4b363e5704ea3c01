//! TLS: certificates of the server and of clients, and their exchange while the server runs.

use std::ffi::OsString;
use std::time::Duration;

use sakuga_proto::system::v1::WatchGpuStatsRequest;
use sakuga_proto::system::v1::system_service_client::SystemServiceClient;
use sakuga_server::config::{ConfigError, Loaded, TlsFiles, TransportConfig};
use sakuga_server::{App, Config};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{Authority, PATIENCE, Server, ask, eventually, exchange, line};

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
        (TlsFiles { client_ca: Some(empty.clone()), ..good.clone() }, "empty"),
        (TlsFiles { client_ca: Some(authority.path("ca.pem")), client_crl: Some(empty), ..good }, "empty"),
    ] {
        let failed =
            App::build(Config { transport: config(tls), ..Config::default() }).await.err().expect("not usable");
        assert!(failed.to_string().contains(named), "{failed}");
    }
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_and_its_open_calls_end() {
    let authority = Authority::new();
    let list = authority.path("revoked.pem");
    std::fs::write(&list, authority.revoke(&[1], false)).expect("written");
    let tls = TlsFiles {
        client_ca: Some(authority.path("ca.pem")),
        client_crl: Some(list.clone()),
        ..authority.sign_server()
    };
    let server = Server::start(config(tls)).await;
    let revoked = authority.connect(&server, Some(authority.sign_numbered("mallory", 1))).await;
    if let Ok(channel) = revoked {
        ask(channel, None).await.expect_err("it was revoked before");
    }
    let channel = authority.connect(&server, Some(authority.sign_numbered("alice", 2))).await.expect("not revoked");
    let other = authority.connect(&server, Some(authority.sign_numbered("bob", 3))).await.expect("not revoked");
    let watch = WatchGpuStatsRequest { interval_ms: 100, all_devices: false };
    let mut watch =
        SystemServiceClient::new(channel.clone()).watch_gpu_stats(watch).await.expect("samples").into_inner();

    exchange(&list, "nonsense");
    tokio::time::sleep(Duration::from_millis(100)).await;
    ask(channel.clone(), None).await.expect("a bad file changes nothing");
    exchange(&list, &authority.revoke(&[1, 2], false));
    let status = loop {
        match tokio::time::timeout(PATIENCE, watch.message()).await.expect("samples, or the end") {
            Ok(sample) => assert!(sample.is_some(), "a stream does not end as if all were well"),
            Err(status) => break status,
        }
    };
    let reason = |status: &Status| status.get_details_error_info().expect("ErrorInfo").reason;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "CERTIFICATE_REVOKED"));
    let refused = ask(channel, None).await.expect_err("its connection is open, and it is revoked");
    assert_eq!(reason(&refused), "CERTIFICATE_REVOKED");
    if let Ok(channel) = authority.connect(&server, Some(authority.sign_numbered("alice", 2))).await {
        ask(channel, None).await.expect_err("it does not come in again");
    }
    ask(other, None).await.expect("the others go on");
    server.stop().await;
}

#[test]
fn a_list_that_is_outdated_is_noticed_by_the_check_of_the_configuration() {
    let authority = Authority::new();
    let list = authority.path("revoked.pem");
    std::fs::write(&list, authority.revoke(&[1], true)).expect("written");
    let TlsFiles { cert, key, .. } = authority.sign_server();
    let flags = ["sakuga-server", "--check-config", "--data-dir=memory", "--engine=scripted"];
    let mut arguments = flags.map(OsString::from).to_vec();
    let files =
        [("tls-cert", cert), ("tls-key", key), ("tls-client-ca", authority.path("ca.pem")), ("tls-client-crl", list)];
    for (setting, file) in files {
        arguments.extend([format!("--{setting}").into(), file.into_os_string()]);
    }
    let Err(ConfigError::Values(problems)) = Loaded::load(arguments, |_| None) else { panic!("it is outdated") };
    assert!(problems.len() == 1 && problems[0].contains("fetch the newest list"), "{problems:?}");
}
