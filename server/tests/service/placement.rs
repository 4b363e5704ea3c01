//! Jobs that two devices draw, with scripted engines: each computes half of a step in half of its time.

use std::time::Duration;

use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::{
    CancelJobRequest, CreateJobRequest, EstimateRequest, GenerateEvent, GenerateRequest, JobOptions, JobState,
    Placement, Sampling, WatchJobRequest, watch_job_response::Message,
};
use sakuga_proto::system::v1::{DeviceState, DrainDeviceRequest};
use sakuga_server::Config;
use sakuga_server::config::Limits;
use sakuga_server::engine::scripted::{Fault, Script};
use tonic::Code;

use crate::support::{
    PATIENCE, Server, devices, ended, expect_event, fault, files, job, on, quick, request, steps_of_ms, system,
    until_devices,
};

/// The full name of a job's device if both devices drew it.
const BOTH: &str = "cpu:0 + cpu:1";
const ENDLESS: u32 = 200;

fn two(script: Script) -> Config {
    on(2, script)
}

fn asking(placement: Placement) -> JobOptions {
    JobOptions { placement: placement.into(), ..JobOptions::default() }
}

async fn create(server: &Server, request: GenerateRequest, options: JobOptions) -> String {
    let call = CreateJobRequest { request: Some(request), options: Some(options) };
    server.jobs().create_job(call).await.expect("accepted").into_inner().job.expect("a job").job_id
}

/// All events of a job.
async fn events(server: &Server, job_id: &str) -> Vec<GenerateEvent> {
    let call = WatchJobRequest { job_id: job_id.into(), ..WatchJobRequest::default() };
    let mut stream = server.jobs().watch_job(call).await.expect("the job exists").into_inner();
    let mut events = Vec::new();
    while let Some(message) =
        tokio::time::timeout(PATIENCE, stream.message()).await.expect("in time").expect("the stream does not break")
    {
        if let Some(Message::Event(event)) = message.message {
            events.push(event);
        }
    }
    events
}

/// The devices that drew a job, without what the host adds to their names.
fn devices_of(full_name: &str) -> String {
    full_name.split(" + ").map(|name| name.split(' ').next().unwrap_or_default()).collect::<Vec<_>>().join(" + ")
}

async fn drawn_by(server: &Server, job_id: &str) -> String {
    devices_of(&job(server, job_id).await.device)
}

fn seeded(steps: u32) -> GenerateRequest {
    GenerateRequest { seed: Some(5), ..request(steps) }
}

