//! Several devices behind one queue, with eight scripted engines.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::{
    CancelJobRequest, CancelReason, CreateJobRequest, GenerateEvent, GenerateRequest, JobOptions, JobState,
};
use sakuga_proto::system::v1::{
    Device, DeviceState, DisableDeviceRequest, DrainDeviceRequest, EnableDeviceRequest, WatchGpuStatsRequest,
};
use sakuga_server::Config;
use sakuga_server::config::Limits;
use sakuga_server::engine::scripted::{Fault, Script};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

use crate::support::{
    PATIENCE, Server, devices, ended, expect_event, fault, files, job, on, quick, request, rest, run, scripted,
    steps_of_ms, system, until, until_devices,
};

/// The most steps of a job: longer than a test, at 100 ms a step.
const ENDLESS: u32 = 200;

/// A configuration of eight devices.
fn eight(script: Script) -> Config {
    on(8, script)
}

fn names(devices: usize) -> Vec<String> {
    (0..devices).map(|place| format!("cpu:{place}")).collect()
}

async fn create(server: &Server, request: GenerateRequest, options: Option<JobOptions>) -> Result<String, Status> {
    let call = CreateJobRequest { request: Some(request), options };
    Ok(server.jobs().create_job(call).await?.into_inner().job.expect("a job").job_id)
}

/// The first word of a device's full name.
fn short(full_name: &str) -> &str {
    full_name.split(' ').next().unwrap_or_default()
}

