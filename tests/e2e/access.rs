//! The client library with TLS, a client certificate and a token.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sakuga_client::{Client, ClientError, ConnectOptions, TlsOptions, Token};
use sakuga_server::auth::token_file;
use sakuga_server::config::TlsFiles;
use sakuga_tests::job::follow;
use sakuga_tests::server::{TestServer, scripted_config};
use tonic::Code;

/// A CA and the certificates that it signed for the server and for a client, in a folder.
fn sign(folder: &Path) {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join("ca.pem"), issuer.pem()).unwrap();
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let cert = params.signed_by(&key, &issuer).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), cert.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

#[tokio::test]
async fn the_client_draws_through_tls_with_a_certificate_and_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = |file: &str| folder.path().join(file);
    let read = |file: &str| std::fs::read(path(file)).unwrap();
    sign(folder.path());
    let hash = token_file::hex(&token_file::hash(b"secret"));
    std::fs::write(path("tokens"), format!("alice generate sha256:{hash}\n")).unwrap();
    let mut config = scripted_config(1);
    config.transport.tls = Some(TlsFiles {
        cert: path("server.pem"),
        key: path("server.key"),
        client_ca: Some(path("ca.pem")),
        client_crl: None,
    });
    config.transport.tokens = Some(path("tokens"));
    let server = TestServer::start(config).await;

    let tls = TlsOptions { ca: Some(read("ca.pem")), identity: Some((read("client.pem"), read("client.key"))) };
    let with = |token: Option<&str>| ConnectOptions {
        tls: tls.clone(),
        token: token.map(|token| Token::new(token).unwrap()),
        ..ConnectOptions::default()
    };
    let client = Client::connect_with(server.address(), with(Some("secret"))).await.unwrap();
    let run = follow(client.generation().xml("1girl, solo").size(32, 32).steps(2)).await.unwrap();
    assert_eq!(run.completed().pictures.len(), 1);

    for (token, reason) in [(None, "TOKEN_MISSING"), (Some("guess"), "TOKEN_UNKNOWN")] {
        let client = Client::connect_with(server.address(), with(token)).await.unwrap();
        match client.generation().xml("1girl, solo").start().await.unwrap_err() {
            ClientError::Refused(error) => {
                assert_eq!((error.code, error.reason.as_deref()), (Code::Unauthenticated, Some(reason)));
            }
            other => panic!("{other:?}"),
        }
    }
    // The system does not trust the CA of this test.
    assert!(Client::connect(server.address()).await.is_err());
    server.stop().await;
}
