//! A full queue refuses at once and says when to retry.

use sakuga_server::Config;
use sakuga_server::config::Limits;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::{Server, expect_event, request, rest, scripted, steps_of_ms, until};

#[tokio::test]
async fn a_full_queue_is_resource_exhausted_with_a_time() {
    let limits = Limits { queued_max: 1, ..Limits::default() };
    let server = Server::start(Config { limits, ..scripted(steps_of_ms(20)) }).await;
    let mut running = server.generation().generate(request(100)).await.expect("accepted").into_inner();
    until(&mut running, "step").await;
    let mut waiting = server.generation().generate(request(1)).await.expect("one may wait").into_inner();
    until(&mut waiting, "queued").await;
    let refused = server.generation().generate(request(1)).await.expect_err("two may not");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let delay = refused.get_details_retry_info().expect("RetryInfo").retry_delay.expect("a delay");
    assert!((1..=60).contains(&delay.as_secs()), "{delay:?}");
    assert_eq!(refused.get_details_error_info().expect("ErrorInfo").reason, "QUEUE_FULL");
    drop(running);
    expect_event!(rest(&mut waiting).await.last().unwrap(), Completed);
    server.stop().await;
}

#[tokio::test]
async fn open_streams_are_bounded() {
    let limits = Limits { streams_max: 2, ..Limits::default() };
    let server = Server::start(Config { limits, ..scripted(steps_of_ms(20)) }).await;
    let first = server.generation().generate(request(100)).await.expect("accepted");
    let second = server.generation().generate(request(100)).await.expect("accepted");
    let refused = server.generation().generate(request(1)).await.expect_err("one too many");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.get_details_error_info().expect("ErrorInfo").reason, "TOO_MANY_STREAMS");
    drop((first, second));
    server.stop().await;
}
