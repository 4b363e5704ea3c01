//! A network that is slow, breaks in the middle of a frame, or stalls without closing.

use std::time::{Duration, Instant};

use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::generation_service_client::GenerationServiceClient;
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_proto::generation::v1::watch_job_response::Message;
use sakuga_proto::generation::v1::{
    CreateJobRequest, GenerateEvent, GenerateRequest, GetJobRequest, Job, JobOptions, JobState, ListJobsRequest,
    Sampling, WatchJobRequest, generate_request,
};
use sakuga_server::config::TransportConfig;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use crate::server::TestServer;
use crate::wire::Wire;

const PATIENCE: Duration = Duration::from_secs(30);
/// Half of the 200 ms that a call and its answer are under way.
const DELAY: Duration = Duration::from_millis(100);
/// Cuts that the watcher has to live through, unless `SAKUGA_CUTS` says another number.
const CUTS: u64 = 12;

async fn connect(url: &str) -> Result<Channel, tonic::transport::Error> {
    Endpoint::from_shared(url.to_owned()).expect("a URL").connect().await
}

fn drawing(steps: u32) -> GenerateRequest {
    GenerateRequest {
        prompt: Some(generate_request::Prompt::Xml("<caption>A girl looks at the sea.</caption>".into())),
        sampling: Some(Sampling { steps, ..Sampling::default() }),
        ..GenerateRequest::default()
    }
}

/// Every event of the job behind `seen`, until the end or a cut.
async fn follow(url: &str, job_id: &str, seen: &mut Vec<GenerateEvent>) -> Result<(), Status> {
    let channel = connect(url).await.map_err(|error| Status::unavailable(error.to_string()))?;
    let after_sequence = seen.last().map(|event| event.sequence);
    let call = WatchJobRequest { job_id: job_id.into(), after_sequence, ..WatchJobRequest::default() };
    let mut stream = JobServiceClient::new(channel).watch_job(call).await?.into_inner();
    while let Some(response) = stream.message().await? {
        if let Some(Message::Event(event)) = response.message {
            assert!(seen.last().map(|last| last.sequence) < Some(event.sequence), "{event:?}");
            seen.push(event);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_behind_a_slow_network_that_breaks_sees_each_event_once() {
    let cuts = std::env::var("SAKUGA_CUTS").ok().and_then(|text| text.parse().ok()).unwrap_or(CUTS);
    let server = TestServer::start_with(TransportConfig::default(), 2).await;
    let wire = Wire::to(&server.url, DELAY).await;
    let mut near = JobServiceClient::new(connect(&server.url).await.expect("it listens"));
    let begun = Instant::now();
    let mut watched = 0;
    while wire.cuts() < cuts {
        let call = CreateJobRequest { request: Some(drawing(100)), options: None };
        let job_id = near.create_job(call).await.expect("accepted").into_inner().job.expect("a job").job_id;
        let mut seen = Vec::new();
        // Far enough for the handshake and a few events; each time a little farther, so that every watcher arrives.
        for attempt in 0_u64.. {
            wire.cut_after(400 + attempt * 331 + watched * 17);
            let followed = tokio::time::timeout(PATIENCE, follow(&wire.url, &job_id, &mut seen)).await;
            if followed.expect("an end or a cut").is_ok() {
                break;
            }
        }
        watched += 1;
        let steps: Vec<u32> = seen
            .iter()
            .filter_map(|event| match &event.event {
                Some(Event::Step(step)) => Some(step.index),
                _ => None,
            })
            .collect();
        assert_eq!(steps, (1..=100).collect::<Vec<_>>(), "each step once and in order");
        let ends = seen.iter().filter(|event| matches!(event.event, Some(Event::Completed(_)))).count();
        assert_eq!(
            (ends, seen.last().is_some_and(|event| matches!(event.event, Some(Event::Completed(_))))),
            (1, true)
        );
    }
    println!("{} cuts, {watched} jobs, {:.1} s: each event seen once", wire.cuts(), begun.elapsed().as_secs_f64());
    drop(wire);
    drop(near);
    server.stop().await;
}

/// The job's state once it is not running any more, and how long that took.
async fn after_running(near: &mut JobServiceClient<Channel>, job_id: &str) -> (Job, Duration) {
    let begun = Instant::now();
    loop {
        let call = GetJobRequest { job_id: job_id.into() };
        let job = near.get_job(call).await.expect("it lives").into_inner().job.expect("a job");
        if !matches!(job.state(), JobState::Queued | JobState::Running) {
            return (job, begun.elapsed());
        }
        assert!(begun.elapsed() < PATIENCE, "{job:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_falls_silent_is_closed_and_its_jobs_follow_their_options() {
    let (interval, timeout) = (Duration::from_millis(400), Duration::from_millis(400));
    let transport =
        TransportConfig { keepalive_interval: interval, keepalive_timeout: timeout, ..TransportConfig::default() };
    let server = TestServer::start_with(transport, 50).await;
    let mut near = JobServiceClient::new(connect(&server.url).await.expect("it listens"));

    // A job that ends with its reader.
    let wire = Wire::to(&server.url, Duration::ZERO).await;
    let mut far = GenerationServiceClient::new(connect(&wire.url).await.expect("it listens"));
    let mut stream = far.generate(drawing(200)).await.expect("accepted").into_inner();
    stream.message().await.expect("it lives").expect("accepted");
    let listed = near.list_jobs(ListJobsRequest::default()).await.expect("it lives").into_inner();
    let job_id = listed.jobs[0].job_id.clone();
    wire.fall_silent();
    let (job, took) = after_running(&mut near, &job_id).await;
    println!("closed {:.0} ms after the silence began", took.as_secs_f64() * 1e3);
    assert_eq!(job.state(), JobState::Cancelled, "{job:?}");
    // The job would take ten seconds. Not at once either, since no end was signalled.
    assert!(took >= timeout, "{took:?}");
    drop(wire);

    // One that continues without a reader, and one whose reader may stay away for a while.
    for (options, steps, expected) in [
        (JobOptions::default(), 40, JobState::Completed),
        (
            JobOptions {
                cancel_on_disconnect: true,
                disconnect_grace: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
                ..JobOptions::default()
            },
            40,
            JobState::Completed,
        ),
        (JobOptions { cancel_on_disconnect: true, ..JobOptions::default() }, 200, JobState::Cancelled),
    ] {
        let wire = Wire::to(&server.url, Duration::ZERO).await;
        let mut far = JobServiceClient::new(connect(&wire.url).await.expect("it listens"));
        let call = CreateJobRequest { request: Some(drawing(steps)), options: Some(options) };
        let job_id = far.create_job(call).await.expect("accepted").into_inner().job.expect("a job").job_id;
        let call = WatchJobRequest { job_id: job_id.clone(), ..WatchJobRequest::default() };
        let mut stream = far.watch_job(call).await.expect("there").into_inner();
        stream.message().await.expect("it lives").expect("created");
        wire.fall_silent();
        assert_eq!(after_running(&mut near, &job_id).await.0.state(), expected, "{options:?}");
    }
    drop(near);
    server.stop().await;
}
