//! Workers and gateways that are killed at any moment: nothing accepted is lost, and nothing is done twice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_proto::generation::v1::{
    CancelJobRequest, CreateJobRequest, DeleteJobRequest, JobFilter, JobOptions, JobState, ListJobsRequest,
};
use tonic::transport::{Channel, Endpoint};

use crate::calls::{create, get, read_until, until, watch};
use crate::place::Fleet;
use crate::support::{Dice, Seen, request};

/// Kills, unless `SAKUGA_FLEET_KILLS` says another number.
const KILLS: u64 = 12;
/// Jobs for each kill.
const JOBS: u64 = 2;
/// Steps of a job.
const STEPS: u32 = 40;
/// Longer than everything takes.
const PATIENCE: Duration = Duration::from_secs(180);

/// A connection to one of the gateways that answers.
async fn gateway(urls: &[String], dice: &mut Dice) -> JobServiceClient<Channel> {
    loop {
        let url = urls[dice.roll(urls.len() as u64) as usize].clone();
        let endpoint = Endpoint::from_shared(url).expect("a URL").connect_timeout(Duration::from_secs(2));
        if let Ok(channel) = endpoint.connect().await {
            return JobServiceClient::new(channel);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A client that creates a job by name and follows it to its end, at another gateway whenever its own breaks.
async fn client(urls: Vec<String>, name: String, seed: u64) -> (String, String, Seen) {
    let mut dice = Dice(seed);
    let job_id = loop {
        let mut jobs = gateway(&urls, &mut dice).await;
        // A call that breaks may have created the job; it is repeated with the same name.
        if let Ok(created) = jobs.create_job(request(&name, STEPS)).await {
            break created.into_inner().job.expect("a job").job_id;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let mut seen = Seen::default();
    while !seen.is_over() {
        let mut jobs = gateway(&urls, &mut dice).await;
        let _ = seen.follow(&mut jobs, &job_id).await;
    }
    (name, job_id, seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_a_fleet_loses_and_repeats_nothing() {
    let kills = std::env::var("SAKUGA_FLEET_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let Some(mut fleet) = Fleet::start(10) else { return };
    let mut urls = Vec::new();
    for _ in 0..2 {
        let gateway = fleet.gateway(0, &[]);
        urls.push(gateway.url.clone());
        fleet.gateways.push(Some(gateway));
    }
    for _ in 0..3 {
        let worker = fleet.worker();
        fleet.workers.push(Some(worker));
    }
    let begun = Instant::now();
    let count = JOBS * kills;
    let begin = |number: u64| tokio::spawn(client(urls.clone(), format!("job-{number}"), number));
    let mut clients: Vec<_> = (0..count.min(JOBS * KILLS)).map(begin).collect();
    let mut dice = Dice(7);
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(200 + dice.roll(600))).await;
        // In a long run jobs come as long as there are kills.
        let created = clients.len() as u64;
        clients.extend((created..count.min(created + JOBS)).map(begin));
        if dice.roll(3) == 0 {
            let place = dice.roll(2) as usize;
            let port = urls[place].rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
            fleet.gateways[place].take().expect("it runs").kill();
            fleet.gateways[place] = Some(fleet.gateway(port, &[]));
        } else {
            let place = dice.roll(3) as usize;
            // Dropping it kills it at once.
            drop(fleet.workers[place].take());
            fleet.workers[place] = Some(fleet.worker());
        }
    }
    let ended = tokio::time::timeout(PATIENCE, futures::future::join_all(clients)).await.expect("every job ends");
    let mut jobs = gateway(&urls, &mut dice).await;
    let (mut attempts, mut pictures) = (0, BTreeMap::new());
    for client in ended {
        let (name, job_id, seen) = client.expect("no assertion failed");
        seen.assert_whole(&mut jobs, &job_id).await;
        *pictures.entry(seen.pixels()).or_insert(0) += 1;
        let filter = Some(JobFilter { request_id: name, ..JobFilter::default() });
        let listed = jobs.list_jobs(ListJobsRequest { filter, ..ListJobsRequest::default() }).await.expect("a list");
        let listed = listed.into_inner().jobs;
        assert_eq!(listed.len(), 1, "one job a name");
        assert_eq!(listed[0].job_id, job_id);
        attempts += listed[0].attempt - 1;
    }
    assert_eq!(pictures.len(), 1, "the same seed draws the same picture: {pictures:?}");
    println!(
        "{kills} kills, {count} jobs in {:.0} s, {attempts} begun again, nothing lost, nothing twice",
        begun.elapsed().as_secs_f64()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_roles_work_with_the_users_that_are_shipped() {
    let Some(mut fleet) = Fleet::start_with_users(10) else { return };
    let (first, worker) = (fleet.gateway(0, &[]), fleet.worker());
    let mut jobs = gateway(std::slice::from_ref(&first.url), &mut Dice(1)).await;
    fleet.gateways.push(Some(first));
    fleet.workers.push(Some(worker));
    let options = JobOptions { cancel_on_disconnect: true, ..JobOptions::default() };
    let call = CreateJobRequest { options: Some(options), ..request("one", 20) };
    let job = create(&mut jobs, call).await;
    let events = read_until(&mut watch(&mut jobs, &job.job_id, None).await, |_| false).await;
    assert!(matches!(events.last().expect("an end").event, Some(Event::Completed(_))), "{:?}", events.last());
    let second = create(&mut jobs, request("two", 200)).await;
    until(&mut jobs, &second.job_id, JobState::Running).await;
    jobs.cancel_job(CancelJobRequest { job_id: second.job_id.clone() }).await.expect("it runs");
    until(&mut jobs, &second.job_id, JobState::Cancelled).await;
    jobs.delete_job(DeleteJobRequest { job_id: job.job_id }).await.expect("it has ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_asked_to_end_gives_its_job_back() {
    let Some(mut fleet) = Fleet::start(20) else { return };
    let first = fleet.gateway(0, &[]);
    let url = first.url.clone();
    fleet.gateways.push(Some(first));
    let worker = fleet.worker_with(&["--drain-timeout", "0"]);
    let mut jobs = gateway(&[url], &mut Dice(1)).await;
    let job = jobs.create_job(request("one", 100)).await.expect("accepted").into_inner().job.expect("a job");
    until(&mut jobs, &job.job_id, JobState::Running).await;
    let ended = tokio::task::spawn_blocking(move || worker.terminate());
    ended.await.expect("it ends well");
    let requeued = get(&mut jobs, &job.job_id).await;
    assert_eq!((requeued.state(), requeued.attempt), (JobState::Queued, 2));
    let next = fleet.worker();
    fleet.workers.push(Some(next));
    let mut seen = Seen::default();
    tokio::time::timeout(PATIENCE, seen.follow(&mut jobs, &job.job_id)).await.expect("in time").expect("it listens");
    seen.assert_whole(&mut jobs, &job.job_id).await;
}
