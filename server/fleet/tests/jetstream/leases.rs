//! Leases: one holder, and a successor in time.

use std::time::{Duration, Instant};

use sakuga_fleet::{Fleet, Role};

use crate::servers::Servers;

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_passes_on_within_five_seconds() {
    let Some(servers) = Servers::three() else { return };
    let first = servers.fleet(Role::Gateway).await;
    let second = Fleet::open(&servers.settings(), Role::Gateway).await.expect("a connection");
    let mut held = first.leases.acquire("scheduler", "first").await.expect("an answer").expect("free");
    for _ in 0..6 {
        tokio::time::sleep(held.period()).await;
        assert!(held.renew().await.expect("an answer") && held.is_held());
        assert!(second.leases.acquire("scheduler", "second").await.expect("an answer").is_none());
    }
    assert_eq!(second.leases.holder("scheduler").await, Ok(Some("first".into())));
    // The holder dies.
    let died = Instant::now();
    let next = loop {
        match second.leases.acquire("scheduler", "second").await.expect("an answer") {
            Some(lease) => break lease,
            None => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    let took = died.elapsed();
    println!("the lease passed on after {} ms", took.as_millis());
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(!held.is_held(), "the first one knew by its own clock before the second one had it");
    assert!(next.term() > held.term() && next.is_held());
    assert!(!held.renew().await.expect("an answer"), "and it cannot come back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_released_is_free_at_once() {
    let Some(servers) = Servers::one() else { return };
    let fleet = servers.fleet(Role::Gateway).await;
    let held = fleet.leases.acquire("scheduler", "first").await.expect("an answer").expect("free");
    assert!(fleet.leases.acquire("another", "first").await.expect("an answer").is_some(), "roles are independent");
    held.release().await.expect("released");
    assert_eq!(fleet.leases.holder("scheduler").await, Ok(None));
    assert!(fleet.leases.acquire("scheduler", "second").await.expect("an answer").is_some());
}
