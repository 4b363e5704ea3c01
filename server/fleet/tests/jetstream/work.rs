//! The work queue: long jobs, late workers, hoarding, duplicates and dead letters.

use std::time::Duration;

use sakuga_fleet::{Attempt, Begun, Fleet, FleetError, Role, Settings};
use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::{Completed, Started, Step};

use crate::servers::Servers;
use crate::story::{ATTEMPTS_MAX, create, item, names, work};

/// A wait that no item needs.
const LONG: Duration = Duration::from_secs(10);
/// A wait after which there is no item.
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread")]
async fn a_long_job_is_delivered_once() {
    let Some(servers) = Servers::one() else { return };
    let fleet = servers.fleet(Role::Gateway).await;
    create(&fleet, "long", "").await.expect("accepted");
    fleet.work.publish(&item("long")).await.expect("published");
    let source = fleet.work.source("anime", "normal").await.expect("a queue");
    let taken = source.take(LONG).await.expect("an answer").expect("an item");
    // Three times the acknowledge-wait.
    let other = source.take(Duration::from_secs(3)).await.expect("an answer");
    assert!(other.is_none(), "the item of a worker that reports is not delivered again");
    assert!(work(&fleet, taken, 1, Duration::ZERO).await.expect("drawn"));
    assert_eq!(fleet.work.depth().await, Ok(0), "a confirmed item is gone");
    assert!(source.take(Duration::from_secs(2)).await.expect("an answer").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_worker_changes_nothing() {
    let Some(servers) = Servers::one() else { return };
    let fleet = servers.fleet(Role::Gateway).await;
    create(&fleet, "job", "").await.expect("accepted");
    fleet.work.publish(&item("job")).await.expect("published");
    let source = fleet.work.source("anime", "normal").await.expect("a queue");
    let silent = source.take(LONG).await.expect("an answer").expect("an item");
    let begun = Attempt::begin(&fleet.log, "job", (1, silent.delivery), ATTEMPTS_MAX).await.expect("begun");
    let Begun::Attempt(mut late) = begun else { panic!("{begun:?}") };
    late.publish(Event::Started(Started::default())).await.expect("stored");
    late.publish(Event::Step(Step::default())).await.expect("stored");
    silent.fall_silent();

    let again = source.take(LONG).await.expect("an answer").expect("delivered again");
    assert_eq!(again.delivery, 2);
    assert!(work(&fleet, again, 2, Duration::ZERO).await.expect("drawn"));
    let before = fleet.log.read("job").await.expect("events");

    let result = late.publish(Event::Completed(Completed::default())).await;
    assert_eq!(result, Err(FleetError::Superseded { job: "job".into(), attempt: 1 }));
    assert!(late.publish(Event::Step(Step::default())).await.is_err(), "nor any other event");
    // JetStream takes the acknowledgement without an error.
    silent.done().await.expect("it says nothing");
    assert_eq!(fleet.log.read("job").await.expect("events"), before);
    let expected = ["accepted", "started", "step", "requeued", "started", "step", "step", "completed"];
    assert_eq!(names(&fleet, "job").await, expected);
    let record = fleet.records.get("job").await.expect("an answer").expect("a record").record;
    assert_eq!(record.job.map(|job| (job.attempt, job.next_sequence)), Some((2, before[7].event.sequence + 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_takes_one_item() {
    let Some(servers) = Servers::one() else { return };
    let fleet = servers.fleet(Role::Gateway).await;
    for number in 0..20 {
        fleet.work.publish(&item(&format!("job-{number}"))).await.expect("published");
    }
    let (one, other) = (fleet.work.source("anime", "normal").await, fleet.work.source("anime", "normal").await);
    let taken = one.expect("a queue").take(LONG).await.expect("an answer").expect("an item");
    assert_eq!(taken.item.job, "job-0");
    let other = other.expect("a queue");
    for number in 1..20 {
        let next = other.take(LONG).await.expect("an answer").expect("an item");
        assert_eq!(next.item.job, format!("job-{number}"), "in the order in which they were published");
        next.done().await.expect("confirmed");
    }
    assert!(other.take(SHORT).await.expect("an answer").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_published_twice_is_drawn_once() {
    let Some(servers) = Servers::one() else { return };
    let fleet = servers.fleet(Role::Gateway).await;
    create(&fleet, "job", "").await.expect("accepted");
    // As two schedulers would: in another class the dedupe window does not see the second item.
    fleet.work.publish(&item("job")).await.expect("published");
    let twin = sakuga_fleet::WorkItem { attempt: 1, class: "high".into(), ..item("job") };
    let source = |class| fleet.work.source("anime", class);
    let (normal, high) = (source("normal").await.expect("a queue"), source("high").await.expect("a queue"));
    let first = normal.take(LONG).await.expect("an answer").expect("an item");
    let begun = Attempt::begin(&fleet.log, "job", (1, first.delivery), ATTEMPTS_MAX).await.expect("begun");
    let Begun::Attempt(mut attempt) = begun else { panic!("{begun:?}") };
    attempt.publish(Event::Started(Started::default())).await.expect("stored");
    let begun = Attempt::begin(&fleet.log, "job", (twin.attempt, 1), ATTEMPTS_MAX).await.expect("an answer");
    assert!(matches!(begun, Begun::Superfluous), "{begun:?}");
    attempt.publish(Event::Completed(Completed::default())).await.expect("stored");
    let begun = Attempt::begin(&fleet.log, "job", (1, 2), ATTEMPTS_MAX).await.expect("an answer");
    assert!(matches!(begun, Begun::Ended), "{begun:?}");
    assert!(high.take(SHORT).await.expect("an answer").is_none(), "the message id is that of the first");
    assert_eq!(names(&fleet, "job").await, ["accepted", "started", "completed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_kills_its_workers_becomes_a_dead_letter() {
    let Some(servers) = Servers::one() else { return };
    let fleet = servers.fleet(Role::Gateway).await;
    create(&fleet, "job", "").await.expect("accepted");
    fleet.work.publish(&item("job")).await.expect("published");
    let begun = Attempt::begin(&fleet.log, "job", (1, 100), ATTEMPTS_MAX).await.expect("begun");
    assert!(matches!(begun, Begun::Exhausted { .. }), "also one whose workers die before they begin: {begun:?}");
    let source = fleet.work.source("anime", "normal").await.expect("a queue");
    for attempt in 1..=ATTEMPTS_MAX {
        let taken = source.take(LONG).await.expect("an answer").expect("an item");
        assert_eq!(taken.delivery, u64::from(attempt));
        let begun = Attempt::begin(&fleet.log, "job", (1, taken.delivery), ATTEMPTS_MAX).await.expect("begun");
        let Begun::Attempt(mut dying) = begun else { panic!("{begun:?}") };
        assert_eq!(dying.number(), attempt);
        dying.publish(Event::Started(Started::default())).await.expect("stored");
    }
    let taken = source.take(LONG).await.expect("an answer").expect("an item");
    assert!(work(&fleet, taken, 1, Duration::ZERO).await.expect("ended"));
    let expected = ["accepted", "started", "requeued", "started", "requeued", "started", "failed"];
    assert_eq!(names(&fleet, "job").await, expected);
    let letters = fleet.dead.list().await.expect("the letters");
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!((letter.job.as_str(), letter.attempts, letter.reason.as_str()), ("job", 3, "3 workers died with it"));
    assert_eq!(fleet.work.depth().await, Ok(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_was_not_begun_goes_to_the_next_worker_at_once() {
    let Some(servers) = Servers::one() else { return };
    let settings = Settings { ack_wait: Duration::from_secs(20), ..servers.settings() };
    servers.set_up(&settings).await;
    let fleet = Fleet::open(&settings, Role::Gateway).await.expect("a connection");
    create(&fleet, "job", "").await.expect("accepted");
    fleet.work.publish(&item("job")).await.expect("published");
    let source = fleet.work.source("anime", "normal").await.expect("a queue");
    let taken = source.take(LONG).await.expect("an answer").expect("an item");
    let begun = std::time::Instant::now();
    taken.release(Duration::ZERO).await.expect("returned");
    let again = source.take(LONG).await.expect("an answer").expect("an item");
    assert!(begun.elapsed() < LONG, "without the acknowledge-wait");
    assert!(work(&fleet, again, 1, Duration::ZERO).await.expect("drawn"), "and it is the first attempt");
    assert_eq!(names(&fleet, "job").await, ["accepted", "started", "step", "completed"]);
}
