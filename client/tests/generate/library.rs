//! The guarantees of the library for a stream of events.

use std::time::Duration;

use sakuga_client::proto::generation::v1::{self as wire, CancelReason, generate_event::Event as WireEvent};
use sakuga_client::proto::time;
use sakuga_client::{Client, ClientError, EventKind, Generation};
use tonic::{Code, Status};

use crate::fake::{Act, Fake, chunks, completed, job, opening, preview, step};

async fn start(fake: &Fake) -> Generation {
    let client = Client::connect(&fake.address.to_string()).await.unwrap();
    client.generation().xml("<caption>a fox</caption>").start().await.unwrap()
}

/// Every event up to the end, and the error if there is one.
async fn drain(acts: Vec<Act>) -> (Vec<EventKind>, u64, Option<ClientError>) {
    let fake = Fake::playing(acts).await;
    let mut generation = start(&fake).await;
    let mut kinds = Vec::new();
    let error = loop {
        match generation.next_event().await {
            Ok(Some(event)) => kinds.push(event.kind),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    assert!(generation.next_event().await.unwrap().is_none(), "nothing comes after the end");
    (kinds, generation.missed_events(), error)
}

#[tokio::test]
async fn a_job_ends_with_its_pictures() {
    let (kinds, missed, error) = drain(job(3, &[b"first file", b"second"])).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(missed, 0);
    let Some(EventKind::Completed(completed)) = kinds.last() else { panic!("{kinds:?}") };
    let files: Vec<&[u8]> = completed.pictures.iter().map(|picture| picture.bytes.as_slice()).collect();
    assert_eq!(files, [&b"first file"[..], b"second"]);
    assert_eq!(completed.timings.total.and_then(time::duration), Some(Duration::from_millis(4200)));
    let steps = kinds.iter().filter(|kind| matches!(kind, EventKind::Step(step) if step.total == 3)).count();
    assert_eq!(steps, 3);
}

#[tokio::test]
async fn holes_in_the_numbers_are_counted() {
    let mut acts = opening(2, 1);
    acts.extend([step(1, 2), Act::Skip(3), step(2, 2), Act::Skip(1)]);
    acts.extend(chunks(0, b"file"));
    acts.push(completed(&[b"file"]));
    let fake = Fake::playing(acts).await;
    let mut generation = start(&fake).await;
    let mut holes = Vec::new();
    while let Some(event) = generation.next_event().await.unwrap() {
        if event.missed_before > 0 {
            holes.push((event.sequence, event.missed_before));
        }
    }
    assert_eq!(holes, [(8, 3), (10, 1)]);
    assert_eq!(generation.missed_events(), 4);
}

#[tokio::test]
async fn numbers_do_not_go_back() {
    let mut acts = opening(2, 1);
    acts.extend([step(1, 2), Act::Rewind(2), step(2, 2)]);
    let (_, _, error) = drain(acts).await;
    assert!(error.unwrap().to_string().contains("event 2 came after event 4"));
}

#[tokio::test]
async fn a_wrong_checksum_is_an_error() {
    let mut acts = opening(1, 1);
    acts.extend(chunks(0, b"file"));
    acts.push(completed(&[b"life"]));
    let (kinds, _, error) = drain(acts).await;
    assert!(matches!(error, Some(ClientError::Damaged { image_index: 0, .. })), "{error:?}");
    assert!(!kinds.iter().any(|kind| matches!(kind, EventKind::Completed(_))));
}

#[tokio::test]
async fn a_missing_piece_is_an_error() {
    let mut acts = opening(1, 1);
    acts.push(chunks(0, b"file").remove(1));
    let (_, _, error) = drain(acts).await;
    assert!(error.unwrap().to_string().contains("0 bytes arrived and the next piece starts at 2"));
}

#[tokio::test]
async fn a_stream_without_an_end_is_an_error() {
    let mut acts = opening(2, 1);
    acts.push(step(1, 2));
    let (_, _, error) = drain(acts).await;
    assert!(error.unwrap().to_string().contains("after 5 events without a terminal event"));
    let (_, _, error) = drain(vec![]).await;
    assert!(matches!(error, Some(ClientError::Protocol(_))), "{error:?}");
}

#[tokio::test]
async fn the_failed_event_is_an_error_with_its_details() {
    let mut acts = opening(2, 1);
    acts.push(Act::Send(WireEvent::Failed(tonic_types::pb::Status {
        code: Code::Internal as i32,
        message: "the velocity is not finite".to_owned(),
        details: vec![],
    })));
    let (_, _, error) = drain(acts).await;
    let Some(ClientError::Failed(error)) = error else { panic!("{error:?}") };
    assert_eq!(error.to_string(), "the velocity is not finite (INTERNAL)");
}

#[tokio::test]
async fn a_status_in_the_middle_is_a_failure_of_the_job() {
    let mut acts = opening(2, 1);
    acts.push(Act::Break(Status::unavailable("going down")));
    let (_, _, error) = drain(acts).await;
    assert!(matches!(&error, Some(ClientError::Failed(status)) if status.code == Code::Unavailable), "{error:?}");
}

#[tokio::test]
async fn a_cancelled_job_says_at_which_step() {
    let mut acts = opening(9, 1);
    let reason = CancelReason::Shutdown.into();
    acts.push(Act::Send(WireEvent::Cancelled(wire::Cancelled { at_step: 4, reason })));
    let (kinds, _, error) = drain(acts).await;
    assert!(error.is_none());
    let Some(EventKind::Cancelled(cancelled)) = kinds.last() else { panic!("{kinds:?}") };
    assert_eq!((cancelled.at_step, cancelled.reason()), (4, CancelReason::Shutdown));
}

#[tokio::test]
async fn events_of_a_newer_server_are_passed_on_as_unknown() {
    let mut acts = opening(1, 1);
    acts.push(Act::Send(WireEvent::Stage(wire::StageBegun { stage: 99, pass_number: 1 })));
    acts.extend(job(1, &[b"file"]).into_iter().skip(4));
    let (kinds, _, error) = drain(acts).await;
    assert!(error.is_none(), "{error:?}");
    assert!(kinds.iter().any(|kind| matches!(kind, EventKind::Stage(begun) if begun.stage == 99)));
}

#[tokio::test]
async fn dropping_the_stream_hangs_up() {
    let mut acts = opening(9, 1);
    acts.extend([step(1, 9), Act::Hang]);
    let mut fake = Fake::playing(acts).await;
    let mut generation = start(&fake).await;
    for _ in 0..5 {
        generation.next_event().await.unwrap().unwrap();
    }
    drop(generation);
    assert!(fake.wait_for_hang_up().await);
}

#[tokio::test]
async fn a_deadline_is_sent_and_kept() {
    let mut acts = opening(9, 1);
    acts.push(Act::Hang);
    let mut fake = Fake::playing(acts).await;
    let client = Client::connect(&fake.address.to_string()).await.unwrap();
    let deadline = Duration::from_millis(300);
    let mut generation = client.generation().xml("a fox").deadline(deadline).start().await.unwrap();
    let error = loop {
        match generation.next_event().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the job did not end"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ClientError::DeadlineExceeded { .. }), "{error:?}");
    drop(generation);
    assert!(fake.wait_for_hang_up().await);
    assert!(fake.requests()[0].1.is_some(), "the server knows the deadline");
}

#[tokio::test]
async fn the_tap_sees_what_the_checks_refuse() {
    let mut acts = opening(2, 1);
    acts.extend([preview(0, 1, b"x"), Act::Rewind(0), step(1, 2)]);
    let fake = Fake::playing(acts).await;
    let client = Client::connect(&fake.address.to_string()).await.unwrap();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let tapped = seen.clone();
    let tap = move |event: &wire::GenerateEvent| tapped.lock().unwrap().push(event.sequence);
    let mut generation = client.generation().xml("a fox").tap(tap).start().await.unwrap();
    while let Ok(Some(_)) = generation.next_event().await {}
    assert_eq!(*seen.lock().unwrap(), [0, 1, 2, 3, 4, 0]);
}

#[tokio::test]
async fn another_program_on_the_port_is_no_server() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    let error = match Client::connect(&address).await {
        Ok(client) => client.generation().xml("a fox").start().await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(error, ClientError::ConnectionLost { .. } | ClientError::Unreachable { .. }), "{error:?}");
}
