//! Observing a server: activity, profiles, a job's telemetry, and how its model was opened.

use std::time::Duration;

use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::{
    DeleteJobRequest, GenerateEvent, GenerateRequest, GetJobTelemetryRequest, GetJobTelemetryResponse, JobOptions,
    Profile, Stage,
};
use sakuga_proto::system::v1::system_service_client::SystemServiceClient;
use sakuga_proto::system::v1::{Activity, GetServerInfoRequest, WatchActivityRequest, WatchGpuStatsRequest};
use sakuga_server::engine::scripted::Fault;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::jobs::{create, jobs};
use crate::support::{PATIENCE, Server, expect_event, fault, names, quick, request, run, scripted, steps_of_ms};

fn profiles(events: &[GenerateEvent]) -> Vec<&Profile> {
    events
        .iter()
        .filter_map(|event| match &event.event {
            Some(Event::Profile(profile)) => Some(profile),
            _ => None,
        })
        .collect()
}

async fn telemetry(server: &Server, job_id: &str) -> Result<GetJobTelemetryResponse, Status> {
    let message = GetJobTelemetryRequest { job_id: job_id.into() };
    Ok(jobs(server).get_job_telemetry(message).await?.into_inner())
}

#[tokio::test]
async fn a_profiled_job_reports_where_its_time_went() {
    let server = Server::start(scripted(steps_of_ms(100))).await;
    let events = run(&server, GenerateRequest { profile: true, ..request(12) }).await;

    let profiles = profiles(&events);
    let stages: Vec<Stage> = profiles.iter().map(|profile| profile.stage()).collect();
    assert_eq!(stages, [Stage::TextEncode, Stage::Denoise, Stage::Decode]);
    let denoise = profiles[1];
    assert!(denoise.wall_ms >= 1200.0 && denoise.device_ms <= denoise.wall_ms, "{denoise:?}");
    let attention = denoise.spans.iter().find(|span| span.name == "attention" && span.layer == Some(1));
    let attention = attention.expect("a span of the second layer");
    assert_eq!((attention.network.as_str(), attention.count), ("denoiser", 12));
    assert!(denoise.peak_flops_per_second.is_some_and(|peak| peak > attention.flops / attention.ms * 1e3));

    let seen = telemetry(&server, &events[0].job_id).await.expect("it is kept");
    assert!(seen.samples.len() >= 8, "{} samples of 1.2 s", seen.samples.len());
    assert!(seen.samples.iter().all(|sample| sample.memory_used_bytes.is_some()));
    assert!(!seen.is_cut);
    let denoising: Vec<&Activity> = seen.activity.iter().filter(|activity| activity.stage == "denoise").collect();
    assert!(!denoising.is_empty(), "{:?}", seen.activity);
    for activity in denoising {
        assert_eq!((activity.job_id.as_str(), activity.steps), (events[0].job_id.as_str(), 12));
        let scratch = activity.pools.iter().find(|pool| pool.name == "scratch").expect("the script's pool");
        assert_eq!(scratch.used_bytes, 64 * 64 * 6, "a job of 64 by 64 pixels");
        assert!(activity.processes.iter().any(|process| process.is_server && process.bytes > 0));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_profile_changes_no_byte_of_the_picture() {
    let server = Server::start(scripted(quick())).await;
    let mut files = Vec::new();
    for profile in [false, true] {
        let events = run(&server, GenerateRequest { profile, seed: Some(5), ..request(2) }).await;
        let has_profile = names(&events).contains(&"profile");
        assert_eq!(has_profile, profile);
        let started = events.iter().find(|event| matches!(event.event, Some(Event::Started(_)))).expect("started");
        let resolved = expect_event!(started, Started).resolved.as_ref().expect("resolved");
        assert_eq!(resolved.profile, profile, "a job that is drawn again after a restart is measured, too");
        let image = &expect_event!(events.last().expect("an end"), Completed).images[0];
        assert!(!image.metadata.as_ref().expect("a record").request.as_ref().expect("a request").profile);
        files.push(image.sha256.clone());
    }
    assert_eq!(files[0], files[1]);
    server.stop().await;
}

#[tokio::test]
async fn telemetry_goes_with_its_job() {
    let server = Server::start(scripted(quick())).await;
    let unknown = telemetry(&server, "0198c5a2-7d3e-7c41-9a55-2f1f3f2b6a10").await.expect_err("there is none");
    assert_eq!(unknown.get_details_error_info().expect("details").reason, "JOB_NOT_FOUND");
    let first = run(&server, request(1)).await[0].job_id.clone();
    telemetry(&server, &first).await.expect("it is kept");
    // Pushed out by those that come after it.
    for _ in 0..64 {
        run(&server, request(1)).await;
    }
    let gone = telemetry(&server, &first).await.expect_err("too old");
    assert_eq!(gone.code(), Code::NotFound);
    assert_eq!(gone.get_details_error_info().expect("details").reason, "TELEMETRY_NOT_KEPT");
    let newest = run(&server, request(1)).await[0].job_id.clone();
    telemetry(&server, &newest).await.expect("the newest is kept");
    jobs(&server).delete_job(DeleteJobRequest { job_id: newest.clone() }).await.expect("it has ended");
    let deleted = telemetry(&server, &newest).await.expect_err("deleted");
    assert_eq!(deleted.get_details_error_info().expect("details").reason, "JOB_NOT_FOUND");
    server.stop().await;
}

#[tokio::test]
async fn a_job_that_waits_has_no_telemetry_yet() {
    let server = Server::start(scripted(steps_of_ms(100))).await;
    let running = create(&server, request(30), JobOptions::default()).await.expect("accepted");
    let waiting = create(&server, request(30), JobOptions::default()).await.expect("accepted");
    let seen = telemetry(&server, &waiting.job_id).await.expect("it is there");
    assert!(seen.samples.is_empty() && seen.activity.is_empty());
    assert_ne!(running.job_id, waiting.job_id);
    server.stop().await;
}

#[tokio::test]
async fn activity_tells_the_queue_the_stage_and_who_holds_the_memory() {
    let server = Server::start(scripted(steps_of_ms(50))).await;
    let mut system = SystemServiceClient::new(server.channel.clone());
    let refused = system.watch_activity(WatchActivityRequest { interval_ms: 99 }).await.expect_err("too often");
    assert_eq!(refused.code(), Code::InvalidArgument);
    let watch = system.watch_activity(WatchActivityRequest { interval_ms: 100 }).await;
    let mut watch = watch.expect("activity").into_inner();
    let mut next_activity = async || -> Activity {
        let message = tokio::time::timeout(PATIENCE, watch.message()).await.expect("in time");
        message.expect("no break").expect("no end").activity.expect("activity")
    };
    let idle = next_activity().await;
    assert_eq!((idle.job_id.as_str(), idle.stage.as_str(), idle.queued), ("", "", 0));
    assert!(idle.pools.iter().any(|pool| pool.name == "weights and tensors" && pool.used_bytes > 0));

    let first = create(&server, request(40), JobOptions::default()).await.expect("accepted");
    create(&server, request(40), JobOptions::default()).await.expect("accepted");
    let mut busy = next_activity().await;
    while busy.step < 2 || busy.queued == 0 {
        busy = next_activity().await;
    }
    assert_eq!((busy.job_id.as_str(), busy.stage.as_str()), (first.job_id.as_str(), "denoise"));
    assert_eq!((busy.queued, busy.steps), (1, 40));
    server.stop().await;
}

#[tokio::test]
async fn an_engine_that_hangs_is_not_recorded_for_ever() {
    let mut script = steps_of_ms(0);
    script.faults = vec![fault(1, 1, Fault::Hang(3000))];
    let mut config = scripted(script);
    config.limits.silence_max = Some(Duration::from_millis(300));
    let server = Server::start(config).await;
    let events = run(&server, request(3)).await;
    assert_eq!(names(&events).last(), Some(&"failed"));
    let at_the_end = telemetry(&server, &events[0].job_id).await.expect("kept").samples.len();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let later = telemetry(&server, &events[0].job_id).await.expect("kept").samples.len();
    assert!(later <= at_the_end + 1, "{at_the_end} samples at the end and {later} half a second later");
    server.stop().await;
}

#[tokio::test]
async fn the_server_tells_how_it_was_opened_and_how_it_computes() {
    let server = Server::start(scripted(quick())).await;
    let mut system = SystemServiceClient::new(server.channel.clone());
    let info = system.get_server_info(GetServerInfoRequest {}).await.expect("an answer").into_inner();
    let names: Vec<&str> = info.loading.iter().map(|phase| phase.name.as_str()).collect();
    assert_eq!(names, ["device", "text_encoder", "denoiser", "warm-up"]);
    assert!(info.loading.iter().any(|phase| phase.bytes > 0));
    let paths = info.compute_paths.iter().map(|path| (path.operation.as_str(), path.reason.is_empty()));
    assert_eq!(paths.collect::<Vec<_>>(), [("products", true), ("attention", false)]);
    server.stop().await;
}

#[tokio::test]
async fn all_devices_of_a_machine_without_a_gpu_are_the_host() {
    let server = Server::start(scripted(quick())).await;
    let mut system = SystemServiceClient::new(server.channel.clone());
    let request = WatchGpuStatsRequest { interval_ms: 100, all_devices: true };
    let mut watch = system.watch_gpu_stats(request).await.expect("samples").into_inner();
    for _ in 0..2 {
        let stats = watch.message().await.expect("a sample").expect("no end").stats.expect("figures");
        assert_eq!(stats.device_index, 0);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_profile_is_kept_for_those_who_come_late() {
    let server = Server::start(scripted(quick())).await;
    let events = run(&server, GenerateRequest { profile: true, ..request(1) }).await;
    let watched = crate::jobs::all(&server, &events[0].job_id, None).await;
    assert_eq!(profiles(&watched).len(), 3);
    server.stop().await;
}
