//! The memory of a busy server does not grow: jobs come at a steady pace, old ones are deleted, and some clients
//! disconnect in the middle of a job and come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sakuga_proto::generation::v1::generate_event::Event;
use tokio::sync::Semaphore;

use crate::program::{Program, Size};
use crate::support::{Dice, PATIENCE, Seen, request};

/// Seconds, unless `SAKUGA_SOAK_SECONDS` says another number.
const SECONDS: u64 = 5;
/// From this length on pace and memory are held to their bounds.
const LONG: Duration = Duration::from_secs(60);
/// Time between two jobs: 2 400 a minute.
const PACE: Duration = Duration::from_millis(25);
/// Jobs a minute that have to be drawn.
const JOBS_A_MINUTE: u64 = 2_000;
/// Jobs that are followed at the same time; beyond that the pace is not kept, which the test sees.
const FOLLOWED_MAX: usize = 256;
/// One of this number of clients disconnects in the middle of a job.
const LEAVERS: u64 = 8;
/// Ended jobs that are kept: few, so that most of the time as many are deleted as end.
const KEPT: u64 = 100;
/// Growth that is not a leak: the allocator and the store's cache fill with time.
const GROWTH_KIB_MAX: u64 = 16 * 1024;
const FILES_MAX: u64 = 16;

/// The results of all clients together.
#[derive(Default)]
struct Tally {
    jobs: AtomicU64,
    events: AtomicU64,
    returns: AtomicU64,
}

impl Tally {
    /// Creates one job and follows it to its end; a leaver disconnects after some milliseconds and comes back.
    async fn client(&self, server: &Program, jobs: &mut crate::program::Jobs, number: u64) {
        let mut dice = Dice(number);
        let made = jobs.create_job(request(&format!("soak-{number}"), 8)).await.expect("accepted").into_inner();
        let job_id = made.job.expect("a job").job_id;
        let mut seen = Seen::default();
        if number.is_multiple_of(LEAVERS) {
            let mut own = server.jobs().await;
            let time = Duration::from_micros(dice.roll(20_000));
            if tokio::time::timeout(time, seen.follow(&mut own, &job_id)).await.is_err() {
                self.returns.fetch_add(1, Ordering::Relaxed);
            }
        }
        // Checks the order of events, and that there is one terminal event.
        if !seen.is_over() {
            seen.follow(jobs, &job_id).await.expect("it lives");
        }
        let steps = seen.events.iter().filter(|event| matches!(event.event, Some(Event::Step(_)))).count();
        assert_eq!(steps, 8, "job {job_id}");
        assert!(!seen.pixels().is_empty());
        self.jobs.fetch_add(1, Ordering::Relaxed);
        self.events.fetch_add(seen.events.len() as u64, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_busy_for_long_does_not_grow() {
    let seconds = std::env::var("SAKUGA_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS);
    let length = Duration::from_secs(seconds);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let kept = KEPT.to_string();
    let arguments = ["--scripted-step-ms", "0", "--queue-size", "1000", "--keep-jobs", &kept];
    let server = Arc::new(Program::start(folder.path(), &arguments));
    let connection = server.jobs().await;
    let (tally, failed) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
    let places = Arc::new(Semaphore::new(FOLLOWED_MAX));
    let begun = Instant::now();
    let mut pace = tokio::time::interval(PACE);
    let mut sizes: Vec<Size> = Vec::new();
    let mut asked = 0_u64;
    while begun.elapsed() < length && !failed.load(Ordering::Relaxed) {
        pace.tick().await;
        if begun.elapsed() >= length * (sizes.len() as u32 + 1) / 10 {
            sizes.push(server.size(folder.path()));
            println!("{:>5.0} s: {} jobs, {}", begun.elapsed().as_secs_f64(), asked, sizes[sizes.len() - 1]);
        }
        let place = places.clone().acquire_owned().await.expect("never closed");
        asked += 1;
        let (number, mut jobs) = (asked, connection.clone());
        let (server, tally, failed) = (server.clone(), tally.clone(), failed.clone());
        tokio::spawn(async move {
            let watched = tokio::spawn(async move { tally.client(&server, &mut jobs, number).await });
            let done = tokio::time::timeout(PATIENCE, watched).await.is_ok_and(|joined| joined.is_ok());
            failed.fetch_or(!done, Ordering::Relaxed);
            drop(place);
        });
    }
    let all = places.acquire_many(FOLLOWED_MAX as u32);
    let _ = tokio::time::timeout(PATIENCE, all).await.expect("every job ends").expect("never closed");
    assert!(!failed.load(Ordering::Relaxed), "a client failed; its assertion stands above");
    let took = begun.elapsed();
    let last = server.size(folder.path());
    let (jobs, events) = (tally.jobs.load(Ordering::Relaxed), tally.events.load(Ordering::Relaxed));
    let rate = jobs as f64 / took.as_secs_f64() * 60.0;
    let returns = tally.returns.load(Ordering::Relaxed);
    println!(
        "{:.0} s: {jobs} jobs, {rate:.0} a minute, {events} events, {returns} returns, {last}",
        took.as_secs_f64()
    );
    assert_eq!(jobs, asked, "every job that was acknowledged came to its end");
    if length < LONG {
        // A short run shows no growth, and a busy machine does not keep the pace, so neither is checked.
        return;
    }
    assert!(rate >= JOBS_A_MINUTE as f64, "{rate:.0} jobs a minute");
    // Nothing waits once the last client has gone, and no more jobs are kept than the limit allows.
    let first = sizes.first().expect("more than a tenth has passed");
    assert!(last.resident_kib <= first.resident_kib + GROWTH_KIB_MAX, "{first} became {last}");
    assert!(last.files <= first.files + FILES_MAX, "{first} became {last}");
    assert!(last.pictures <= KEPT + FOLLOWED_MAX as u64, "{last}");
}
