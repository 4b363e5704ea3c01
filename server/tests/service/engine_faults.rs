//! A fault of the engine ends one job with a typed error, and not the server.

use std::time::{Duration, Instant};

use sakuga_proto::generation::v1::{GenerateEvent, GenerateRequest};
use sakuga_server::Config;
use sakuga_server::config::Limits;
use sakuga_server::engine::scripted::{Fault, Script};
use tonic::Code;
use tonic_types::{ErrorInfo, RpcStatusExt as _, pb};

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
async fn a_device_without_memory_says_what_to_ask_for_instead() {
    let faults = vec![fault(1, 2, Fault::ExhaustMemory(4096)), fault(2, 0, Fault::ExhaustMemory(1))];
    let server = Server::start(scripted(Script { faults, ..quick() })).await;
    let four = GenerateRequest { images: 4, width: 640, height: 320, ..request(3) };
    let (events, info) = exhausted(&server, four.clone()).await;
    assert_eq!(names(&events).iter().filter(|name| **name == "step").count(), 2);
    let fact = |info: &ErrorInfo, name: &str| info.metadata.get(name).cloned().unwrap_or_default();
    assert_eq!(fact(&info, "allocation_bytes"), "4096");
    assert!(fact(&info, "needed_bytes").parse::<u64>().expect("a number") >= 4 * 640 * 320);
    let tried = |info: &ErrorInfo| ["try_images", "try_width", "try_height"].map(|name| fact(info, name));
    assert_eq!(tried(&info), ["2", "640", "320"]);
    let one = GenerateRequest { images: 1, ..four };
    let (_, info) = exhausted(&server, one.clone()).await;
    assert_eq!(tried(&info), ["1", "448", "224"]);
    // The engine was opened again, and the advised size is drawn.
    let smaller = GenerateRequest { width: 448, height: 224, ..one };
    expect_event!(run(&server, smaller).await.last().unwrap(), Completed);
    server.stop().await;
}

/// Runs a job whose device has no memory left.
async fn exhausted(server: &Server, request: GenerateRequest) -> (Vec<GenerateEvent>, ErrorInfo) {
    let events = run(server, request).await;
    let status = failure(&events).clone();
    assert_eq!((status.code, reason(&status).as_str()), (Code::ResourceExhausted as i32, "DEVICE_OUT_OF_MEMORY"));
    assert!(status.message.contains("about half as much"), "{}", status.message);
    let info = status.get_details_error_info().expect("ErrorInfo");
    (events, info)
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
async fn an_engine_that_hangs_is_abandoned_and_opened_again() {
    let limits = Limits { silence_max: Some(Duration::from_millis(400)), ..Limits::default() };
    let faults = vec![fault(1, 2, Fault::Hang(20_000))];
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
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    expect_event!(run(&server, request(1)).await.last().unwrap(), Completed);
    server.stop().await;
}
