//! Clients whose connections are cut again and again get every event once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::program::Program;
use crate::support::{Dice, PATIENCE, Seen, request};

/// Cuts, unless `SAKUGA_CUTS` says another number.
const CUTS: u64 = 60;
/// Clients at the same time.
const CLIENTS: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_are_cut_off_see_everything_once() {
    let cuts = std::env::var("SAKUGA_CUTS").ok().and_then(|text| text.parse().ok()).unwrap_or(CUTS);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Arc::new(Program::start(folder.path(), &["--scripted-step-ms", "2", "--queue-size", "1000"]));
    let done = Arc::new(AtomicU64::new(0));
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let (server, done) = (server.clone(), done.clone());
        clients.push(tokio::spawn(async move {
            let mut dice = Dice(client + 1);
            let mut round = 0;
            while done.load(Ordering::SeqCst) < cuts {
                round += 1;
                let name = format!("{client}-{round}");
                let mut seen = Seen::default();
                let mut job_id = String::new();
                while !seen.is_over() {
                    // Each attempt has its own connection, which ends with it.
                    let mut jobs = server.jobs().await;
                    let attempt = async {
                        if job_id.is_empty() {
                            let made = jobs.create_job(request(&name, 12)).await.expect("it lives");
                            job_id = made.into_inner().job.expect("a job").job_id;
                        }
                        seen.follow(&mut jobs, &job_id).await.expect("it lives");
                    };
                    let time = Duration::from_micros(500 + dice.roll(25_000));
                    if tokio::time::timeout(time, attempt).await.is_err() {
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                }
                seen.assert_whole(&mut server.jobs().await, &job_id).await;
            }
        }));
    }
    for client in clients {
        tokio::time::timeout(PATIENCE * 4, client).await.expect("it ends").expect("no assertion failed");
    }
    println!("{} cuts, nothing missed, nothing twice", done.load(Ordering::SeqCst));
}