/// Draws a request until two devices draw it, since a device is free again some time after its part in a job. Returns its pixels.
async fn pixels_of_two(server: &Server, request: &GenerateRequest) -> String {
    let tries = async {
        loop {
            let job_id = create(server, request.clone(), asking(Placement::Latency)).await;
            let pixels = pixels(&events(server, &job_id).await);
            if drawn_by(server, &job_id).await == BOTH {
                return pixels;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, tries).await.expect("in time")
}

fn pixels(events: &[GenerateEvent]) -> String {
    expect_event!(events.last().expect("events"), Completed).images[0].pixels_sha256.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_drawn_by_two_devices_if_it_asks_for_the_shortest_time() {
    let server = Server::start(two(steps_of_ms(40))).await;
    let mut denoise_ms = Vec::new();
    let mut pictures = Vec::new();
    for (placement, expected) in
        [(Placement::Unspecified, "cpu:0"), (Placement::Throughput, "cpu:0"), (Placement::Latency, BOTH)]
    {
        let job_id = create(&server, seeded(10), asking(placement)).await;
        let events = events(&server, &job_id).await;
        assert_eq!(drawn_by(&server, &job_id).await, expected, "{placement:?}");
        let steps: Vec<u32> = events
            .iter()
            .filter_map(|event| match &event.event {
                Some(Event::Step(step)) => Some(step.index),
                _ => None,
            })
            .collect();
        assert_eq!(steps, (1..=10).collect::<Vec<_>>(), "{placement:?}");
        let completed = expect_event!(events.last().expect("events"), Completed);
        let metadata = completed.images[0].metadata.as_ref().expect("metadata");
        assert_eq!(devices_of(&metadata.device), expected);
        assert_eq!(String::from_utf8_lossy(&files(&events)[0]).matches(&metadata.device).count(), 2);
        let time = completed.timings.as_ref().and_then(|timings| timings.denoise).expect("a time");
        denoise_ms.push(time.seconds * 1000 + i64::from(time.nanos) / 1_000_000);
        pictures.push(completed.images[0].pixels_sha256.clone());
    }
    assert!(pictures.iter().all(|picture| *picture == pictures[0]), "{pictures:?}");
    let [_, one, both] = denoise_ms[..] else { panic!("three jobs") };
    assert!(both < one * 3 / 4, "{both} ms on two devices, {one} ms on one");
    let counts: Vec<u64> = devices(&server).await.iter().map(|device| device.jobs).collect();
    assert_eq!(counts, [3, 0], "a device that assists draws no job");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_without_guidance_is_drawn_by_one_device() {
    let server = Server::start(two(quick())).await;
    let sampling = Sampling { steps: 3, guidance_scale: Some(1.0), ..Sampling::default() };
    let unguided = GenerateRequest { sampling: Some(sampling), ..request(3) };
    let job_id = create(&server, unguided, asking(Placement::Latency)).await;
    assert_eq!(ended(&server, &job_id).await.state(), JobState::Completed);
    assert_eq!(drawn_by(&server, &job_id).await, "cpu:0");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_device_is_taken_only_if_it_is_free_and_is_given_back() {
    let script = Script { decode_ms: 600, ..steps_of_ms(20) };
    let server = Server::start(two(script)).await;
    // Another job has the second device.
    let other = create(&server, request(ENDLESS), asking(Placement::Throughput)).await;
    until_devices(&server, |devices| devices.iter().any(|device| device.job_id == other)).await;
    let alone = create(&server, request(2), asking(Placement::Latency)).await;
    assert_eq!(ended(&server, &alone).await.state(), JobState::Completed, "it does not wait for a second device");
    assert_eq!(drawn_by(&server, &alone).await, "cpu:1");
    server.jobs().cancel_job(CancelJobRequest { job_id: other.clone() }).await.expect("there");
    ended(&server, &other).await;
    until_devices(&server, |devices| devices.iter().all(|device| device.job_id.is_empty())).await;
    // A device is free some time after its job has ended.
    tokio::time::sleep(Duration::from_millis(200)).await;
    // The second device draws the next job while the first one decodes.
    let shared = create(&server, request(3), asking(Placement::Latency)).await;
    let both = until_devices(&server, |devices| devices.iter().all(|device| device.job_id == shared)).await;
    assert!(both.iter().all(|device| device.state() == DeviceState::Serving));
    let next = create(&server, request(1), asking(Placement::Latency)).await;
    until_devices(&server, |devices| devices[0].job_id == shared && devices[1].job_id == next).await;
    assert_eq!(ended(&server, &next).await.state(), JobState::Completed);
    assert_eq!(drawn_by(&server, &next).await, "cpu:1");
    assert_eq!(ended(&server, &shared).await.state(), JobState::Completed);
    assert_eq!(drawn_by(&server, &shared).await, BOTH);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_that_ask_for_the_shortest_time_starve_no_other() {
    let server = Server::start(two(steps_of_ms(3))).await;
    let mut jobs = Vec::new();
    for index in 0..40 {
        let placement = if index % 2 == 0 { Placement::Latency } else { Placement::Throughput };
        jobs.push(create(&server, request(4), asking(placement)).await);
    }
    for job_id in &jobs {
        assert_eq!(ended(&server, job_id).await.state(), JobState::Completed);
    }
    // While jobs wait, each device draws its own.
    let counts: Vec<u64> = devices(&server).await.iter().map(|device| device.jobs).collect();
    assert_eq!(counts.iter().sum::<u64>(), 40);
    assert!(counts.iter().all(|count| *count >= 12), "{counts:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_would_miss_its_deadline_gets_a_second_device() {
    let server = Server::start(two(steps_of_ms(30))).await;
    // The times of the model are learnt on one device.
    for _ in 0..3 {
        let job_id = create(&server, request(20), asking(Placement::Throughput)).await;
        assert_eq!(ended(&server, &job_id).await.state(), JobState::Completed);
    }
    let within = |millis: i64| JobOptions {
        timeout: Some(prost_types::Duration { seconds: millis / 1000, nanos: (millis % 1000 * 1_000_000) as i32 }),
        ..JobOptions::default()
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    let late = create(&server, request(20), within(560)).await;
    ended(&server, &late).await;
    assert_eq!(drawn_by(&server, &late).await, BOTH);
    let early = create(&server, request(20), within(60_000)).await;
    assert_eq!(ended(&server, &early).await.state(), JobState::Completed);
    assert_eq!(drawn_by(&server, &early).await, "cpu:0");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_second_device_changes_no_picture() {
    for lost in [Fault::Fail, Fault::LoseDevice, Fault::Panic] {
        let assist_faults = vec![fault(1, 3, lost.clone()), fault(2, 0, lost.clone())];
        let server = Server::start(two(Script { assist_faults, ..steps_of_ms(5) })).await;
        let alone = create(&server, seeded(8), asking(Placement::Throughput)).await;
        let expected = pixels(&events(&server, &alone).await);
        // It is lost in the first two, and assists again in the third.
        for round in 1..=3 {
            assert_eq!(pixels_of_two(&server, &seeded(8)).await, expected, "{lost:?}, {round}");
        }
        let losses = if lost == Fault::Fail { 0 } else { 2 };
        let now = until_devices(&server, |devices| devices[1].losses == losses).await;
        assert_eq!(now[0].losses, 0, "{lost:?}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_device_that_hangs_is_replaced_and_the_job_goes_on() {
    let limits = Limits { silence_max: Some(Duration::from_secs(1)), ..Limits::default() };
    let script = Script { assist_faults: vec![fault(1, 2, Fault::Hang(60_000))], ..steps_of_ms(5) };
    let server = Server::start(Config { limits, ..two(script) }).await;
    let job_id = create(&server, seeded(6), asking(Placement::Latency)).await;
    assert_eq!(ended(&server, &job_id).await.state(), JobState::Completed);
    let now = until_devices(&server, |devices| devices.iter().all(|device| !device.models.is_empty())).await;
    assert_eq!(now.iter().map(|device| device.losses).collect::<Vec<_>>(), [0, 1]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_device_that_hangs_fails_its_job_and_the_second_one_is_free() {
    let limits = Limits { silence_max: Some(Duration::from_secs(1)), ..Limits::default() };
    let script = Script { faults: vec![fault(1, 2, Fault::Hang(60_000))], ..steps_of_ms(5) };
    let server = Server::start(Config { limits, ..two(script) }).await;
    let job_id = create(&server, request(6), asking(Placement::Latency)).await;
    let failed = ended(&server, &job_id).await;
    assert_eq!(failed.error.expect("failed").code, Code::Unavailable as i32);
    let now = until_devices(&server, |devices| {
        devices.iter().all(|device| device.job_id.is_empty() && !device.models.is_empty())
    })
    .await;
    assert_eq!(now.iter().map(|device| device.losses).collect::<Vec<_>>(), [1, 0]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_job_is_cancelled_and_a_device_that_assists_is_drained() {
    let server = Server::start(two(steps_of_ms(40))).await;
    let job_id = create(&server, request(ENDLESS), asking(Placement::Latency)).await;
    until_devices(&server, |devices| devices.iter().all(|device| device.job_id == job_id)).await;
    let mut system = system(&server);
    let draining = tokio::spawn(async move { system.drain_device(DrainDeviceRequest { name: "cpu:1".into() }).await });
    until_devices(&server, |devices| devices[1].state() == DeviceState::Draining).await;
    server.jobs().cancel_job(CancelJobRequest { job_id: job_id.clone() }).await.expect("there");
    assert_eq!(ended(&server, &job_id).await.state(), JobState::Cancelled);
    draining.await.expect("no panic").expect("drained");
    let now = devices(&server).await;
    assert_eq!((now[0].state(), now[1].state()), (DeviceState::Serving, DeviceState::Drained));
    let alone = create(&server, request(2), asking(Placement::Latency)).await;
    assert_eq!(ended(&server, &alone).await.state(), JobState::Completed);
    assert_eq!(drawn_by(&server, &alone).await, "cpu:0");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn estimates_count_a_second_device_and_learn_from_one_alone() {
    let server = Server::start(two(steps_of_ms(20))).await;
    for placement in [Placement::Throughput, Placement::Throughput, Placement::Latency, Placement::Latency] {
        // A second device that is still busy would leave the job to the first one, which learns from it.
        until_devices(&server, |devices| {
            devices.iter().all(|device| device.job_id.is_empty() && !device.models.is_empty())
        })
        .await;
        let job_id = create(&server, request(20), asking(placement)).await;
        assert_eq!(ended(&server, &job_id).await.state(), JobState::Completed);
    }
    let mut expected = Vec::new();
    for placement in [Placement::Throughput, Placement::Latency] {
        let call = EstimateRequest { request: Some(request(20)), options: Some(asking(placement)) };
        let estimate = server.generation().estimate(call).await.expect("an estimate").into_inner().estimate;
        let estimate = estimate.expect("an estimate");
        assert_eq!(estimate.learned_jobs, 2);
        let time = estimate.time.and_then(|time| time.expected).expect("a time");
        expected.push(time.seconds as f64 + f64::from(time.nanos) * 1e-9);
    }
    assert!((0.45..0.75).contains(&(expected[1] / expected[0])), "{expected:?}");
    server.stop().await;
}
