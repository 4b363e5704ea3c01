//! Many long lists at once, and lists whose callers have gone, cost a bounded amount of memory and time.

use std::time::{Duration, Instant};

use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_proto::generation::v1::{
    CreateJobRequest, GenerateRequest, GetJobRequest, JobFilter, ListJobsRequest, Sampling, WatchJobRequest,
    generate_request,
};
use tonic::transport::Channel;

use crate::largest::Server;

/// Lists at the same time.
const LISTS: usize = 50;
/// Memory of all of them together: the answers, which are encoded, and the few that are in the making.
const MEMORY_KIB_MAX: u64 = 160 * 1024;
/// Long jobs.
const JOBS: usize = 60;

async fn connect(server: &Server) -> JobServiceClient<Channel> {
    JobServiceClient::new(server.channel().await).max_decoding_message_size(64 << 20)
}

/// A job whose record is long and expands when it is decoded.
async fn fill(jobs: &mut JobServiceClient<Channel>) -> String {
    let text = format!("<general_tags><style>{}</style></general_tags>", "a,".repeat(20_000));
    let mut last = String::new();
    for _ in 0..JOBS {
        let request = GenerateRequest {
            prompt: Some(generate_request::Prompt::Xml(text.clone())),
            sampling: Some(Sampling { steps: 1, ..Sampling::default() }),
            width: 64,
            height: 64,
            images: 8,
            ..GenerateRequest::default()
        };
        let message = CreateJobRequest { request: Some(request), options: None };
        last = jobs.create_job(message).await.expect("accepted").into_inner().job.expect("a job").job_id;
    }
    let watch = WatchJobRequest { job_id: last.clone(), ..WatchJobRequest::default() };
    let mut stream = jobs.watch_job(watch).await.expect("there").into_inner();
    while stream.message().await.expect("it lives").is_some() {}
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_long_lists_at_once_take_a_bounded_memory() {
    let server = Server::start(0);
    let last = fill(&mut connect(&server).await).await;
    for what in ["ListJobs", "GetJob"] {
        let before = server.reset_peak();
        let mut calls = Vec::new();
        for _ in 0..LISTS {
            let (mut jobs, last) = (connect(&server).await, last.clone());
            calls.push(tokio::spawn(async move {
                match what {
                    "ListJobs" => {
                        let page =
                            jobs.list_jobs(ListJobsRequest { page_size: 200, ..ListJobsRequest::default() }).await;
                        assert!(!page.expect("a page").into_inner().jobs.is_empty());
                    }
                    _ => {
                        let job = jobs.get_job(GetJobRequest { job_id: last }).await.expect("there").into_inner();
                        assert_eq!(job.job.expect("a job").images.len(), 8);
                    }
                }
            }));
        }
        for call in calls {
            call.await.expect("no assertion failed");
        }
        let grown = server.peak_kib().saturating_sub(before);
        println!("{LISTS} calls of {what} at once: {} MiB", grown / 1024);
        assert!(grown <= MEMORY_KIB_MAX, "{what}: {grown} KiB");
    }
}

/// A list that matches nothing reads every job; the server stops reading when its caller is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_nobody_waits_for_ends() {
    let server = Server::start(0);
    let mut jobs = connect(&server).await;
    fill(&mut jobs).await;
    let nothing = ListJobsRequest {
        filter: Some(JobFilter { request_id: "no such".into(), ..JobFilter::default() }),
        ..ListJobsRequest::default()
    };
    // The fastest of some: a machine that is busy with other things stretches them.
    let mut whole = (Duration::MAX, Duration::MAX);
    for _ in 0..5 {
        let begun = (Instant::now(), server.cpu());
        jobs.list_jobs(nothing.clone()).await.expect("an empty list");
        whole = whole.min((begun.0.elapsed(), server.cpu().saturating_sub(begun.1)));
    }
    let before = server.cpu();
    for _ in 0..20 {
        let call = jobs.list_jobs(nothing.clone());
        // Gone long before the list would be there.
        let _ = tokio::time::timeout(whole.0 / 20, call).await;
    }
    tokio::time::sleep(Duration::from_millis(100).max(whole.0)).await;
    let spent = server.cpu().saturating_sub(before);
    println!("a whole search takes {:.1?} of CPU, twenty that were dropped {spent:.1?}", whole.1);
    assert!(spent <= 10 * whole.1.max(Duration::from_millis(20)), "{spent:?} instead of {:?}", 20 * whole.1);
}
