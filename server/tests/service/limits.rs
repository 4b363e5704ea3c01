//! The limits of one client, and of the device's memory.

use sakuga_proto::generation::v1::{CreateJobRequest, GenerateRequest, Job, JobOptions};
use sakuga_server::Config;
use sakuga_server::config::Limits;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::jobs::{create, jobs};
use crate::support::{Server, quick, request, scripted, steps_of_ms};

async fn create_as(server: &Server, client: &str) -> Result<Job, Status> {
    let mut call = Request::new(CreateJobRequest { request: Some(request(100)), options: None });
    call.metadata_mut().insert("sakuga-client-id", client.parse().expect("ASCII"));
    Ok(jobs(server).create_job(call).await?.into_inner().job.expect("a job"))
}

fn refusal(status: &Status) -> (Code, String, bool) {
    let has_time = status.get_details_retry_info().is_some_and(|info| info.retry_delay.is_some());
    (status.code(), status.get_details_error_info().expect("ErrorInfo").reason, has_time)
}

#[tokio::test]
async fn a_client_has_as_many_jobs_as_it_may_and_others_are_not_kept_from_theirs() {
    let limits = Limits { client_jobs_max: 2, ..Limits::default() };
    let server = Server::start(Config { limits, ..scripted(steps_of_ms(20)) }).await;
    for _ in 0..2 {
        create_as(&server, "greedy").await.expect("two are allowed");
    }
    let refused = create_as(&server, "greedy").await.expect_err("three are not");
    assert_eq!(refusal(&refused), (Code::ResourceExhausted, "CLIENT_JOBS".into(), true));
    create_as(&server, "modest").await.expect("another client's first");
    let refused = create_as(&server, "").await.expect_err("no name");
    assert_eq!(refused.code(), Code::InvalidArgument);
    server.stop().await;
}

#[tokio::test]
async fn a_client_asks_as_often_as_it_may() {
    let limits = Limits { client_rate_max: 3, ..Limits::default() };
    let server = Server::start(Config { limits, ..scripted(quick()) }).await;
    for _ in 0..3 {
        create_as(&server, "busy").await.expect("three a minute");
    }
    let refused = create_as(&server, "busy").await.expect_err("a fourth");
    assert_eq!(refusal(&refused), (Code::ResourceExhausted, "CLIENT_RATE".into(), true));
    create_as(&server, "calm").await.expect("another client's first");
    server.stop().await;
}

#[tokio::test]
async fn what_does_not_fit_into_memory_is_refused() {
    let limits = Limits { job_memory_max: Some(65 << 20), ..Limits::default() };
    let server = Server::start(Config { limits, ..scripted(quick()) }).await;
    create(&server, request(1), JobOptions::default()).await.expect("64 MiB of weights and 64 x 64 pixels fit");
    let large = GenerateRequest { width: 1024, height: 1024, ..request(1) };
    let refused = create(&server, large, JobOptions::default()).await.expect_err("6 MiB do not");
    assert_eq!(refusal(&refused), (Code::FailedPrecondition, "NOT_ENOUGH_MEMORY".into(), false));
    server.stop().await;
}
