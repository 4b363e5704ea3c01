//! Sizes, weak streams and servers that sync late.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::stream::{Config, StorageType};
use sakuga_fleet::{Durability, Fleet, FleetError, Role, Settings, Tail, durability};
use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::{GenerateEvent, ImageChunk};

use crate::servers::{Choice, Servers};
use crate::story::{accepted, record};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_with_its_size() {
    let Some(servers) = Servers::one() else { return };
    let fleet = servers.fleet(Role::Gateway).await;
    let mut tail = Tail::before_first("job");
    fleet.log.append(&mut tail, &accepted("job")).await.expect("stored");
    let chunk = ImageChunk { data: vec![0; 1 << 20].into(), ..ImageChunk::default() };
    let event = GenerateEvent {
        sequence: 1,
        job_id: "job".into(),
        event: Some(Event::ImageChunk(chunk)),
        ..Default::default()
    };
    let refused = fleet.log.append(&mut tail, &event).await;
    let Err(FleetError::TooLarge { bytes, limit, .. }) = refused else { panic!("{refused:?}") };
    assert!(bytes > limit && limit < 1 << 20, "{bytes}, {limit}");
    let mut large = record("job");
    large.trace_parent = "x".repeat(2 << 20);
    assert!(matches!(fleet.records.create("job", &large).await, Err(FleetError::TooLarge { .. })));
    // Neither the connection nor the job suffers.
    fleet.records.create("job", &record("job")).await.expect("created");
    assert_eq!(fleet.log.tail("job").await, Ok(Some(tail)));
    assert_eq!(fleet.control().faults().reconnects(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_syncs_late_is_found() {
    let Some(servers) = Servers::one() else { return };
    assert_eq!(durability(&servers.monitor()).await, Ok(Durability::Synced));
    let lazy = Servers::start(1, &Choice { sync: Some("\"2m\""), ..Choice::default() }).expect("a server");
    let found = durability(&lazy.monitor()).await.expect("an answer");
    assert_eq!(found, Durability::Within(Duration::from_secs(120)));
    assert!(found.warning().is_some());
    assert!(durability(&servers.address()).await.is_err(), "the port of clients is not the monitoring port");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weak_stream_of_another_program_is_refused() {
    let Some(servers) = Servers::one() else { return };
    let settings = servers.settings();
    let client = async_nats::connect(servers.address()).await.expect("a connection");
    let config = Config {
        name: "sakuga-events".into(),
        subjects: vec!["sakuga.events.>".into()],
        storage: StorageType::Memory,
        ..Config::default()
    };
    jetstream::new(client).create_stream(config).await.expect("created");
    let refused = Fleet::set_up(&settings).await;
    let Err(FleetError::Layout { stream, found, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!((stream.as_str(), found.as_str()), ("sakuga-events", "storage memory"));
    let other = Settings { fleet: "another".into(), ..settings };
    Fleet::set_up(&other).await.expect("another fleet has its own streams");
    Fleet::set_up(&other).await.expect("which may exist already");
}

#[tokio::test]
async fn an_address_without_a_server_is_an_error_that_names_it() {
    let settings = Settings { servers: vec!["nats://user:secret@127.0.0.1:9".into()], ..Settings::default() };
    let error = Fleet::set_up(&settings).await.expect_err("no server").to_string();
    assert!(error.contains("nats://127.0.0.1:9") && !error.contains("secret"), "{error}");
}
