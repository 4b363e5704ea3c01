//! Shutting down: new jobs are refused, waiting ones are cancelled, the running one ends well or in time.

use std::error::Error as _;
use std::time::{Duration, Instant};

use sakuga_proto::generation::v1::CancelReason;
use sakuga_server::Config;
use tonic::{Code, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

use crate::support::{Server, expect_event, request, rest, scripted, steps_of_ms, until};

#[tokio::test]
async fn the_running_job_ends_and_the_waiting_one_is_cancelled() {
    let mut server = Server::start(scripted(steps_of_ms(20))).await;
    let mut running = server.generation().generate(request(25)).await.expect("accepted").into_inner();
    until(&mut running, "step").await;
    let mut waiting = server.generation().generate(request(1)).await.expect("accepted").into_inner();
    until(&mut waiting, "queued").await;
    server.begin_stop();
    let ended = until(&mut waiting, "cancelled").await;
    let cancelled = expect_event!(ended, Cancelled);
    assert_eq!((cancelled.at_step, cancelled.reason()), (0, CancelReason::Shutdown));

    let health = HealthClient::new(server.channel.clone()).check(HealthCheckRequest::default()).await;
    assert_eq!(health.expect("health answers").into_inner().status(), ServingStatus::NotServing);
    let refused = server.generation().generate(request(1)).await.expect_err("nothing new");
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(refused.get_details_error_info().expect("ErrorInfo").reason, "SHUTTING_DOWN");

    expect_event!(rest(&mut running).await.last().unwrap(), Completed);
    server.stopped().await.expect("a clean end");
}

#[tokio::test]
async fn a_job_that_takes_too_long_is_cancelled_at_its_next_step() {
    let config = Config { drain_timeout: Duration::from_millis(100), ..scripted(steps_of_ms(200)) };
    let mut server = Server::start(config).await;
    let mut running = server.generation().generate(request(200)).await.expect("accepted").into_inner();
    until(&mut running, "step").await;
    let begun = Instant::now();
    server.begin_stop();
    let events = rest(&mut running).await;
    let cancelled = expect_event!(events.last().unwrap(), Cancelled);
    assert_eq!(cancelled.reason(), CancelReason::Shutdown);
    assert!(cancelled.at_step < 200);
    server.stopped().await.expect("a clean end");
    // All steps would take 40 s.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn endless_streams_do_not_hold_up_the_end() {
    use sakuga_proto::system::v1::WatchGpuStatsRequest;
    use sakuga_proto::system::v1::system_service_client::SystemServiceClient;

    let mut server = Server::start(scripted(steps_of_ms(1))).await;
    let stats = SystemServiceClient::new(server.channel.clone()).watch_gpu_stats(WatchGpuStatsRequest::default()).await;
    let mut stats = stats.expect("samples").into_inner();
    let health = HealthClient::new(server.channel.clone()).watch(HealthCheckRequest::default()).await;
    let mut health = health.expect("health").into_inner();
    stats.message().await.expect("a sample");
    server.begin_stop();
    read_to_the_end(&mut stats).await;
    read_to_the_end(&mut health).await;
    server.stopped().await.expect("a clean end");
}

/// Reads a stream to its end, which the server has to say: a connection that is closed in the end breaks its streams.
async fn read_to_the_end<T>(stream: &mut Streaming<T>) {
    loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(status) => return assert!(status.source().is_none(), "{status:?}"),
        }
    }
}
