//! Cancelled jobs end at once or at their next step, and free the device.

use std::time::{Duration, Instant};

use sakuga_proto::generation::v1::{CancelReason, JobOptions};
use sakuga_server::engine::scripted::Fault;
use tonic::Request;

use crate::support::{Server, expect_event, fault, next, quick, request, rest, run, scripted, steps_of_ms, until};

#[tokio::test]
async fn a_dropped_stream_frees_the_device_within_a_step() {
    let server = Server::start(scripted(steps_of_ms(300))).await;
    let mut stream = server.generation().generate(request(200)).await.expect("accepted").into_inner();
    until(&mut stream, "step").await;
    let dropped = Instant::now();
    drop(stream);
    let mut second = server.generation().generate(request(1)).await.expect("accepted").into_inner();
    until(&mut second, "started").await;
    // All steps would take a minute; one of 300 ms is left.
    assert!(dropped.elapsed() < Duration::from_secs(20), "{:?}", dropped.elapsed());
    server.stop().await;
}

#[tokio::test]
async fn a_job_that_waits_leaves_at_once_and_those_behind_move_up() {
    let server = Server::start(scripted(steps_of_ms(50))).await;
    let mut running = server.generation().generate(request(200)).await.expect("accepted").into_inner();
    until(&mut running, "step").await;
    let mut waiting = server.generation().generate(request(1)).await.expect("accepted").into_inner();
    assert_eq!(expect_event!(until(&mut waiting, "queued").await, Queued).position, 1);
    let mut behind = server.generation().generate(request(1)).await.expect("accepted").into_inner();
    assert_eq!(expect_event!(until(&mut behind, "queued").await, Queued).position, 2);
    drop(waiting);
    let moved = until(&mut behind, "queued").await;
    assert_eq!(expect_event!(moved, Queued).position, 1);
    assert!(expect_event!(moved, Queued).eta.is_some(), "steps have been measured");
    drop(running);
    let events = rest(&mut behind).await;
    expect_event!(events.last().unwrap(), Completed);
    server.stop().await;
}

#[tokio::test]
async fn a_deadline_ends_a_job_that_waits() {
    // The first job hangs for longer than the test, so the second one cannot end because the device is free.
    let mut script = steps_of_ms(20);
    script.faults = vec![fault(1, 0, Fault::Hang(3_600_000))];
    let server = Server::start(scripted(script)).await;
    let mut running = server.generation().generate(request(5)).await.expect("accepted").into_inner();
    until(&mut running, "started").await;
    // The timeout counts from the acceptance, so a slow machine accepts it too.
    let options =
        JobOptions { timeout: Some(prost_types::Duration { seconds: 0, nanos: 100_000_000 }), ..JobOptions::default() };
    let waiting = crate::jobs::create(&server, request(1), options).await.expect("accepted").job_id;
    let events = crate::jobs::all(&server, &waiting, None).await;
    let cancelled = expect_event!(events.last().expect("an end"), Cancelled);
    assert_eq!((cancelled.at_step, cancelled.reason()), (0, CancelReason::Deadline));
    // Stopping would wait for the hang.
    drop(server);
}

#[tokio::test]
async fn the_deadline_of_a_call_ends_a_job_that_runs() {
    // Nothing was measured, so the job is not refused. Its steps take ten times the deadline.
    let server = Server::start(scripted(steps_of_ms(100))).await;
    let mut late = Request::new(request(200));
    // tonic's own client would stop at the deadline too, so the header is set by hand.
    late.metadata_mut().insert("grpc-timeout", "2S".parse().expect("a header"));
    let mut late = server.generation().generate(late).await.expect("accepted").into_inner();
    let events = rest(&mut late).await;
    let cancelled = expect_event!(events.last().expect("an end"), Cancelled);
    assert_eq!(cancelled.reason(), CancelReason::Deadline);
    assert!(cancelled.at_step < 200, "{}", cancelled.at_step);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_is_gone_before_its_turn_costs_nothing() {
    let mut script = quick();
    script.faults = vec![fault(1, 0, Fault::Hang(300))];
    let server = Server::start(scripted(script)).await;
    let mut first = server.generation().generate(request(1)).await.expect("accepted").into_inner();
    next(&mut first).await;
    for _ in 0..10 {
        drop(server.generation().generate(request(1)).await.expect("accepted"));
    }
    expect_event!(rest(&mut first).await.last().unwrap(), Completed);
    expect_event!(run(&server, request(1)).await.last().unwrap(), Completed);
    server.stop().await;
}
