//! The information that callers get about devices with jobs of others.

use std::sync::atomic::{AtomicBool, Ordering};

use sakuga_proto::generation::v1::{CancelJobRequest, GenerateRequest, GetJobTelemetryRequest, Sampling};
use sakuga_proto::model::v1::model_service_client::ModelServiceClient;
use sakuga_proto::model::v1::{ListModelsRequest, LoadModelRequest, UnloadModelRequest};
use sakuga_proto::system::v1::system_service_client::SystemServiceClient;
use sakuga_proto::system::v1::{DrainDeviceRequest, EnableDeviceRequest, ListDevicesRequest, WatchActivityRequest};
use sakuga_server::Config;
use sakuga_server::config::TransportConfig;

use crate::metrics::get;
use crate::owners::{Caller, Who, drawing, of, with_callers_of};
use crate::server::{scripted, steps_of_ms};
use crate::support::{PATIENCE, Server, eventually};

/// With several devices each caller sees its own running jobs and the states of all devices, and no job of another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_of_each_device_name_no_job_of_others() {
    let (server, _file, callers) = with_callers_of(50, "cpu,cpu").await;
    let [alice, bob, metrics] = [Who::Alice, Who::Bob, Who::Metrics].map(|who| of(&callers, who));
    // Ten seconds.
    let slow = GenerateRequest { sampling: Some(Sampling { steps: 200, ..Sampling::default() }), ..drawing() };
    let hers = alice.create(slow.clone()).await.expect("accepted").job_id;
    let his = bob.create(slow).await.expect("accepted").job_id;
    let listed = async |caller: &Caller| {
        let call = caller.request(ListDevicesRequest {});
        let devices = SystemServiceClient::new(caller.channel.clone()).list_devices(call).await.expect("devices");
        devices.into_inner().devices
    };
    eventually("both jobs have a device", || async {
        listed(&alice).await.iter().chain(&listed(&bob).await).filter(|device| !device.job_id.is_empty()).count() == 2
    })
    .await;
    for (caller, visible) in [(&alice, Some(&hers)), (&bob, Some(&his)), (&metrics, None)] {
        let devices = listed(caller).await;
        assert_eq!(devices.iter().map(|device| device.name.as_str()).collect::<Vec<_>>(), ["cpu:0", "cpu:1"]);
        let jobs: Vec<&String> = devices.iter().map(|device| &device.job_id).filter(|job| !job.is_empty()).collect();
        assert_eq!(jobs, visible.into_iter().collect::<Vec<_>>());
        let mut system = SystemServiceClient::new(caller.channel.clone());
        let call = caller.request(WatchActivityRequest { interval_ms: 100 });
        let mut watch = system.watch_activity(call).await.expect("activity").into_inner();
        let message = tokio::time::timeout(PATIENCE, watch.message()).await.expect("in time").expect("no break");
        let activity = message.expect("no end").activity.expect("activity");
        let shown = activity.devices.iter().filter(|device| !device.job_id.is_empty() || device.steps > 0);
        assert!(shown.clone().all(|device| Some(&device.job_id) == visible), "{activity:?}");
        assert_eq!((activity.devices.len(), shown.count()), (2, usize::from(visible.is_some())));
    }
    for (caller, job_id) in [(&alice, hers), (&bob, his)] {
        let call = caller.request(GetJobTelemetryRequest { job_id: job_id.clone() });
        let telemetry = caller.jobs().get_job_telemetry(call).await.expect("kept");
        let activity = telemetry.into_inner().activity;
        assert!(activity.iter().flat_map(|seen| &seen.devices).all(|device| device.job_id == job_id), "{activity:?}");
        caller.jobs().cancel_job(caller.request(CancelJobRequest { job_id })).await.expect("their own");
    }
    server.stop().await;
}

/// Changes of devices and models send to channels under the scheduler's lock, and scrapes and lists read those channels: none waits for
/// another that waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn scrapes_and_lists_go_on_while_devices_and_models_change() {
    const CHANGES: usize = 100;
    let transport = TransportConfig { metrics_listen: Some(([127, 0, 0, 1], 0).into()), ..TransportConfig::default() };
    let mut config = scripted(steps_of_ms(1));
    config.models.devices = "cpu,cpu".parse().expect("devices");
    let server = Server::start(Config { transport, ..config }).await;
    let (page, channel) = (server.metrics.expect("metrics are served"), server.channel().await);
    let (system, models) = (SystemServiceClient::new(channel.clone()), ModelServiceClient::new(channel));
    let is_over = AtomicBool::new(false);
    let until_the_end = async || {
        while !is_over.load(Ordering::Relaxed) {
            assert!(get(page, "/metrics", "").await.starts_with("HTTP/1.1 200"));
            models.clone().list_models(ListModelsRequest::default()).await.expect("a list");
            system.clone().list_devices(ListDevicesRequest {}).await.expect("a list");
        }
    };
    let devices = async {
        let name = || "cpu:1".to_owned();
        for _ in 0..CHANGES {
            system.clone().drain_device(DrainDeviceRequest { name: name() }).await.expect("drained");
            system.clone().enable_device(EnableDeviceRequest { name: name() }).await.expect("enabled");
        }
    };
    let loads = async {
        let name = || "scripted".to_owned();
        for _ in 0..CHANGES {
            models.clone().unload_model(UnloadModelRequest { name: name() }).await.expect("unloaded");
            models.clone().load_model(LoadModelRequest { name: name() }).await.expect("loaded");
        }
    };
    let changes = async {
        tokio::join!(devices, loads);
        is_over.store(true, Ordering::Relaxed);
    };
    let all = async { tokio::join!(changes, until_the_end(), until_the_end()) };
    tokio::time::timeout(3 * PATIENCE, all).await.expect("no call waits for another for ever");
    server.stop().await;
}
