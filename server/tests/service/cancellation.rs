//! Jobs are given up when nobody wants them any more, and the device is free at the next step.

use std::time::{Duration, Instant, SystemTime};

use sakuga_proto::generation::v1::{CancelReason, GenerateEvent};
use sakuga_server::engine::scripted::Fault;
use tonic::Request;

use crate::support::{
    Server, expect_event, fault, name, next, quick, request, rest, run, scripted, steps_of_ms, until,
};

#[tokio::test]
async fn a_dropped_stream_frees_the_device_within_a_step() {
    let server = Server::start(scripted(steps_of_ms(100))).await;
    let mut stream = server.generation().generate(request(200)).await.expect("accepted").into_inner();
    until(&mut stream, "step").await;
    let dropped = Instant::now();
    drop(stream);
    let mut second = server.generation().generate(request(1)).await.expect("accepted").into_inner();
    until(&mut second, "started").await;
    // One step of 100 ms, and the time that the reset takes on a busy machine.
    assert!(dropped.elapsed() < Duration::from_millis(1000), "{:?}", dropped.elapsed());
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

/// When it happened, by the server's clock.
fn time(event: &GenerateEvent) -> SystemTime {
    event.time.and_then(|time| time.try_into().ok()).expect("every event has a time")
}

#[tokio::test]
async fn a_deadline_ends_a_job_that_waits() {
    // The first job hangs before its first step, deaf to everything, while the second one's deadline passes. Until a step
    // was measured nothing is known of how long a job takes, so the second one is not refused at the door. It has come,
    // however busy the machine is, before the hang ends.
    let mut script = steps_of_ms(20);
    script.faults = vec![fault(1, 0, Fault::Hang(5_000))];
    let server = Server::start(scripted(script)).await;
    let mut running = server.generation().generate(request(5)).await.expect("accepted").into_inner();
    until(&mut running, "started").await;
    // tonic's own client gives up at the deadline too, so the header is set by hand.
    let mut waiting = Request::new(request(1));
    waiting.metadata_mut().insert("grpc-timeout", "100m".parse().expect("a header"));
    let mut waiting = server.generation().generate(waiting).await.expect("accepted").into_inner();
    let events = rest(&mut waiting).await;
    let cancelled = expect_event!(events.last().unwrap(), Cancelled);
    assert_eq!((cancelled.at_step, cancelled.reason()), (0, CancelReason::Deadline));
    let ended = time(events.last().unwrap());
    let events = rest(&mut running).await;
    expect_event!(events.last().unwrap(), Completed);
    let step = events.iter().find(|event| name(event) == "step").expect("five steps");
    assert!(ended < time(step), "it did not wait for the engine");
    server.stop().await;
}

#[tokio::test]
async fn a_deadline_ends_a_job_that_runs() {
    // Nothing was measured here, so nothing is known of how long it takes. Its steps sleep for longer than its time, and
    // that is long enough for the first of them on a busy machine.
    let server = Server::start(scripted(steps_of_ms(20))).await;
    let mut late = Request::new(request(200));
    late.metadata_mut().insert("grpc-timeout", "2S".parse().expect("a header"));
    let mut late = server.generation().generate(late).await.expect("accepted").into_inner();
    let events = rest(&mut late).await;
    let cancelled = expect_event!(events.last().unwrap(), Cancelled);
    assert_eq!(cancelled.reason(), CancelReason::Deadline);
    assert!((1..200).contains(&cancelled.at_step), "{}", cancelled.at_step);
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
