//! A server that is killed again and again, at any moment, loses nothing and repeats nothing.

use std::time::Duration;

use sakuga_proto::generation::v1::{JobFilter, ListJobsRequest};

use crate::program::Program;
use crate::support::{Dice, Jobs, PATIENCE, Seen, request};

/// Kills, unless `SAKUGA_KILLS` says another number.
const KILLS: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_loses_and_repeats_nothing() {
    let kills = std::env::var("SAKUGA_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let arguments = ["--scripted-step-ms", "4", "--max-attempts", "1000000", "--queue-size", "1000"];
    let mut dice = Dice(1);
    let mut known = Jobs::new();
    for round in 0..kills {
        let server = Program::start(folder.path(), &arguments);
        for number in 0..dice.roll(3) {
            known.insert(format!("{round}-{number}"), None);
        }
        let time = Duration::from_millis(dice.roll(120));
        let mut clients = Vec::new();
        for (name, job) in std::mem::take(&mut known) {
            let mut jobs = server.jobs().await;
            let steps = 1 + name.len() as u32 * 3;
            clients.push(tokio::spawn(async move {
                let mut job = job;
                if job.is_none() {
                    // A call that breaks may have reached the server; it is repeated in the next round.
                    let created = jobs.create_job(request(&name, steps)).await;
                    job = created.ok().map(|made| (made.into_inner().job.expect("a job").job_id, Seen::default()));
                }
                if let Some((job_id, seen)) = &mut job
                    && !seen.is_over()
                {
                    let _ = seen.follow(&mut jobs, job_id).await;
                }
                (name, job)
            }));
        }
        tokio::time::sleep(time).await;
        server.kill();
        for client in clients {
            let (name, job) = client.await.expect("no assertion failed");
            known.insert(name, job);
        }
    }

    let server = Program::start(folder.path(), &arguments);
    let mut jobs = server.jobs().await;
    let mut pictures = std::collections::BTreeMap::new();
    let mut attempts = 0;
    for (name, job) in known {
        let (job_id, mut seen) = match job {
            Some(job) => job,
            None => {
                let made = jobs.create_job(request(&name, 1 + name.len() as u32 * 3)).await.expect("it listens");
                (made.into_inner().job.expect("a job").job_id, Seen::default())
            }
        };
        if !seen.is_over() {
            let end = tokio::time::timeout(PATIENCE, seen.follow(&mut jobs, &job_id)).await;
            end.expect("the job ends").expect("nobody kills this server");
        }
        seen.assert_whole(&mut jobs, &job_id).await;
        // The same seed draws the same picture, however often it was begun.
        let drawn = pictures.entry(name.len()).or_insert_with(|| seen.pixels()).clone();
        assert_eq!(seen.pixels(), drawn, "job {job_id}");
        let filter = JobFilter { request_id: name, ..JobFilter::default() };
        let listed = jobs.list_jobs(ListJobsRequest { filter: Some(filter), ..ListJobsRequest::default() }).await;
        let listed = listed.expect("it listens").into_inner().jobs;
        assert_eq!(listed.len(), 1, "one job a name");
        assert_eq!(listed[0].job_id, job_id);
        attempts += listed[0].attempt - 1;
    }
    println!("{kills} kills, {attempts} jobs begun again, nothing lost, nothing twice");
}
