//! A reader that does not keep up loses previews and statistics but no other event, and sees the gap.

use std::time::{Duration, SystemTime};

use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::generation_service_client::GenerationServiceClient;
use sakuga_proto::generation::v1::{GenerateEvent, GenerateRequest, ImageFormat, PreviewMethod, PreviewOptions};
use tonic::transport::Channel;

use crate::support::{Server, expect_event, files, names, next, request, rest, run, scripted, steps_of_ms};

/// A request whose previews outgrow every buffer between server and reader.
fn heavy(steps: u32) -> GenerateRequest {
    GenerateRequest {
        width: 512,
        height: 512,
        preview: Some(PreviewOptions {
            method: PreviewMethod::Decoder.into(),
            format: ImageFormat::Png.into(),
            max_edge: 512,
            ..PreviewOptions::default()
        }),
        ..request(steps)
    }
}

#[tokio::test]
async fn a_reader_that_sleeps_misses_previews_only() {
    let server = Server::start(scripted(steps_of_ms(15))).await;
    // Small windows, so that the transport holds little for the reader.
    let channel = Channel::from_shared(server.url.clone())
        .expect("a URL")
        .initial_stream_window_size(65_535)
        .initial_connection_window_size(65_535)
        .connect()
        .await
        .expect("the server listens");
    let mut stream = GenerationServiceClient::new(channel).generate(heavy(40)).await.expect("accepted").into_inner();
    let first = next(&mut stream).await.expect("an event");
    // While this one sleeps, others are served: the worker waits for no reader.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let others = run(&server, request(3)).await;
    expect_event!(others.last().unwrap(), Completed);

    let mut events = vec![first];
    events.extend(rest(&mut stream).await);
    let names = names(&events);
    let count = |wanted: &str| names.iter().filter(|name| **name == wanted).count();
    assert_eq!((count("accepted"), count("started"), count("stage"), count("step")), (1, 1, 4, 40));
    assert_eq!(names.last(), Some(&"completed"));
    assert_eq!(files(&events).len(), 1);
    assert!(count("preview") < 40, "{} previews came", count("preview"));
    let seen = events.len() as u64;
    let last = events.last().unwrap().sequence;
    assert!(last + 1 > seen, "the hole shows: {seen} events up to number {last}");
    server.stop().await;
}

#[tokio::test]
async fn statistics_come_at_their_rate() {
    let server = Server::start(scripted(steps_of_ms(20))).await;
    let events = run(&server, GenerateRequest { gpu_stats_interval_ms: 100, ..request(40) }).await;
    let samples: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.event {
            Some(Event::GpuStats(stats)) => Some(stats),
            _ => None,
        })
        .collect();
    // At least 800 ms of steps: a sample at the start and then at most one in 100 ms, however long this machine takes.
    let time = |event: &GenerateEvent| SystemTime::try_from(event.time.expect("a time")).expect("valid");
    let took = time(&events[events.len() - 1]).duration_since(time(&events[0])).expect("in order");
    let most = took.as_millis() / 100 + 2;
    assert!(samples.len() >= 2 && samples.len() as u128 <= most, "{} samples in {took:?}", samples.len());
    assert!(samples.iter().all(|stats| stats.memory_total_bytes.is_some_and(|bytes| bytes > 0)));
    server.stop().await;
}
