//! What callers learn of the devices that jobs of others have.

use sakuga_proto::generation::v1::{CancelJobRequest, GenerateRequest, GetJobTelemetryRequest, Sampling};
use sakuga_proto::system::v1::system_service_client::SystemServiceClient;
use sakuga_proto::system::v1::{ListDevicesRequest, WatchActivityRequest};

use crate::owners::{Caller, Who, drawing, of, with_callers_of};
use crate::support::{PATIENCE, eventually};

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
