//! What the engine does wrong ends one job, typed, and not the server.

use std::time::{Duration, Instant};

use sakuga_proto::generation::v1::GenerateEvent;
use sakuga_server::Config;
use sakuga_server::engine::scripted::{Fault, Script};
use sakuga_server::limits::Limits;
use tonic::Code;
use tonic_types::{RpcStatusExt as _, pb};

use crate::support::{Server, expect_event, fault, names, quick, request, rest, run, scripted, until};

fn failure(events: &[GenerateEvent]) -> &pb::Status {
    expect_event!(events.last().expect("events"), Failed)
}

fn reason(status: &pb::Status) -> String {
    status.get_details_error_info().expect("ErrorInfo").reason
}

#[tokio::test]
async fn failures_panics_and_lost_devices_end_their_job_only() {
    let faults = vec![fault(1, 2, Fault::Fail), fault(2, 1, Fault::Panic), fault(3, 0, Fault::LoseDevice)];
    let server = Server::start(scripted(Script { faults, ..quick() })).await;
    let mut generation = server.generation();
    // All wait in the queue, so each failure meets jobs behind it.
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(generation.generate(request(3)).await.expect("accepted").into_inner());
    }
    let mut ends = Vec::new();
    for stream in &mut streams {
        ends.push(rest(stream).await);
    }
    let expected =
        [(Code::Internal, "ENGINE_FAILED"), (Code::Internal, "ENGINE_PANICKED"), (Code::Unavailable, "DEVICE_LOST")];
    for (events, (code, expected_reason)) in ends.iter().zip(expected) {
        let status = failure(events);
        assert_eq!((status.code, reason(status).as_str()), (code as i32, expected_reason));
        assert!(status.message.contains("the script"), "{}", status.message);
    }
    assert_eq!(names(&ends[0]).iter().filter(|name| **name == "step").count(), 2);
    expect_event!(ends[3].last().unwrap(), Completed);
    server.stop().await;
}

#[tokio::test]
async fn a_hanging_step_delays_but_does_not_break() {
    let server = Server::start(scripted(Script { faults: vec![fault(1, 1, Fault::Hang(300))], ..quick() })).await;
    let mut hanging = server.generation().generate(request(3)).await.expect("accepted").into_inner();
    until(&mut hanging, "step").await;
    drop(hanging);
    expect_event!(run(&server, request(1)).await.last().unwrap(), Completed);
    server.stop().await;
}

#[tokio::test]
async fn an_engine_that_hangs_is_left_behind_and_opened_anew() {
    let limits = Limits { silence_max: Some(Duration::from_millis(400)), ..Limits::default() };
    let faults = vec![fault(1, 2, Fault::Hang(3_000))];
    let server = Server::start(Config { limits, ..scripted(Script { faults, ..quick() }) }).await;
    let mut hanging = server.generation().generate(request(3)).await.expect("accepted").into_inner();
    until(&mut hanging, "step").await;
    let mut waiting = server.generation().generate(request(3)).await.expect("accepted").into_inner();
    let begun = Instant::now();
    let events = rest(&mut hanging).await;
    let status = failure(&events);
    assert_eq!((status.code, reason(status).as_str()), (Code::Unavailable as i32, "ENGINE_HUNG"));
    // The one that waited is drawn while the old engine still hangs.
    expect_event!(rest(&mut waiting).await.last().unwrap(), Completed);
    assert!(begun.elapsed() < Duration::from_millis(2_500), "{:?}", begun.elapsed());
    expect_event!(run(&server, request(1)).await.last().unwrap(), Completed);
    server.stop().await;
}
