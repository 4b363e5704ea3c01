//! The permissions of the roles, enforced by a server.

use std::time::Duration;

use sakuga_fleet::{Announcement, Asked, Fleet, Role, Settings};
use sakuga_proto::generation::v1::{GenerateEvent, Preview, generate_event::Event};

use crate::servers::{Choice, Servers};
use crate::story::{create, item, names, work};

/// A server with the users of the configuration that is shipped, and the settings of each.
fn guarded() -> Option<(Servers, impl Fn(&Servers, Role) -> Settings)> {
    let shipped = include_str!("../../nats.conf");
    let (_, users) = shipped.split_once("\nauthorization ").expect("users");
    let users = Role::ALL.iter().fold(users.to_owned(), |users, role| {
        users.replace(&format!("$SAKUGA_{}_PASSWORD", role.name().to_uppercase()), "secret")
    });
    let choice = Choice { authorization: format!("authorization {users}"), ..Choice::default() };
    let servers = Servers::start(1, &choice)?;
    let settings = |servers: &Servers, role: Role| Settings {
        servers: vec![format!("nats://{}:secret@{}", role.name(), servers.address())],
        ..servers.settings()
    };
    Some((servers, settings))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_roles_work_with_their_least_permissions() {
    let Some((servers, settings)) = guarded() else { return };
    servers.set_up(&settings(&servers, Role::Setup)).await;
    let gateway = Fleet::open(&settings(&servers, Role::Gateway), Role::Gateway).await.expect("a gateway");
    let worker = Fleet::open(&settings(&servers, Role::Worker), Role::Worker).await.expect("a worker");
    let mut watch = gateway.records.watch().await.expect("a watch");
    watch.next().await.expect("current");
    create(&gateway, "job", "name").await.expect("accepted");
    watch.next().await.expect("the job");
    let lease = gateway.leases.acquire("scheduler", "gateway").await.expect("an answer").expect("free");
    gateway.work.publish(&item("job")).await.expect("published");
    let mut hears = worker.cancels.hear("job").await.expect("heard");
    let mut previews = gateway.live.subscribe("job").await.expect("a reader");
    let hearing = tokio::spawn(async move { hears.next().await });
    // The server may not know the subscription of the other connection yet.
    while gateway.cancels.ask("job", "requested").await.expect("an answer") == Asked::NoWorker {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(hearing.await.expect("no panic"), "requested");
    let event = Event::Preview(Preview::default());
    let preview = GenerateEvent { job_id: "job".into(), event: Some(event), ..GenerateEvent::default() };
    let mut sent = tokio::time::interval(Duration::from_millis(50));
    let received = loop {
        tokio::select! {
            received = previews.next() => break received,
            _ = sent.tick() => worker.live.publish(&preview).await.expect("sent"),
        }
    };
    assert_eq!(received, Some(preview.clone()));
    assert_eq!(gateway.live.last("job", 0).await, Ok(Some(preview)));
    worker.presence.announce(&Announcement { worker: "w".into(), ..Default::default() }).await.expect("announced");
    assert_eq!(gateway.presence.workers().await.expect("the workers").len(), 1);
    let source = worker.work.source("anime", "normal").await.expect("a queue");
    let taken = source.take(Duration::from_secs(5)).await.expect("an answer").expect("an item");
    assert!(work(&worker, taken, 2, Duration::ZERO).await.expect("drawn"));
    assert_eq!(names(&gateway, "job").await, ["accepted", "started", "step", "step", "completed"]);
    assert_eq!(gateway.dead.list().await, Ok(Vec::new()));
    lease.release().await.expect("released");
    gateway.log.delete("job").await.expect("deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_may_not_do_what_a_gateway_does() {
    let Some((servers, settings)) = guarded() else { return };
    servers.set_up(&settings(&servers, Role::Setup)).await;
    let gateway = Fleet::open(&settings(&servers, Role::Gateway), Role::Gateway).await.expect("a gateway");
    let worker = Fleet::open(&settings(&servers, Role::Worker), Role::Worker).await.expect("a worker");
    create(&gateway, "job", "name").await.expect("accepted");
    let item = item("job");
    // The server answers a denied publication with an error on the connection and the caller waits for its time limit: all at once.
    let (claim, lease, publish, delete, find) = tokio::join!(
        worker.claims.claim(b"other", "job"),
        worker.leases.acquire("scheduler", "worker"),
        worker.work.publish(&item),
        worker.log.delete("job"),
        worker.claims.find(b"name"),
    );
    assert!(claim.is_err() && lease.is_err() && publish.is_err() && delete.is_err() && find.is_err());
    assert_eq!(names(&gateway, "job").await, ["accepted"]);
    assert_eq!(gateway.leases.holder("scheduler").await, Ok(None));
    assert_eq!(gateway.work.depth().await, Ok(0));
    let none = Fleet::set_up(&settings(&servers, Role::Worker)).await;
    assert!(none.is_err(), "nor change a stream: {none:?}");
}