fn started_on(events: &[GenerateEvent]) -> String {
    let started = events.iter().filter_map(|event| match &event.event {
        Some(Event::Started(started)) => Some(short(&started.device).to_owned()),
        _ => None,
    });
    let devices: Vec<String> = started.collect();
    assert_eq!(devices.len(), 1, "a job has one device");
    devices.into_iter().next().expect("one")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_job_is_drawn_by_one_device_which_its_record_and_its_picture_name() {
    let server = Server::start(eight(steps_of_ms(2))).await;
    let mut streams = Vec::new();
    for seed in 0..48 {
        let request = GenerateRequest { seed: Some(seed), ..request(3) };
        streams.push(server.generation().generate(request).await.expect("accepted").into_inner());
    }
    let mut drawn = BTreeMap::<String, u64>::new();
    for stream in &mut streams {
        let events = rest(stream).await;
        let completed = expect_event!(events.last().expect("events"), Completed);
        let device = started_on(&events);
        let recorded = job(&server, &events[0].job_id).await.device;
        assert_eq!(short(&recorded), device);
        let metadata = completed.images[0].metadata.as_ref().expect("metadata");
        assert_eq!(metadata.device, recorded);
        let file = files(&events).remove(0);
        // The record for programs and the description for people.
        assert_eq!(String::from_utf8_lossy(&file).matches(&recorded).count(), 2);
        *drawn.entry(device).or_default() += 1;
    }
    let devices = devices(&server).await;
    assert_eq!(devices.iter().map(|device| device.name.clone()).collect::<Vec<_>>(), names(8));
    assert_eq!(devices.iter().map(|device| device.jobs).sum::<u64>(), 48);
    for device in devices {
        assert_eq!(device.jobs, drawn.get(&device.name).copied().unwrap_or(0), "{}", device.name);
        assert_eq!((device.state(), device.losses, device.models), (DeviceState::Serving, 0, vec!["scripted".into()]));
    }
    server.stop().await;
}

/// Fills all devices with jobs that go on, and returns the jobs.
async fn fill(server: &Server, count: usize) -> Vec<String> {
    let mut jobs = Vec::new();
    for _ in 0..count {
        jobs.push(create(server, request(ENDLESS), None).await.expect("accepted"));
    }
    let now = until_devices(server, |devices| devices.iter().all(|device| !device.job_id.is_empty())).await;
    let running: BTreeSet<&String> = now.iter().map(|device| &device.job_id).collect();
    assert_eq!(running, jobs.iter().collect(), "each device has another job");
    jobs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_run_at_once_and_are_cancelled_on_every_device() {
    let server = Server::start(eight(steps_of_ms(100))).await;
    let jobs = fill(&server, 8).await;
    let waiting = create(&server, request(1), None).await.expect("accepted");
    let seen = job(&server, &waiting).await;
    assert_eq!((seen.state(), seen.queue_position, seen.device.as_str()), (JobState::Queued, Some(8), ""));
    for job_id in &jobs[1..] {
        server.jobs().cancel_job(CancelJobRequest { job_id: job_id.clone() }).await.expect("there");
        assert_eq!(ended(&server, job_id).await.state(), JobState::Cancelled);
    }
    assert_eq!(ended(&server, &waiting).await.state(), JobState::Completed, "a device was free for it");
    assert_eq!(job(&server, &jobs[0]).await.state(), JobState::Running, "the others are not touched");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadlines_hold_on_every_device() {
    // Each job takes longer than its deadline allows, which no measured time predicts.
    let faults = (1..=8).map(|job| fault(job, 1, Fault::Hang(1500))).collect();
    let server = Server::start(eight(Script { faults, ..quick() })).await;
    let timeout = prost_types::Duration { seconds: 0, nanos: 700_000_000 };
    let options = JobOptions { timeout: Some(timeout), ..JobOptions::default() };
    let mut jobs = Vec::new();
    for _ in 0..8 {
        jobs.push(create(&server, request(3), Some(options)).await.expect("accepted"));
    }
    for job_id in jobs {
        let job = ended(&server, &job_id).await;
        assert_eq!(job.cancelled.expect("cancelled").reason(), CancelReason::Deadline);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watchdog_replaces_one_of_eight_without_touching_the_rest() {
    let limits = Limits { silence_max: Some(Duration::from_secs(2)), ..Limits::default() };
    let script = Script { faults: vec![fault(1, 2, Fault::Hang(60_000))], ..steps_of_ms(15) };
    let server = Server::start(Config { limits, ..eight(script) }).await;
    let mut hanging = server.generation().generate(request(5)).await.expect("accepted").into_inner();
    let lost = started_on(&[until(&mut hanging, "started").await]);
    until(&mut hanging, "step").await;
    // They begin before the engine is replaced, and go on over that time.
    let mut others = Vec::new();
    for _ in 0..7 {
        others.push(server.generation().generate(request(200)).await.expect("accepted").into_inner());
    }
    let events = rest(&mut hanging).await;
    let status = expect_event!(events.last().expect("events"), Failed);
    assert_eq!(status.code, Code::Unavailable as i32);
    for stream in &mut others {
        let events = rest(stream).await;
        expect_event!(events.last().expect("events"), Completed);
        assert_ne!(started_on(&events), lost);
    }
    let devices = until_devices(&server, |devices| devices.iter().all(|device| !device.models.is_empty())).await;
    for device in &devices {
        assert_eq!(device.losses, u64::from(device.name == lost), "{device:?}");
        assert_eq!(device.state(), DeviceState::Serving);
    }
    // The device that was replaced draws again.
    for name in names(8).into_iter().filter(|name| *name != lost) {
        drain(&server, &name).await.expect("drained");
    }
    assert_eq!(started_on(&run(&server, request(1)).await), lost);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_device_is_opened_again_while_the_others_draw() {
    // The first attempt after the loss fails; the next one would be 10 s later.
    let script = Script { faults: vec![fault(3, 1, Fault::LoseDevice)], failing_openings: vec![9], ..steps_of_ms(10) };
    let server = Server::start(eight(script)).await;
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(server.generation().generate(request(20)).await.expect("accepted").into_inner());
    }
    let mut failed = Vec::new();
    for stream in &mut streams {
        let events = rest(stream).await;
        match &events.last().expect("events").event {
            Some(Event::Failed(status)) => failed.push((status.code, started_on(&events))),
            other => assert!(matches!(other, Some(Event::Completed(_))), "{other:?}"),
        }
    }
    let [(code, lost)] = failed.as_slice() else { panic!("{failed:?}") };
    assert_eq!(*code, Code::Unavailable as i32);
    let now = until_devices(&server, |devices| devices.iter().any(|device| device.state() == DeviceState::Lost)).await;
    let device = now.iter().find(|device| device.name == *lost).expect("known");
    assert!(device.state() == DeviceState::Lost && device.failure.contains("the script fails opening"), "{device:?}");
    assert_eq!(now.iter().filter(|device| device.state() == DeviceState::Serving).count(), 7);
    assert_ne!(started_on(&run(&server, request(1)).await), *lost, "jobs are accepted meanwhile");
    // A call ends the attempts, and another one opens the device at once.
    let disabled = disable(&server, lost).await.expect("disabled");
    assert_eq!((disabled.state(), disabled.models.len()), (DeviceState::Disabled, 0));
    let enabled = enable(&server, lost).await.expect("enabled");
    assert_eq!((enabled.state(), enabled.models.len(), enabled.losses), (DeviceState::Serving, 1, 1));
    server.stop().await;
}

async fn drain(server: &Server, name: &str) -> Result<Device, Status> {
    let call = DrainDeviceRequest { name: name.into() };
    Ok(system(server).drain_device(call).await?.into_inner().device.expect("a device"))
}

async fn disable(server: &Server, name: &str) -> Result<Device, Status> {
    let call = DisableDeviceRequest { name: name.into() };
    Ok(system(server).disable_device(call).await?.into_inner().device.expect("a device"))
}

async fn enable(server: &Server, name: &str) -> Result<Device, Status> {
    let call = EnableDeviceRequest { name: name.into() };
    Ok(system(server).enable_device(call).await?.into_inner().device.expect("a device"))
}

/// Waits until the health service says so.
async fn until_healthy(server: &Server, service: &str, is_serving: bool) {
    let expected = if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    let mut health = HealthClient::new(server.channel.clone());
    let wait = async {
        loop {
            let call = HealthCheckRequest { service: service.into() };
            if health.check(call).await.expect("known").into_inner().status() == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_take_a_device_out_of_service_and_put_it_back() {
    let server = Server::start(on(2, steps_of_ms(20))).await;
    let drained = drain(&server, "cpu:0").await.expect("drained");
    assert_eq!((drained.state(), drained.models.len()), (DeviceState::Drained, 1));
    for _ in 0..4 {
        assert_eq!(started_on(&run(&server, request(1)).await), "cpu:1");
    }
    until_healthy(&server, "device/cpu:0", false).await;
    until_healthy(&server, "device/cpu:1", true).await;
    until_healthy(&server, "sakuga.generation.v1.GenerationService", true).await;
    // A running job is finished first.
    let mut running = server.generation().generate(request(10)).await.expect("accepted").into_inner();
    until(&mut running, "step").await;
    let disabled = disable(&server, "cpu:1").await.expect("disabled");
    assert_eq!((disabled.state(), disabled.models.len(), disabled.job_id.as_str()), (DeviceState::Disabled, 0, ""));
    expect_event!(rest(&mut running).await.last().expect("events"), Completed);
    // Without a device there are no new jobs, and the error says how each device is.
    let refused = create(&server, request(1), None).await.expect_err("no device");
    assert_eq!(refused.get_details_error_info().expect("ErrorInfo").reason, "ENGINE_UNAVAILABLE");
    assert!(refused.message().contains("cpu:0") && refused.message().contains("out of service"), "{refused}");
    let enabled = enable(&server, "cpu:1").await.expect("enabled");
    assert_eq!((enabled.state(), enabled.models), (DeviceState::Serving, vec!["scripted".to_owned()]));
    assert_eq!(started_on(&run(&server, request(1)).await), "cpu:1");
    assert_eq!(enable(&server, "cpu:0").await.expect("enabled").state(), DeviceState::Serving);
    let unknown = drain(&server, "cuda:7").await.expect_err("not there");
    let info = unknown.get_details_error_info().expect("ErrorInfo");
    assert_eq!((unknown.code(), info.reason.as_str()), (Code::NotFound, "DEVICE_NOT_FOUND"));
    assert_eq!(info.metadata["devices"], "cpu:0,cpu:1");
    assert_eq!(drain(&server, "").await.expect_err("no name").code(), Code::InvalidArgument);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_that_wait_for_a_drained_device_are_drawn_by_the_next_that_is_enabled() {
    let server = Server::start(on(2, steps_of_ms(100))).await;
    let running = fill(&server, 2).await;
    let waiting = create(&server, request(1), None).await.expect("accepted");
    // Both are taken out of service, which the running jobs hold up.
    let calls = ["cpu:0", "cpu:1"].map(|name| {
        let mut system = system(&server);
        tokio::spawn(async move { system.drain_device(DrainDeviceRequest { name: name.into() }).await })
    });
    until_devices(&server, |devices| devices.iter().all(|device| device.state() == DeviceState::Draining)).await;
    for job_id in running {
        server.jobs().cancel_job(CancelJobRequest { job_id }).await.expect("there");
    }
    for call in calls {
        let device = call.await.expect("no panic").expect("drained").into_inner().device.expect("a device");
        assert_eq!(device.state(), DeviceState::Drained);
    }
    let seen = job(&server, &waiting).await;
    assert_eq!((seen.state(), seen.queue_position), (JobState::Queued, Some(1)), "no device is free for it");
    enable(&server, "cpu:1").await.expect("enabled");
    let done = ended(&server, &waiting).await;
    assert_eq!((done.state(), short(&done.device)), (JobState::Completed, "cpu:1"));
    server.stop().await;
}

/// A call that enables a device while another one still disables it, and one whose caller does not wait for its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_is_enabled_before_it_is_disabled_has_its_models_again() {
    let server = Server::start(on(2, steps_of_ms(100))).await;
    let running = fill(&server, 2).await;
    let [waits, leaves] = ["cpu:0", "cpu:1"].map(|name| {
        let (mut disabling, mut enabling) = (system(&server), system(&server));
        let disabled =
            tokio::spawn(async move { disabling.disable_device(DisableDeviceRequest { name: name.into() }).await });
        let enable = async move || enabling.enable_device(EnableDeviceRequest { name: name.into() }).await;
        (disabled, enable)
    });
    until_devices(&server, |devices| devices.iter().all(|device| device.state() == DeviceState::Draining)).await;
    let ((first, enable_first), (second, mut enable_second)) = (waits, leaves);
    let mut enable_first = enable_first;
    let enabled = tokio::spawn(async move { enable_first().await });
    let abandoned = tokio::spawn(async move { enable_second().await });
    until_devices(&server, |devices| devices.iter().all(|device| device.state() == DeviceState::Serving)).await;
    abandoned.abort();
    assert!(abandoned.await.expect_err("it waits for the job").is_cancelled());
    for job_id in running {
        server.jobs().cancel_job(CancelJobRequest { job_id }).await.expect("there");
    }
    for disabled in [first, second] {
        disabled.await.expect("no panic").expect("the models were taken off");
    }
    let device = enabled.await.expect("no panic").expect("enabled").into_inner().device.expect("a device");
    assert_eq!((device.state(), device.models.len()), (DeviceState::Serving, 1));
    let is_whole = |device: &Device| device.state() == DeviceState::Serving && device.models.len() == 1;
    until_devices(&server, |devices| devices.iter().all(is_whole)).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_have_names_of_their_own_whatever_the_engine_calls_them() {
    let mut config = scripted(quick());
    config.models.devices = "cuda:0,cuda:1,cpu".parse().expect("a list of devices");
    let server = Server::start(config).await;
    let names: Vec<String> = devices(&server).await.into_iter().map(|device| device.name).collect();
    assert_eq!(names, ["cuda:0", "cuda:1", "cpu"]);
    assert_eq!(drain(&server, "cuda:1").await.expect("there").name, "cuda:1");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_come_from_every_device_with_its_name() {
    let server = Server::start(on(3, quick())).await;
    let watch = WatchGpuStatsRequest { interval_ms: 100, all_devices: true };
    let mut samples = system(&server).watch_gpu_stats(watch).await.expect("samples").into_inner();
    for name in names(3) {
        let message = tokio::time::timeout(PATIENCE, samples.message()).await.expect("in time").expect("no break");
        assert_eq!(message.expect("no end").stats.expect("a sample").device, name);
    }
    // A client that knows of one device gets that of one.
    let watch = WatchGpuStatsRequest { interval_ms: 100, all_devices: false };
    let mut samples = system(&server).watch_gpu_stats(watch).await.expect("samples").into_inner();
    for _ in 0..2 {
        let message = tokio::time::timeout(PATIENCE, samples.message()).await.expect("in time").expect("no break");
        assert_eq!(message.expect("no end").stats.expect("a sample").device, "cpu:0");
    }
    server.stop().await;
}
