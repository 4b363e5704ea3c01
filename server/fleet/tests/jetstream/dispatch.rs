//! The scheduler: one answers, the next one takes over, and no job is lost or drawn twice.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sakuga_fleet::{Ask, Fleet, Offer, Order, Role, WorkItem};

use crate::servers::Servers;
use crate::story::{create, item, names, work};

/// Jobs in the order of their creation.
struct Fifo(VecDeque<WorkItem>);

impl Order for Fifo {
    fn pick(&mut self, ask: &Ask) -> Option<WorkItem> {
        let place = self.0.iter().position(|item| ask.loadable.contains(&item.model))?;
        self.0.remove(place)
    }

    fn restore(&mut self, item: WorkItem) {
        self.0.push_front(item);
    }
}

fn order(jobs: impl IntoIterator<Item = usize>) -> Fifo {
    Fifo(jobs.into_iter().map(|number| item(&format!("job-{number}"))).collect())
}

fn ask() -> Ask {
    Ask { worker: "w".into(), loadable: vec!["anime".into()], ..Ask::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_scheduler_takes_over_within_five_seconds_and_loses_nothing() {
    let Some(servers) = Servers::one() else { return };
    let first = servers.fleet(Role::Gateway).await;
    let second = Fleet::open(&servers.settings(), Role::Gateway).await.expect("a connection");
    let worker = Fleet::open(&servers.settings(), Role::Worker).await.expect("a connection");
    for number in 0..6 {
        create(&first, &format!("job-{number}"), "").await.expect("accepted");
    }
    assert_eq!(worker.dispatch.ask(&ask()).await, Ok(None), "no scheduler");
    let mut lease = first.leases.acquire("scheduler", "first").await.expect("an answer").expect("free");
    let serving = tokio::spawn(async move { first.dispatch.serve(&mut lease, &mut order(0..6)).await });
    let source = worker.work.source("anime", "normal").await.expect("a queue");
    let mut drawn = 0;
    let draw = async |drawn: &mut u32| {
        let Some(offer) = worker.dispatch.ask(&ask()).await.expect("an answer") else { return false };
        assert_eq!(offer, Offer { model: "anime".into(), class: "normal".into() });
        let taken = source.take(Duration::from_secs(5)).await.expect("an answer").expect("an item");
        *drawn += u32::from(work(&worker, taken, 1, Duration::ZERO).await.expect("drawn"));
        true
    };
    let until = Instant::now() + Duration::from_secs(5);
    while drawn < 3 {
        assert!(draw(&mut drawn).await || Instant::now() < until, "the scheduler answers");
    }
    assert_eq!(worker.dispatch.ask(&Ask::default()).await, Ok(None), "there is nothing for a device without models");

    // The first scheduler dies, and the second one does not know which jobs it had published.
    serving.abort();
    let died = Instant::now();
    let mut lease = loop {
        match second.leases.acquire("scheduler", "second").await.expect("an answer") {
            Some(lease) => break lease,
            None => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    assert!(died.elapsed() < Duration::from_secs(5), "{:?}", died.elapsed());
    let _serving = tokio::spawn(async move { second.dispatch.serve(&mut lease, &mut order(0..6)).await });
    let until = Instant::now() + Duration::from_secs(20);
    while drawn < 6 {
        assert!(Instant::now() < until, "{drawn} jobs were drawn");
        // Published within the dedupe window: the offer may be empty-handed.
        if worker.dispatch.ask(&ask()).await.expect("an answer").is_some()
            && let Some(taken) = source.take(Duration::from_millis(500)).await.expect("an answer")
        {
            drawn += u32::from(work(&worker, taken, 1, Duration::ZERO).await.expect("drawn"));
        }
    }
    for number in 0..6 {
        assert_eq!(names(&worker, &format!("job-{number}")).await, ["accepted", "started", "step", "completed"]);
    }
}
