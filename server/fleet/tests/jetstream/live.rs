//! Previews, announcements and cancellation.

use std::time::{Duration, Instant};

use sakuga_fleet::{
    AnnouncedDevice, Announcement, Asked, Attempt, Begun, Fleet, FleetError, LIVE_BYTES_MAX, Presence, Role,
};
use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::{Completed, GenerateEvent, Preview, Started, Step};

use crate::servers::Servers;
use crate::story::{create, names};

fn preview(job: &str, sequence: u64, bytes: usize) -> GenerateEvent {
    let preview = Preview { image_index: 1, data: vec![7; bytes].into(), ..Preview::default() };
    GenerateEvent { sequence, job_id: job.into(), event: Some(Event::Preview(preview)), ..GenerateEvent::default() }
}

/// Waits until the server has handled what a client sent before, such as its subscriptions: `flush` only writes to the socket.
async fn round_trip(client: &async_nats::Client) {
    let error = client.request("nobody.answers", bytes::Bytes::new()).await.expect_err("nobody answers");
    assert_eq!(error.kind(), async_nats::client::RequestErrorKind::NoResponders);
}

#[tokio::test(flavor = "multi_thread")]
async fn previews_reach_readers_and_the_last_one_is_kept() {
    let Some(servers) = Servers::one() else { return };
    let worker = servers.fleet(Role::Worker).await;
    let gateway = Fleet::open(&servers.settings(), Role::Gateway).await.expect("a connection");
    let mut reader = gateway.live.subscribe("job").await.expect("a reader");
    round_trip(gateway.lossy().client()).await;
    assert_eq!(gateway.live.last("job", 1).await, Ok(None));
    for sequence in [3, 5] {
        worker.live.publish(&preview("job", sequence, 1000)).await.expect("sent");
    }
    worker.live.publish(&preview("other", 9, 10)).await.expect("sent");
    for sequence in [3, 5] {
        assert_eq!(reader.next().await.map(|event| event.sequence), Some(sequence));
    }
    let kept = gateway.live.last("job", 1).await.expect("an answer").expect("kept");
    assert_eq!(kept, preview("job", 5, 1000));
    let refused = worker.live.publish(&preview("job", 7, LIVE_BYTES_MAX + 1)).await;
    assert!(matches!(refused, Err(FleetError::TooLarge { limit: LIVE_BYTES_MAX, .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_of_previews_loses_nothing_else() {
    let Some(servers) = Servers::one() else { return };
    let worker = servers.fleet(Role::Worker).await;
    let gateway = Fleet::open(&servers.settings(), Role::Gateway).await.expect("a connection");
    create(&gateway, "job", "").await.expect("accepted");
    let mut slow = gateway.live.subscribe("job").await.expect("a reader");
    round_trip(gateway.lossy().client()).await;
    let begun = Attempt::begin(&worker.log, "job", (1, 1), 3).await.expect("begun");
    let Begun::Attempt(mut attempt) = begun else { panic!("{begun:?}") };
    attempt.publish(Event::Started(Started::default())).await.expect("stored");
    let event = preview("job", 2, 16 * 1024);
    for _ in 0..3000 {
        worker.live.publish(&event).await.expect("sent");
    }
    attempt.publish(Event::Step(Step::default())).await.expect("stored");
    attempt.publish(Event::Completed(Completed::default())).await.expect("stored");
    // The flood is over for the reader when what follows it arrives.
    assert_eq!(names(&gateway, "job").await, ["accepted", "started", "step", "completed"]);
    round_trip(worker.lossy().client()).await;
    let until = Instant::now() + Duration::from_secs(10);
    while gateway.lossy().faults().dropped() == 0 {
        assert!(Instant::now() < until, "3000 previews that nobody reads do not all wait in memory");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(gateway.control().faults().dropped(), 0);
    assert_eq!(gateway.control().faults().reconnects(), 0);
    assert!(slow.next().await.is_some(), "what was buffered can still be read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_gone_seconds_after_its_last_announcement() {
    let Some(servers) = Servers::one() else { return };
    let fleet = servers.fleet(Role::Worker).await;
    let device =
        AnnouncedDevice { name: "cuda:0".into(), is_free: true, loaded: vec!["anime".into()], ..Default::default() };
    let announcement =
        |worker: &str| Announcement { worker: worker.into(), devices: vec![device.clone()], ..Default::default() };
    for worker in ["gpu.box 1", "gpu-box-2", "gpu-box-3"] {
        fleet.presence.announce(&announcement(worker)).await.expect("announced");
    }
    fleet.presence.withdraw("gpu-box-3").await.expect("withdrawn");
    let present = fleet.presence.workers().await.expect("the workers");
    assert_eq!(present, [announcement("gpu-box-2"), announcement("gpu.box 1")]);
    for _ in 0..4 {
        fleet.presence.announce(&announcement("gpu-box-2")).await.expect("announced");
        tokio::time::sleep(Presence::PERIOD).await;
    }
    assert_eq!(fleet.presence.workers().await.expect("the workers"), [announcement("gpu-box-2")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_reaches_the_worker_of_the_job_alone() {
    let Some(servers) = Servers::one() else { return };
    let worker = servers.fleet(Role::Worker).await;
    let gateway = Fleet::open(&servers.settings(), Role::Gateway).await.expect("a connection");
    assert_eq!(gateway.cancels.ask("job", "requested").await, Ok(Asked::NoWorker));
    let (mut hears, mut other) =
        (worker.cancels.hear("job").await.expect("heard"), worker.cancels.hear("other").await.expect("heard"));
    round_trip(worker.control().client()).await;
    let hearing = tokio::spawn(async move { hears.next().await });
    assert_eq!(gateway.cancels.ask("job", "requested").await, Ok(Asked::Cancelling));
    assert_eq!(hearing.await.expect("no panic"), "requested");
    assert!(tokio::time::timeout(Duration::from_millis(200), other.next()).await.is_err());
    drop(other);
}
