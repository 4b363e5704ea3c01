//! However a job ends, its stream has one terminal event, and the device is free for the next job.

use std::time::{Duration, Instant};

use sakuga_client::{Client, ClientError, EventKind, GenerationBuilder};
use sakuga_proto::generation::v1::CancelReason;
use sakuga_server::engine::scripted::{Fault, ScriptedFault};
use sakuga_tests::job::follow;
use sakuga_tests::order;
use sakuga_tests::server::{TestServer, faulty_config, scripted_config};

/// A job of 200 steps, which takes ten seconds at 50 ms a step and 100 at 500 ms.
fn long(client: &Client) -> GenerationBuilder {
    client.generation().xml("1girl, solo").size(32, 32).steps(200)
}

/// Half of the time of a long job at 500 ms a step, and a hundred times what the tests need on a free machine.
const SOON: Duration = Duration::from_secs(50);

#[tokio::test]
async fn a_dropped_stream_frees_the_device() {
    let server = TestServer::start(scripted_config(500)).await;
    let client = server.client().await;
    let mut abandoned = long(&client).start().await.unwrap();
    while !matches!(abandoned.next_event().await.unwrap().unwrap().kind, EventKind::Step(_)) {}
    drop(abandoned);
    let start = Instant::now();
    let run = follow(client.generation().xml("1girl, solo").size(32, 32).steps(1)).await.unwrap();
    assert_eq!(run.completed().pictures.len(), 1);
    assert!(start.elapsed() < SOON, "the next job waited {:?}", start.elapsed());
    server.stop().await;
}

#[tokio::test]
async fn a_deadline_ends_the_job_on_the_server() {
    let server = TestServer::start(scripted_config(500)).await;
    let client = server.client().await;
    let start = Instant::now();
    let run = follow(long(&client).deadline(Duration::from_millis(400))).await.unwrap();
    assert!(start.elapsed() < SOON);
    match &run.end {
        Ok(EventKind::Cancelled(cancelled)) => {
            assert_eq!(cancelled.reason(), CancelReason::Deadline);
            assert!(cancelled.at_step < 100, "{cancelled:?}");
            order::check(&run.events).unwrap();
        }
        other => panic!("{other:?}"),
    }
    server.stop().await;
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let mut config = scripted_config(50);
    config.limits.queued_max = 1;
    let server = TestServer::start(config).await;
    let client = server.client().await;
    let mut running = long(&client).start().await.unwrap();
    while !matches!(running.next_event().await.unwrap().unwrap().kind, EventKind::Started(_)) {}
    let waiting = long(&client).start().await.unwrap();
    let refused = long(&client).start().await.unwrap_err();
    let ClientError::Refused(error) = refused else { panic!("{refused:?}") };
    assert_eq!(error.code_name(), "RESOURCE_EXHAUSTED");
    assert!(error.retry_after.is_some(), "{error:?}");
    drop((running, waiting));
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_goes_down_lets_the_running_job_finish() {
    let server = TestServer::start(scripted_config(50)).await;
    let client = server.client().await;
    let mut running = client.generation().xml("1girl, solo").size(32, 32).steps(10).start().await.unwrap();
    while !matches!(running.next_event().await.unwrap().unwrap().kind, EventKind::Step(_)) {}
    let address = server.address().to_owned();
    let rest = async {
        loop {
            let event = running.next_event().await.unwrap().expect("a terminal event comes first");
            if event.kind.is_terminal() {
                return event.kind;
            }
        }
    };
    let (end, ()) = tokio::join!(rest, server.stop());
    assert!(matches!(end, EventKind::Completed(_)), "{end:?}");
    let gone = Client::connect(&address).await.unwrap_err();
    assert!(matches!(gone, ClientError::NothingListens { .. }), "{gone:?}");
}

#[tokio::test]
async fn a_fault_of_the_engine_fails_one_job_alone() {
    let faults = vec![
        ScriptedFault { job: 1, after_step: 2, fault: Fault::Fail },
        ScriptedFault { job: 2, after_step: 1, fault: Fault::Panic },
    ];
    let server = TestServer::start(faulty_config(1, faults)).await;
    let client = server.client().await;
    let request = || client.generation().xml("1girl, solo").size(32, 32).steps(4);
    for job in 1..=2 {
        let run = follow(request()).await.unwrap();
        assert!(matches!(run.end, Err(ClientError::Failed(_))), "job {job}: {:?}", run.end);
        order::check(&run.events).unwrap();
    }
    let run = follow(request()).await.unwrap();
    assert_eq!(run.completed().pictures.len(), 1);
    server.stop().await;
}
