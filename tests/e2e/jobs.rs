//! Jobs through the client library: interrupted, resumed, and watched by other clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sakuga_client::{Client, EventKind, Resume};
use sakuga_proto::generation::v1::{GetJobRequest, JobState};
use sakuga_tests::order;
use sakuga_tests::server::TestServer;
use sakuga_tests::server::scripted_config;
use tokio::net::{TcpListener, TcpStream};

/// Forwards connections to a server and cuts each after a while.
async fn cutting_proxy(target: String, life: Duration) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let target = target.trim_start_matches("http://").to_owned();
    let cuts = Arc::new(AtomicUsize::new(0));
    let counter = cuts.clone();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let (target, counter) = (target.clone(), counter.clone());
            tokio::spawn(async move {
                let Ok(mut to) = TcpStream::connect(target).await else { return };
                let copy = tokio::io::copy_bidirectional(&mut from, &mut to);
                if tokio::time::timeout(life, copy).await.is_err() {
                    counter.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    (address, cuts)
}

#[tokio::test]
async fn a_generation_goes_on_through_cuts_and_sees_everything_once() {
    let server = TestServer::start(scripted_config(15)).await;
    let (address, cuts) = cutting_proxy(server.address().to_owned(), Duration::from_millis(120)).await;
    let client = Client::connect(&address).await.unwrap();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let tap = seen.clone();
    let mut generation = client
        .generation()
        .xml("1girl, solo")
        .size(64, 64)
        .steps(60)
        .tap(move |event| tap.lock().unwrap().push(event.clone()))
        .start_resuming(Resume::default())
        .await
        .unwrap();
    let completed = loop {
        match generation.next_event().await.unwrap().expect("a terminal event").kind {
            EventKind::Completed(completed) => break completed,
            EventKind::Cancelled(cancelled) => panic!("{cancelled:?}"),
            _ => {}
        }
    };
    assert_eq!(completed.pictures.len(), 1);
    // In order, once, and every step: the contract's own check.
    order::check(&seen.lock().unwrap()).unwrap();
    assert!(cuts.load(Ordering::SeqCst) >= 3, "{cuts:?} cuts");
    server.stop().await;
}

#[tokio::test]
async fn dropping_a_resuming_generation_cancels_its_job_and_looking_on_does_not() {
    // Long enough that it cannot be done before the cancelling arrives, however busy the machine is.
    let server = TestServer::start(scripted_config(100)).await;
    let client = server.client().await;
    let request = || client.generation().xml("1girl, solo").size(32, 32).steps(200);
    let mut generation = request().start_resuming(Resume::default()).await.unwrap();
    let job_id = generation.next_event().await.unwrap().unwrap().job_id;
    let state = async || {
        let job =
            client.jobs().get_job(GetJobRequest { job_id: job_id.clone() }).await.unwrap().into_inner().job.unwrap();
        job.state()
    };
    let mut onlooker = client.watch(&job_id, None);
    while !matches!(onlooker.next_event().await.unwrap().unwrap().kind, EventKind::Step(_)) {}
    drop(onlooker);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(state().await, JobState::Running);
    drop(generation);
    let ended = async {
        while state().await == JobState::Running {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("it ends within a step");
    assert_eq!(state().await, JobState::Cancelled);
    server.stop().await;
}
