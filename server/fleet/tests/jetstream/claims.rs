//! Claims and records: compare-and-set among gateways.

use std::ops::ControlFlow;

use sakuga_fleet::{Claim, Fleet, FleetError, RecordChange, Role};

use crate::servers::Servers;
use crate::story::{create, record};

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_calls_gets_a_request_id() {
    let Some(servers) = Servers::one() else { return };
    let first = servers.fleet(Role::Gateway).await;
    let second = Fleet::open(&servers.settings(), Role::Gateway).await.expect("a connection");
    let mut calls = Vec::new();
    for number in 0..40 {
        let gateway = if number % 2 == 0 { first.clone() } else { second.clone() };
        calls.push(tokio::spawn(async move {
            let job = format!("job-{number}");
            (job.clone(), gateway.claims.claim(b"alice\0same", &job).await.expect("an answer"))
        }));
    }
    let (mut winners, mut taken) = (Vec::new(), Vec::new());
    for call in calls {
        match call.await.expect("no panic") {
            (job, Claim::New) => winners.push(job),
            (_, Claim::Taken { job, .. }) => taken.push(job),
        }
    }
    assert_eq!((winners.len(), taken.len()), (1, 39));
    assert!(taken.iter().all(|job| *job == winners[0]), "all others learn the same job");
    let again = first.claims.claim(b"alice\0same", &winners[0]).await;
    assert_eq!(again, Ok(Claim::New), "a call whose answer was lost is not refused");
    assert_eq!(first.claims.claim(b"bob\0same", "another").await, Ok(Claim::New), "clients have their own names");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_without_a_job_goes_to_the_repeated_call() {
    let Some(servers) = Servers::one() else { return };
    let fleet = servers.fleet(Role::Gateway).await;
    // Its gateway died before the record.
    assert_eq!(fleet.claims.claim(b"name", "dead").await, Ok(Claim::New));
    assert_eq!(create(&fleet, "second", "name").await.as_deref(), Ok("second"));
    assert_eq!(create(&fleet, "third", "name").await.as_deref(), Ok("second"));
    let late = fleet.claims.replace(b"name", "dead", 1).await;
    assert_eq!(late, Err(FleetError::Conflict("the request_id".into())));
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_a_record_at_the_same_time_are_all_made() {
    let Some(servers) = Servers::one() else { return };
    let first = servers.fleet(Role::Gateway).await;
    let second = Fleet::open(&servers.settings(), Role::Gateway).await.expect("a connection");
    first.records.create("job", &record("job")).await.expect("created");
    let twice = first.records.create("job", &record("job")).await;
    assert_eq!(twice, Err(FleetError::Conflict("the record of job job".into())));
    let add = |fleet: Fleet, label: String| async move {
        let change = |record: &mut sakuga_proto::internal::store::v1::JobRecord| {
            record.job.get_or_insert_default().labels.push(label.clone());
            ControlFlow::Continue(())
        };
        fleet.records.change("job", change).await.expect("changed")
    };
    let changes = (0..20).map(|number| {
        let gateway = if number % 2 == 0 { first.clone() } else { second.clone() };
        tokio::spawn(add(gateway, format!("label-{number:02}")))
    });
    for change in changes.collect::<Vec<_>>() {
        change.await.expect("no panic");
    }
    let read = first.records.get("job").await.expect("an answer").expect("a record");
    let mut labels = read.record.job.clone().unwrap_or_default().labels;
    labels.sort_unstable();
    assert_eq!(labels, (0..20).map(|number| format!("label-{number:02}")).collect::<Vec<_>>());
    let stale = first.records.update("job", &read.record, read.revision - 1).await;
    assert_eq!(stale, Err(FleetError::Conflict("the record of job job".into())));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_sees_every_record_and_every_change() {
    let Some(servers) = Servers::one() else { return };
    let fleet = servers.fleet(Role::Gateway).await;
    let mut empty = fleet.records.watch().await.expect("a watch");
    assert_eq!(empty.next().await, Ok(RecordChange::Current), "an empty bucket is current at once");
    for job in ["a", "b"] {
        fleet.records.create(job, &record(job)).await.expect("created");
    }
    let mut watch = fleet.records.watch().await.expect("a watch");
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(shown(watch.next().await.expect("a change")));
    }
    assert_eq!(seen, ["a", "b", "current"]);
    fleet.records.delete("a").await.expect("deleted");
    assert_eq!(shown(watch.next().await.expect("a change")), "a deleted");
    let mut both = Vec::new();
    for _ in 0..3 {
        both.push(shown(empty.next().await.expect("a change")));
    }
    assert_eq!(both, ["a", "b", "a deleted"]);
}

fn shown(change: RecordChange) -> String {
    match change {
        RecordChange::Put(revised) => revised.record.job.map(|job| job.job_id).unwrap_or_default(),
        RecordChange::Deleted { key } => format!("{key} deleted"),
        RecordChange::Current => "current".into(),
    }
}
