//! The log of events: order, compare-and-set, lost answers, readers over lost servers.

use std::time::Duration;

use sakuga_fleet::{Attempt, Begun, Fleet, FleetError, Role, Settings, Tail};
use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::{Completed, GenerateEvent, Started, Step};

use crate::proxy::Proxy;
use crate::servers::Servers;
use crate::story::{accepted, create, name, names};

fn event(job: &str, sequence: u64, event: Event) -> GenerateEvent {
    GenerateEvent { sequence, job_id: job.to_owned(), event: Some(event), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_one_job_have_no_hole() {
    let Some(servers) = Servers::one() else { return };
    let fleet = servers.fleet(Role::Gateway).await;
    let mut tails = ["a", "b", "c"].map(Tail::before_first);
    for tail in &mut tails {
        fleet.log.append(tail, &accepted(&tail.job.clone())).await.expect("stored");
    }
    for step in 0..30 {
        // A preview between two steps takes a number, and is not stored.
        let tail = &mut tails[step % 3];
        let next = event(&tail.job, tail.next_sequence() + 1, Event::Step(Step::default()));
        fleet.log.append(tail, &next).await.expect("stored");
    }
    for tail in &tails {
        let events = fleet.log.read(&tail.job).await.expect("events");
        let numbers: Vec<u64> = events.iter().map(|stored| stored.event.sequence).collect();
        assert_eq!(numbers, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20]);
        assert!(events.iter().all(|stored| stored.event.job_id == tail.job));
        assert_eq!(events.last().map(|stored| &stored.tail), Some(tail));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_of_a_job_the_later_one_fails() {
    let Some(servers) = Servers::one() else { return };
    let fleet = servers.fleet(Role::Gateway).await;
    create(&fleet, "job", "").await.expect("accepted");
    let tail = fleet.log.tail("job").await.expect("an answer").expect("a tail");
    let (mut first, mut second) = (tail.clone(), tail);
    fleet.log.append(&mut first, &event("job", 1, Event::Started(Started::default()))).await.expect("stored");
    let late = fleet.log.append(&mut second, &event("job", 1, Event::Started(Started::default()))).await;
    assert_eq!(late, Err(FleetError::Superseded { job: "job".into(), attempt: 1 }));
    let used = fleet.log.append(&mut first, &event("job", 1, Event::Step(Step::default()))).await;
    assert!(matches!(used, Err(FleetError::Damaged(_))), "a number is not used twice: {used:?}");
    fleet.log.append(&mut first, &event("job", 2, Event::Completed(Completed::default()))).await.expect("stored");
    let after = fleet.log.append(&mut first, &event("job", 3, Event::Step(Step::default()))).await;
    assert!(matches!(after, Err(FleetError::Superseded { .. })), "nothing follows the terminal event: {after:?}");
    assert_eq!(names(&fleet, "job").await, ["accepted", "started", "completed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_no_second_event() {
    let Some(servers) = Servers::one() else { return };
    let direct = servers.fleet(Role::Gateway).await;
    let proxy = Proxy::to(servers.address()).await;
    let settings = Settings { servers: vec![proxy.url()], ..servers.settings() };
    let fleet = Fleet::open(&settings, Role::Gateway).await.expect("a connection");
    create(&fleet, "job", "").await.expect("accepted");
    let mut tail = fleet.log.tail("job").await.expect("an answer").expect("a tail");
    proxy.lose_next_answer();
    fleet.log.append(&mut tail, &event("job", 1, Event::Started(Started::default()))).await.expect("stored once");
    fleet.log.append(&mut tail, &event("job", 2, Event::Completed(Completed::default()))).await.expect("stored");
    assert_eq!(names(&direct, "job").await, ["accepted", "started", "completed"]);
    assert!(fleet.control().faults().reconnects() >= 1, "the connection was lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_gets_each_event_once_and_ends_with_the_terminal_one() {
    let Some(servers) = Servers::one() else { return };
    let fleet = servers.fleet(Role::Gateway).await;
    create(&fleet, "job", "").await.expect("accepted");
    let mut follower = fleet.log.follow("job");
    let reading = tokio::spawn(async move {
        let mut read = Vec::new();
        while let Some(stored) = follower.next().await.expect("an event") {
            read.push(stored.event.sequence);
        }
        read
    });
    let begun = Attempt::begin(&fleet.log, "job", (1, 1), 3).await.expect("begun");
    let Begun::Attempt(mut attempt) = begun else { panic!("{begun:?}") };
    attempt.publish(Event::Started(Started::default())).await.expect("stored");
    assert_eq!(attempt.number_lossy(), Some(2), "a preview takes a number");
    attempt.publish(Event::Step(Step::default())).await.expect("stored");
    tokio::time::sleep(Duration::from_millis(200)).await;
    attempt.publish(Event::Completed(Completed::default())).await.expect("stored");
    assert_eq!(reading.await.expect("no panic"), [0, 1, 3, 4]);
    assert_eq!(fleet.log.read("unknown").await, Ok(Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_readers_are_no_limit_and_leave_nothing() {
    let Some(servers) = Servers::one() else { return };
    let fleet = servers.fleet(Role::Gateway).await;
    create(&fleet, "job", "").await.expect("accepted");
    let mut followers = Vec::new();
    for _ in 0..1050 {
        let mut follower = fleet.log.follow("job");
        assert!(follower.next().await.expect("an answer").is_some());
        followers.push(follower);
    }
    let client = async_nats::connect(servers.address()).await.expect("a connection");
    let stream = async_nats::jetstream::new(client).get_stream_no_info("sakuga-events").await.expect("the stream");
    let consumers = async || stream.get_info().await.expect("an answer").state.consumer_count;
    assert_eq!(consumers().await, 1050);
    drop(followers);
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while consumers().await > 0 {
        assert!(std::time::Instant::now() < until, "those of readers that have gone are removed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_uses_no_number_of_the_one_before() {
    let Some(servers) = Servers::one() else { return };
    let fleet = servers.fleet(Role::Gateway).await;
    create(&fleet, "job", "").await.expect("accepted");
    let begun = Attempt::begin(&fleet.log, "job", (1, 1), 3).await.expect("begun");
    let Begun::Attempt(mut first) = begun else { panic!("{begun:?}") };
    first.publish(Event::Started(Started::default())).await.expect("stored");
    let mut highest = 0;
    for _ in 0..2000 {
        highest = first.number_lossy().unwrap_or(highest);
    }
    let begun = Attempt::begin(&fleet.log, "job", (1, 2), 3).await.expect("begun");
    let Begun::Attempt(mut second) = begun else { panic!("{begun:?}") };
    let started = second.publish(Event::Started(Started::default())).await.expect("stored");
    assert_eq!(second.number(), 2);
    let requeued = fleet.log.read("job").await.expect("events")[2].event.sequence;
    assert!(highest < requeued && requeued < started.sequence, "{highest}, {requeued}, {}", started.sequence);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_goes_on_when_a_server_is_killed() {
    let Some(mut servers) = Servers::three() else { return };
    let fleet = servers.fleet(Role::Gateway).await;
    create(&fleet, "job", "").await.expect("accepted");
    let mut readers = Vec::new();
    for _ in 0..3 {
        // Their connections and consumers are on different servers.
        let reader = Fleet::open(&servers.settings(), Role::Gateway).await.expect("a connection");
        readers.push(tokio::spawn(async move {
            let mut follower = reader.log.follow("job");
            let mut read = Vec::new();
            loop {
                match follower.next().await {
                    Ok(Some(stored)) => read.push((stored.event.sequence, name(&stored.event))),
                    Ok(None) => break read,
                    Err(FleetError::Nats { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }));
    }
    let begun = Attempt::begin(&fleet.log, "job", (1, 1), 3).await.expect("begun");
    let Begun::Attempt(mut attempt) = begun else { panic!("{begun:?}") };
    let mut expected = vec![(0, "accepted")];
    attempt.publish(Event::Started(Started::default())).await.expect("stored");
    expected.push((1, "started"));
    for server in 0..3 {
        servers.kill(server);
        for _ in 0..3 {
            let event = persistent(&mut attempt, &Event::Step(Step::default())).await;
            expected.push((event, "step"));
        }
        servers.restart(server);
        // The others have to follow before the next one is killed.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let event = persistent(&mut attempt, &Event::Completed(Completed::default())).await;
    expected.push((event, "completed"));
    for reader in readers {
        let read = tokio::time::timeout(Duration::from_secs(30), reader).await.expect("in time").expect("no panic");
        assert_eq!(read, expected);
    }
}

/// Appends an event over the time in which a cluster elects its leaders. Returns its number.
async fn persistent(attempt: &mut Attempt, event: &Event) -> u64 {
    for _ in 0..10 {
        match attempt.publish(event.clone()).await {
            Ok(event) => return event.sequence,
            Err(FleetError::Nats { .. }) => tokio::time::sleep(Duration::from_millis(500)).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the cluster does not recover");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_gateway_finds_what_was_acknowledged() {
    let Some(servers) = Servers::three() else { return };
    let first = servers.fleet(Role::Gateway).await;
    let second = Fleet::open(&servers.settings(), Role::Gateway).await.expect("a connection");
    let third = Fleet::open(&servers.settings(), Role::Gateway).await.expect("a connection");
    for number in 0..40 {
        let job = format!("job-{number}");
        create(&first, &job, &job).await.expect("accepted");
        for gateway in [&second, &third] {
            assert!(gateway.records.get(&job).await.expect("an answer").is_some(), "{job}");
            assert!(gateway.log.tail(&job).await.expect("an answer").is_some(), "{job}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_job_leaves_neither_events_nor_a_record() {
    let Some(servers) = Servers::one() else { return };
    let fleet = servers.fleet(Role::Gateway).await;
    for job in ["gone", "kept"] {
        create(&fleet, job, job).await.expect("accepted");
    }
    fleet.log.delete("gone").await.expect("deleted");
    fleet.records.delete("gone").await.expect("deleted");
    fleet.claims.release(b"gone").await.expect("deleted");
    assert_eq!((fleet.log.tail("gone").await, fleet.records.get("gone").await), (Ok(None), Ok(None)));
    assert_eq!(names(&fleet, "kept").await, ["accepted"]);
    assert!(matches!(Attempt::begin(&fleet.log, "gone", (1, 1), 3).await, Ok(Begun::Ended)));
    let client = async_nats::connect(servers.address()).await.expect("a connection");
    let records = async_nats::jetstream::new(client).get_stream_no_info("KV_sakuga-records").await.expect("the stream");
    let mark = records.get_last_raw_message_by_subject("$KV.sakuga-records.gone").await.expect("a mark");
    assert_eq!(mark.headers.get("Nats-TTL").map(|time| time.as_str()), Some("3600"), "and the mark expires");
    assert_eq!(create(&fleet, "again", "gone").await.as_deref(), Ok("again"), "its request_id is free");
}
