//! Shutdown: connections get GOAWAY, the socket is closed, and no answer is cut off.

use std::time::{Duration, Instant};

use sakuga_server::config::TransportConfig;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::floods::{goaway_code, hello, settings, to_the_end};
use crate::support::Server;

#[tokio::test]
async fn connections_get_goaway_and_new_ones_are_refused() {
    let server = Server::start(TransportConfig::default()).await;
    let address = server.address;
    let mut connection = TcpStream::connect(address).await.expect("connected");
    connection.write_all(&hello()).await.expect("sent");
    // Before, the server may not have seen the connection.
    settings(&mut connection).await;
    let reader = tokio::spawn(async move { to_the_end(&mut connection).await });
    let begun = Instant::now();
    server.stop().await;
    // The connection would stay open for five minutes.
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    assert_eq!(goaway_code(&reader.await.expect("read")), Some(0), "NO_ERROR: a friendly end");
    TcpStream::connect(address).await.expect_err("the socket is closed");
}

#[tokio::test]
async fn who_watches_a_model_hears_of_the_end_before_the_connection_goes() {
    let server = Server::start(TransportConfig::default()).await;
    let mut health = HealthClient::new(server.channel().await);
    let watch = health.watch(HealthCheckRequest { service: "model/scripted".into() }).await;
    let mut watch = watch.expect("watched").into_inner();
    let first = watch.message().await.expect("an answer").expect("no end");
    assert_eq!(first.status(), ServingStatus::Serving);
    let heard = tokio::spawn(async move {
        let mut heard = Vec::new();
        while let Ok(Some(answer)) = watch.message().await {
            heard.push(answer.status());
        }
        heard
    });
    drop(health);
    server.stop().await;
    assert_eq!(heard.await.expect("heard").first(), Some(&ServingStatus::NotServing));
}
